//! When to look again: a pace per cluster that slows down while nothing changes and starts afresh when
//! something does.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

/// A pace that slows down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ladder {
    /// The first wait.
    pub first: Duration,
    /// The longest.
    pub slowest: Duration,
}

impl Ladder {
    /// The wait on this rung: each half as long again, up to the slowest, spread by up to a fifth so that
    /// clusters do not march in step. `chance` is between 0 and 1.
    fn wait(self, rung: u32, chance: f64) -> Duration {
        let grown =
            self.first.as_secs_f64() * 1.5_f64.powi(i32::try_from(rung.min(64)).unwrap_or(64));
        let capped = grown.min(self.slowest.as_secs_f64());
        Duration::from_secs_f64(capped * (0.8 + 0.2 * chance))
    }
}

/// Where each cluster stands on which ladder.
#[derive(Debug, Default)]
pub struct Backoff {
    rungs: Mutex<HashMap<String, (Ladder, u32)>>,
}

impl Backoff {
    /// The next wait of this cluster. Another ladder than last time starts at its first rung.
    pub fn next(&self, uid: &str, ladder: Ladder, chance: f64) -> Duration {
        let mut rungs = self.rungs.lock();
        let place = rungs.entry(uid.to_owned()).or_insert((ladder, 0));
        if place.0 != ladder {
            *place = (ladder, 0);
        }
        let rung = place.1;
        place.1 = rung.saturating_add(1);
        ladder.wait(rung, chance)
    }

    /// Something went well or moved: start afresh.
    pub fn reset(&self, uid: &str) {
        self.rungs.lock().remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Ladder = Ladder {
        first: Duration::from_millis(200),
        slowest: Duration::from_secs(60),
    };
    const QUICK: Ladder = Ladder {
        first: Duration::from_millis(100),
        slowest: Duration::from_secs(1),
    };

    #[test]
    fn waits_grow_up_to_the_slowest() {
        let backoff = Backoff::default();
        let waits: Vec<u128> = (0..30)
            .map(|_| backoff.next("a", SLOW, 1.0).as_millis())
            .collect();
        assert_eq!(waits[..4], [200, 300, 450, 675]);
        assert_eq!(*waits.last().unwrap(), 60_000);
    }

    #[test]
    fn clusters_do_not_slow_each_other_down() {
        let backoff = Backoff::default();
        for _ in 0..10 {
            backoff.next("a", SLOW, 1.0);
        }
        assert_eq!(backoff.next("b", SLOW, 1.0), SLOW.first);
    }

    #[test]
    fn a_success_or_another_ladder_starts_afresh() {
        let backoff = Backoff::default();
        backoff.next("a", SLOW, 1.0);
        backoff.next("a", SLOW, 1.0);
        backoff.reset("a");
        assert_eq!(backoff.next("a", SLOW, 1.0), SLOW.first);
        assert_eq!(backoff.next("a", QUICK, 1.0), QUICK.first);
        assert_eq!(backoff.next("a", SLOW, 1.0), SLOW.first);
    }

    #[test]
    fn chance_shortens_by_a_fifth_at_most() {
        let backoff = Backoff::default();
        assert_eq!(backoff.next("a", SLOW, 0.0), Duration::from_millis(160));
    }
}
