//! Durable points of the store, and purging the log behind them.

use super::Consensus;
use super::status::{Role, Status};
use crate::limits::{
    FLUSH_BYTES, FLUSH_INTERVAL, LOG_BYTES_MAX, LOG_KEEP_ENTRIES, UPKEEP_INTERVAL,
};
use kvorum_mvcc::{Store, Sweep};
use kvorum_storage::wal::Wal;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A follower that was heard of within this time may still need the log.
const FOLLOWER_FRESH: Duration = Duration::from_secs(60);

/// Makes durable points and sweeps compactions, on a thread of its own, until
/// the process ends. A failed flush ends it: what is durable is unknown then.
pub fn start_flushing(
    store: Arc<Store>,
    took: impl Fn(f64) + Send + 'static,
    fatal: impl Fn(String) + Send + 'static,
) {
    let spawned = std::thread::Builder::new()
        .name("flush".to_owned())
        .spawn(move || flush_forever(&store, &took, &fatal));
    if let Err(error) = spawned {
        tracing::error!(%error, "Starting the flush thread failed");
        std::process::exit(1);
    }
}

fn flush_forever(store: &Store, took: &dyn Fn(f64), fatal: &dyn Fn(String)) {
    let mut last = Instant::now();
    let mut sweep = Sweep::default();
    loop {
        let swept = store.sweep(&mut sweep);
        if store.pending_bytes() >= FLUSH_BYTES || last.elapsed() >= FLUSH_INTERVAL {
            let began = Instant::now();
            if let Err(error) = store.flush() {
                fatal(format!("Flushing the store failed: {error}"));
            }
            took(began.elapsed().as_secs_f64());
            last = Instant::now();
        }
        std::thread::sleep(Duration::from_millis(if swept { 1 } else { 50 }));
    }
}

/// The index up to which the log may go; `None`: nothing to do yet. Pure.
///
/// Only what the durable snapshot covers may go; of that, what a live follower
/// still needs stays unless the log grows beyond its bound.
#[must_use]
pub fn purge_upto(status: &Status, log_bytes: u64) -> Option<u64> {
    let snapshot = status.snapshot?.index;
    let mut upto = snapshot.saturating_sub(LOG_KEEP_ENTRIES);
    if status.role == Role::Leader && log_bytes <= LOG_BYTES_MAX {
        let needed = status
            .peers
            .values()
            .filter(|p| p.heard.is_some_and(|age| age < FOLLOWER_FRESH))
            .map(|p| p.matched.unwrap_or(0));
        upto = needed.fold(upto, u64::min);
    } else if log_bytes > LOG_BYTES_MAX {
        upto = snapshot;
    }
    let purged = status.purged.map_or(0, |id| id.index);
    (upto > purged).then_some(upto)
}

/// Takes snapshots (one flush each) and purges the log, until the consensus module is gone.
pub async fn run(consensus: std::sync::Weak<Consensus>, wal: Wal, snapshot_count: u64) {
    loop {
        tokio::time::sleep(UPKEEP_INTERVAL).await;
        let Some(consensus) = consensus.upgrade() else {
            return;
        };
        let status = consensus.status();
        let applied = status.applied.map_or(0, |id| id.index);
        let snapshot = status.snapshot.map_or(0, |id| id.index);
        if applied >= snapshot.saturating_add(snapshot_count) || wal.bytes() > LOG_BYTES_MAX {
            let _ = consensus.raft.trigger().snapshot().await;
        }
        if let Some(upto) = purge_upto(&status, wal.bytes()) {
            let _ = consensus.raft.trigger().purge_log(upto).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::PeerProgress;
    use super::super::types::log_id;
    use super::*;

    fn status(role: Role, snapshot: u64, purged: u64, matched: &[(u64, u64)]) -> Status {
        let peers = matched.iter().enumerate().map(|(id, (index, age))| {
            let progress = PeerProgress {
                matched: Some(*index),
                heard: Some(Duration::from_secs(*age)),
            };
            (id as u64, progress)
        });
        Status {
            purged: Some(log_id(1, purged)),
            snapshot: Some(log_id(1, snapshot)),
            peers: peers.collect(),
            ..Status::blank(role)
        }
    }

    #[test]
    fn purging_stays_behind_the_snapshot_and_behind_live_followers() {
        let small = 1 << 20;
        let cases = [
            (status(Role::Follower, 20_000, 0, &[]), small, Some(15_000)),
            (status(Role::Follower, 4_000, 0, &[]), small, None),
            (
                status(Role::Leader, 20_000, 0, &[(18_000, 0), (9_000, 0)]),
                small,
                Some(9_000),
            ),
            (
                status(Role::Leader, 20_000, 0, &[(18_000, 0), (9_000, 61)]),
                small,
                Some(15_000),
            ),
            (
                status(Role::Leader, 20_000, 9_000, &[(9_000, 0)]),
                small,
                None,
            ),
            (
                status(Role::Leader, 20_000, 0, &[(9_000, 0)]),
                LOG_BYTES_MAX + 1,
                Some(20_000),
            ),
        ];
        for (status, bytes, expected) in cases {
            assert_eq!(purge_upto(&status, bytes), expected, "{status:?}");
        }
    }
}
