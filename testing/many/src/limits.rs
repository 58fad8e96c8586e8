//! Every bound of this measurement.

use std::time::Duration;

/// An API server's start.
pub(crate) const API_READY: Duration = Duration::from_secs(120);
/// All clusters Ready.
pub(crate) const ALL_READY: Duration = Duration::from_secs(1800);
/// Clusters that are created and not Ready yet.
pub(crate) const BORN_AT_A_TIME: usize = 32;
/// Between two looks at something that is waited for.
pub(crate) const POLL: Duration = Duration::from_millis(500);
/// No write for so long: the world has come to rest.
pub(crate) const REST: Duration = Duration::from_secs(15);
/// Until it must have.
pub(crate) const RESTED: Duration = Duration::from_secs(300);
/// Until a fresh operator has looked at every cluster.
pub(crate) const STARTED: Duration = Duration::from_secs(120);
/// Its memory is noted each time that so many more clusters are Ready.
pub(crate) const GROWTH: usize = 100;
/// Requests of ours under way at a time.
pub(crate) const AT_A_TIME: usize = 32;
/// Members on one simulated node, at most.
pub(crate) const PODS_PER_NODE: usize = 110;

/// Memory that the operator may take.
pub(crate) const GOAL_MEGABYTES: f64 = 150.0;
/// How long all but one in a hundred looks may take.
pub(crate) const GOAL_P99: Duration = Duration::from_millis(50);
