//! Every bound of the planner.

/// How long members may take to come up before it is called a problem.
pub const STARTUP_DEADLINE_SECONDS: i64 = 120;

/// How long the scheduler may refuse a pod before it is called a problem: new volumes and nodes take a moment.
pub const UNSCHEDULABLE_PATIENCE_SECONDS: i64 = 20;

/// Zones below which no layout survives the loss of any one of them.
pub const ZONES_FOR_TOLERANCE: usize = 3;
