//! Every bound of this crate, in one place.

use std::time::Duration;

/// A cluster must serve within this after it was started; machines are shared and slow at times.
pub const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between looks while waiting for a condition.
pub const POLL: Duration = Duration::from_millis(20);
/// One request of a test client.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// A terminated process must be gone within this (etcd's own bound).
pub const EXIT_TIMEOUT: Duration = Duration::from_secs(10);
/// A writer gives one write up after this and tries the next member.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
