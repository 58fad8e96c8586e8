//! When leases end. Every member keeps the time, from the log's grants and renewals, so
//! that a new leader goes on with what is left; only a leader with a quorum behind it
//! ends leases.

mod renewals;

pub use renewals::Renewals;

use crate::consensus::Consensus;
use kvorum_mvcc::{LeaseTime, Store};
use kvorum_proto::log::{Command, ExpireLeases, command};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How often a member looks at its leases.
const TICK: Duration = Duration::from_millis(200);
/// Leases revoked by one log entry.
const EXPIRE_MAX: usize = 1000;

/// One lease's time.
#[derive(Debug, Clone, Copy)]
struct Running {
    renewals: u64,
    deadline: Instant,
}

fn seconds(ttl: i64) -> Duration {
    Duration::from_secs(u64::try_from(ttl).unwrap_or(0))
}

/// The leases' clock.
#[derive(Default)]
pub struct Lessor {
    running: Mutex<HashMap<i64, Running>>,
}

impl Lessor {
    /// Brings the clock in line with the leases that are there: the time of a new or
    /// renewed one begins now. Returns those whose time is up.
    fn tick(&self, leases: &[LeaseTime], now: Instant) -> Vec<LeaseTime> {
        let mut running = self.running.lock();
        let mut kept = HashMap::with_capacity(leases.len());
        let mut expired = Vec::new();
        for lease in leases {
            let known = running.get(&lease.id).copied();
            let one = known
                .filter(|r| r.renewals == lease.renewals)
                .unwrap_or_else(|| Running {
                    renewals: lease.renewals,
                    deadline: now + seconds(lease.ttl),
                });
            kept.insert(lease.id, one);
            if one.deadline <= now && expired.len() < EXPIRE_MAX {
                expired.push(*lease);
            }
        }
        *running = kept;
        expired
    }

    /// Whole seconds left; the granted TTL for a lease not yet seen by the clock.
    #[must_use]
    pub fn left(&self, id: i64, ttl: i64) -> i64 {
        let running = self.running.lock();
        let Some(one) = running.get(&id) else {
            return ttl;
        };
        let left = one.deadline.saturating_duration_since(Instant::now());
        i64::try_from(left.as_secs()).unwrap_or(i64::MAX)
    }
}

/// Keeps the time, and expires leases while this member leads, until the consensus
/// module is gone.
pub async fn run(lessor: Arc<Lessor>, consensus: Weak<Consensus>, store: Arc<Store>) {
    loop {
        tokio::time::sleep(TICK).await;
        let Some(consensus) = consensus.upgrade() else {
            return;
        };
        let expired = lessor.tick(&store.leases(), Instant::now());
        if expired.is_empty() || !consensus.leads() {
            continue;
        }
        let expire = ExpireLeases {
            ids: expired.iter().map(|lease| lease.id).collect(),
            renewals: expired.iter().map(|lease| lease.renewals).collect(),
        };
        let command = Command {
            op: Some(command::Op::Expire(expire)),
            ..Command::default()
        };
        if let Err(error) = consensus.propose(&command).await {
            tracing::warn!(%error, "Expiring leases failed; trying again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(id: i64, ttl: i64, renewals: u64) -> LeaseTime {
        LeaseTime { id, ttl, renewals }
    }

    #[test]
    fn time_begins_with_the_grant_and_again_with_each_renewal() {
        let lessor = Lessor::default();
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let (short, long) = (lease(1, 10, 0), lease(2, 30, 0));
        assert!(lessor.tick(&[short, long], at(0)).is_empty());
        assert!(lessor.tick(&[short, long], at(9)).is_empty());
        assert_eq!(lessor.tick(&[short, long], at(10)), [short]);
        // Still there (the revoke did not go through): asked for again.
        assert_eq!(lessor.tick(&[short, long], at(11)), [short]);
        assert!(lessor.tick(&[long], at(12)).is_empty());
        let renewed = lease(2, 30, 1);
        assert!(lessor.tick(&[renewed], at(20)).is_empty());
        assert!(lessor.tick(&[renewed], at(49)).is_empty());
        assert_eq!(lessor.tick(&[renewed], at(50)), [renewed]);
    }

    #[test]
    fn what_is_left_is_told_in_whole_seconds() {
        let lessor = Lessor::default();
        lessor.tick(&[lease(1, 5, 0)], Instant::now());
        assert!((4..=5).contains(&lessor.left(1, 5)));
        assert_eq!(lessor.left(9, 7), 7);
    }
}
