//! Every bound of the planner.

/// How long members may take to come up before it is called a problem.
pub const STARTUP_DEADLINE_SECONDS: i64 = 120;

/// How long the scheduler may refuse a pod before it is called a problem: new volumes and nodes take a moment.
pub const UNSCHEDULABLE_PATIENCE_SECONDS: i64 = 20;

/// Zones below which no layout survives the loss of any one of them.
pub const ZONES_FOR_TOLERANCE: usize = 3;

/// A loss must be seen for this long, and again, before it counts.
pub const TWO_PROOFS_SECONDS: i64 = 30;

/// A member that lags by no more than this is up to date: the rest is on its way.
pub const LAG_ENTRIES_MAX: u64 = 1000;

/// A member that the leader heard of within this time is there.
pub const HEARD_MILLIS_MAX: u64 = 1000;

/// How long the pod of a new template may take before the rollout stops.
pub const ROLLOUT_DEADLINE_SECONDS: i64 = 120;

/// How long a container that fails on a new template is given before the rollout stops.
pub const ROLLOUT_PATIENCE_SECONDS: i64 = 20;

/// The span over which replacements are counted.
pub const REPLACEMENT_WINDOW_SECONDS: i64 = 24 * 60 * 60;

/// Replacements that are remembered.
pub const REPLACEMENTS_KEPT: usize = 32;
