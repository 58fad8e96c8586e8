//! Every bound of this crate, in one place.

use std::time::Duration;

/// What must happen (a write, an election, a return) must have happened within this; machines
/// are shared and slow at times.
pub const LIMIT: Duration = Duration::from_secs(60);
/// Nothing may happen for this long where nothing is predicted: several election timeouts.
pub const WINDOW: Duration = Duration::from_millis(2500);
/// Pause between looks while waiting for a condition.
pub const POLL: Duration = Duration::from_millis(20);
/// Pause of a writer between two writes: it must see gaps, not load two cores.
pub const WRITER_PAUSE: Duration = Duration::from_millis(20);
/// One look at a member's state.
pub const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// Networks that can be there at a time.
pub const BLOCKS: u8 = 60;
