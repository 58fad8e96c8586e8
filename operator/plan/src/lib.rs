//! Pure arithmetic and planner: what a cluster should look like, and the next steps towards it.
//!
//! Nothing in this crate does I/O, reads a clock or draws a random number: everything it needs is an
//! argument, everything it decides is a value. So every decision can be tested, and replayed.
//!
//! * [`quorum`]: how many members a cluster of a size may lose.
//! * [`placement`]: which member goes to which zone.
//! * [`transport`]: how members talk, and how that changes.
//! * [`tolerance`]: which failures a layout survives, in numbers and in words.
//! * [`observed`]: what the planner is told about the world.
//! * [`assess`]: what of it is alive, who leads, what is wrong.
//! * [`planner`]: the decision, a list of [`steps`], and the [`operation`] they belong to.

pub mod assess;
pub mod identity;
pub mod limits;
pub mod observed;
pub mod operation;
pub mod placement;
pub mod planner;
pub mod quorum;
pub mod spec;
pub mod steps;
pub mod tolerance;
pub mod transport;

pub use assess::Assessment;
pub use identity::{ClusterId, MemberId, Zone};
pub use observed::Observed;
pub use planner::plan;
pub use quorum::ClusterSize;
pub use spec::Spec;
pub use steps::{Blocked, Plan, Step};
pub use transport::Transport;
