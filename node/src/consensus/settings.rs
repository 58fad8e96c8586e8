//! How openraft is set up, from etcd's two timers.

use crate::limits::APPEND_ENTRIES_MAX;
use openraft::{Config, SnapshotPolicy};
use std::time::Duration;

/// The timers in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The leader lets followers hear of it this often.
    pub heartbeat: Duration,
    /// Shortest random part of an election timeout.
    pub election_min: Duration,
    /// A follower that heard nothing for this long and the random part starts an election.
    pub election_max: Duration,
    /// etcd's `--election-timeout`, as given: lease TTLs depend on it.
    pub etcd_election: Duration,
}

impl Timing {
    /// From etcd's `--heartbeat-interval` and `--election-timeout`, in milliseconds.
    ///
    /// etcd's timeout T means "between T and 2T". openraft waits its maximum (the leader's
    /// lease) plus a random time between minimum and maximum: so T/4 and 2T/5 give 0.65T
    /// to 0.8T, and 0.4T where a follower sees that the leader's process is gone (see
    /// `succession`).
    #[must_use]
    pub fn from_etcd(heartbeat_ms: u64, election_ms: u64) -> Self {
        let election_max = (election_ms * 2 / 5).max(4);
        let election_min = (election_ms / 4).max(3);
        let heartbeat = (heartbeat_ms / 2).clamp(1, election_min / 2);
        Self {
            heartbeat: Duration::from_millis(heartbeat),
            election_min: Duration::from_millis(election_min),
            election_max: Duration::from_millis(election_max),
            etcd_election: Duration::from_millis(election_ms),
        }
    }

    /// Shortest lease TTL in seconds: etcd's 1.5 election timeouts, rounded up.
    #[must_use]
    pub fn lease_ttl_min(&self) -> i64 {
        let millis = self.etcd_election.as_millis() * 3 / 2;
        i64::try_from(millis.div_ceil(1000))
            .unwrap_or(i64::MAX)
            .max(1)
    }

    fn millis(d: Duration) -> u64 {
        u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
    }

    /// openraft's configuration.
    #[must_use]
    pub fn raft_config(&self) -> Config {
        let election_max = Self::millis(self.election_max);
        Config {
            cluster_name: "kvorum".to_owned(),
            heartbeat_interval: Self::millis(self.heartbeat),
            election_timeout_min: Self::millis(self.election_min),
            election_timeout_max: election_max,
            // A returning member must not unseat a working leader.
            enable_pre_vote: Some(true),
            // Without it a leader that sees only a minority holds on forever.
            quorum_loss_probe_interval: Some(2 * election_max),
            max_payload_entries: APPEND_ENTRIES_MAX,
            max_append_entries: Some(APPEND_ENTRIES_MAX),
            // Snapshots and purges are ours: see `upkeep`.
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: u64::MAX,
            // A restarted leader stands for election like everyone else.
            enable_leader_restore: Some(false),
            ..Config::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timer_that_etcd_takes_gives_a_valid_configuration() {
        for (heartbeat, election) in [
            (100, 1000),
            (10, 100),
            (50, 500),
            (1000, 50_000),
            (1, 10),
            (5, 10),
        ] {
            let timing = Timing::from_etcd(heartbeat, election);
            let valid = timing.raft_config().validate();
            assert!(valid.is_ok(), "{heartbeat}/{election}: {valid:?}");
        }
    }

    #[test]
    fn the_defaults_are_those_measured() {
        let timing = Timing::from_etcd(100, 1000);
        let millis =
            [timing.heartbeat, timing.election_min, timing.election_max].map(|d| d.as_millis());
        assert_eq!(millis, [50, 250, 400]);
        assert_eq!(timing.lease_ttl_min(), 2);
    }
}
