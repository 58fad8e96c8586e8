//! When leases end. Only the leader decides, and only with a quorum behind it.

use crate::consensus::Consensus;
use kvorum_mvcc::Store;
use kvorum_proto::log::{Command, ExpireLeases, command};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How often the leader looks for leases whose time is up.
const TICK: Duration = Duration::from_millis(200);
/// Leases revoked by one log entry.
const EXPIRE_MAX: usize = 1000;

/// Deadlines of one term of leadership.
#[derive(Debug, Default)]
struct Deadlines {
    /// The term they belong to; 0: none.
    term: u64,
    by_id: HashMap<i64, Instant>,
}

impl Deadlines {
    /// Brings the deadlines in line with the leases that are there; returns those whose time is up.
    /// In a new term every lease gets its whole TTL again, as with etcd.
    fn tick(&mut self, term: u64, leases: &[(i64, i64)], now: Instant) -> Vec<i64> {
        if self.term != term {
            self.by_id.clear();
            self.term = term;
        }
        let mut kept = HashMap::with_capacity(leases.len());
        let mut expired = Vec::new();
        for &(id, ttl) in leases {
            let deadline = self
                .by_id
                .get(&id)
                .copied()
                .unwrap_or_else(|| now + seconds(ttl));
            kept.insert(id, deadline);
            if deadline <= now && expired.len() < EXPIRE_MAX {
                expired.push(id);
            }
        }
        self.by_id = kept;
        expired
    }
}

fn seconds(ttl: i64) -> Duration {
    Duration::from_secs(u64::try_from(ttl).unwrap_or(0))
}

/// The leases' clock.
#[derive(Default)]
pub struct Lessor {
    deadlines: Mutex<Deadlines>,
}

impl Lessor {
    /// Starts a lease's time, or starts it again; `None` if its time is up already.
    /// Only meaningful on the leader.
    pub fn renew(&self, id: i64, ttl: i64) -> Option<i64> {
        let now = Instant::now();
        let mut deadlines = self.deadlines.lock();
        if deadlines.by_id.get(&id).is_some_and(|at| *at <= now) {
            return None;
        }
        deadlines.by_id.insert(id, now + seconds(ttl));
        Some(ttl)
    }

    /// Whole seconds left; the granted TTL for a lease not yet seen by the clock.
    #[must_use]
    pub fn left(&self, id: i64, ttl: i64) -> i64 {
        let deadlines = self.deadlines.lock();
        let Some(at) = deadlines.by_id.get(&id) else {
            return ttl;
        };
        let left = at.saturating_duration_since(Instant::now()).as_secs();
        i64::try_from(left).unwrap_or(i64::MAX)
    }
}

/// Expires leases while this member leads, until the consensus module is gone.
pub async fn run(lessor: Arc<Lessor>, consensus: Weak<Consensus>, store: Arc<Store>) {
    loop {
        tokio::time::sleep(TICK).await;
        let Some(consensus) = consensus.upgrade() else {
            return;
        };
        if !consensus.leads() {
            lessor.deadlines.lock().term = 0;
            continue;
        }
        let expired =
            lessor
                .deadlines
                .lock()
                .tick(consensus.term(), &store.leases(), Instant::now());
        if !expired.is_empty() {
            let command = Command {
                op: Some(command::Op::Expire(ExpireLeases { ids: expired })),
                ..Command::default()
            };
            if let Err(error) = consensus.propose(&command).await {
                tracing::warn!(%error, "Expiring leases failed; trying again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_end_once_and_start_again_with_a_new_leader() {
        let mut deadlines = Deadlines::default();
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let leases = [(1, 10), (2, 30)];
        assert!(deadlines.tick(1, &leases, at(0)).is_empty());
        assert!(deadlines.tick(1, &leases, at(9)).is_empty());
        assert_eq!(deadlines.tick(1, &leases, at(10)), [1]);
        // Still there (the revoke did not go through): asked for again.
        assert_eq!(deadlines.tick(1, &leases, at(11)), [1]);
        assert!(deadlines.tick(1, &leases[1..], at(12)).is_empty());
        // A new term: the whole TTL again.
        assert!(deadlines.tick(2, &leases[1..], at(30)).is_empty());
        assert!(deadlines.tick(2, &leases[1..], at(59)).is_empty());
        assert_eq!(deadlines.tick(2, &leases[1..], at(60)), [2]);
    }

    #[test]
    fn an_ended_lease_cannot_be_renewed() {
        let lessor = Lessor::default();
        assert_eq!(lessor.renew(1, 5), Some(5));
        assert!((4..=5).contains(&lessor.left(1, 5)));
        lessor.deadlines.lock().by_id.insert(1, Instant::now());
        assert_eq!(lessor.renew(1, 5), None);
        assert_eq!(lessor.left(1, 5), 0);
        assert_eq!(lessor.left(9, 7), 7);
    }
}
