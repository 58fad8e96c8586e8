//! Every bound of this crate, in one place.

/// Looks of an operator within which a world that nobody disturbs must be as asked for.
pub const ROUNDS_MAX: usize = 500;
/// Rounds that a stable world must stay as it is.
pub const ROUNDS_STILL: usize = 3;
/// Seconds between two rounds.
pub const ROUND_SECONDS: i64 = 5;
/// States of a small world that the default run goes through at most.
pub const STATES_DEFAULT: usize = 12_000;
/// Walks of the default run.
pub const WALKS_DEFAULT: u64 = 300;
/// Things that happen in one walk.
pub const WALK_LENGTH: usize = 400;
/// One in so many states of a search is let come to rest.
pub const SETTLE_ONE_IN: usize = 50;
