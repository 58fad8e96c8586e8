//! Every bound of this crate, in one place.

use std::time::Duration;

/// What must happen (a write, an election, a return) must have happened within this; machines
/// are shared and slow at times.
pub const LIMIT: Duration = Duration::from_secs(60);
/// Nothing may happen for this long where nothing is predicted: two election timeouts.
pub const WINDOW: Duration = Duration::from_secs(2);
/// Pause between looks while waiting for a condition.
pub const POLL: Duration = Duration::from_millis(20);
/// Pause of a writer between two writes: it must see gaps, not load two cores.
pub const WRITER_PAUSE: Duration = Duration::from_millis(20);
/// One look at a member's state.
pub const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// Networks that can be there at a time.
pub const BLOCKS: u8 = 60;
/// A client of a recorded history gives an operation up after this: short, so that many are
/// given up of which nobody knows what becomes of them.
pub const ASK_TIMEOUT: Duration = Duration::from_millis(700);
/// Longest pause of such a client between two operations.
pub const CLIENT_PAUSE: Duration = Duration::from_millis(30);
/// A watcher that hears nothing for this long goes on at the next member.
pub const WATCH_SILENCE: Duration = Duration::from_secs(1);
/// Longest that one fault lasts, and the longest quiet after it.
pub const FAULT_MAX: Duration = Duration::from_millis(2500);
