//! How soon a watch that failed is started again.
//!
//! kube's own pace goes up to half a minute, in which after an outage clusters are not looked after.

use std::time::Duration;

use kube::runtime::utils::{Backoff, ResetTimerBackoff};

use crate::limits::{WATCH_RETRY_FIRST, WATCH_RETRY_RESET, WATCH_RETRY_SLOWEST};

/// Pauses that double up to a limit, each shortened by chance, so that watches do not come back in step.
#[derive(Debug)]
pub(super) struct Pace(Duration);

/// The pace of one watch.
pub(super) fn pace() -> ResetTimerBackoff<Pace> {
    ResetTimerBackoff::new(Pace(WATCH_RETRY_FIRST), WATCH_RETRY_RESET)
}

impl Iterator for Pace {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.0;
        self.0 = (2 * pause).min(WATCH_RETRY_SLOWEST);
        Some(pause.mul_f64(0.5 + rand::random::<f64>() / 2.0))
    }
}

impl Backoff for Pace {
    fn reset(&mut self) {
        self.0 = WATCH_RETRY_FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_slowest_and_start_anew() {
        let mut pace = Pace(WATCH_RETRY_FIRST);
        let mut longest = WATCH_RETRY_FIRST;
        for _ in 0..20 {
            let pause = pace.next().unwrap();
            assert!(
                pause <= longest && 2 * pause >= longest,
                "{pause:?} of {longest:?}"
            );
            longest = (2 * longest).min(WATCH_RETRY_SLOWEST);
        }
        assert_eq!(longest, WATCH_RETRY_SLOWEST);
        pace.reset();
        assert!(pace.next().unwrap() <= WATCH_RETRY_FIRST);
    }
}
