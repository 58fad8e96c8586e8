//! Goal: our log and state machine keep openraft's storage contract, also over a reopen.
//! Method: openraft's own suite, then what it leaves out: closing and opening again.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_mvcc::Store;
use kvorum_node::consensus::log_store::LogStore;
use kvorum_node::consensus::machine::Machine;
use kvorum_node::consensus::types::{Entry, Types, log_id, vote_from_wire};
use kvorum_storage::disk::RealDisk;
use kvorum_storage::engine;
use kvorum_storage::wal::{Options, Wal};
use openraft::StorageError;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

struct Builder;

fn open_log(dir: &Path) -> LogStore {
    let options = Options {
        segment_bytes: 1 << 20,
        ..Options::new(dir.join("wal"))
    };
    LogStore::new(Wal::open(Arc::new(RealDisk { sync: false }), options).unwrap())
}

fn open_machine(dir: &Path) -> Machine {
    let db = dir.join("db");
    let store = Store::open(Arc::new(engine::open(&db, false).unwrap())).unwrap();
    Machine::new(Arc::new(store), db, false)
}

impl StoreBuilder<Types, LogStore, Machine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError<Types>> {
        let dir = tempfile::tempdir().unwrap();
        let (log, machine) = (open_log(dir.path()), open_machine(dir.path()));
        Ok((dir, log, machine))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openrafts_own_suite_passes() {
    Suite::test_all(Builder).await.unwrap();
}

fn entries(term: u64, range: std::ops::Range<u64>) -> Vec<Entry> {
    range.map(|i| Entry::new_blank(log_id(term, i))).collect()
}

async fn append(log: &mut LogStore, list: Vec<Entry>) {
    let (tx, rx) = Types::oneshot();
    log.append(list, IOFlushed::signal(tx)).await.unwrap();
    rx.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn votes_entries_truncations_and_purges_are_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let vote = vote_from_wire(Some(kvorum_proto::peer::Vote {
        term: 3,
        node: 2,
        committed: true,
    }));
    {
        let mut log = open_log(dir.path());
        append(&mut log, entries(1, 0..20)).await;
        log.truncate_after(Some(log_id(1, 14))).await.unwrap();
        append(&mut log, entries(3, 15..18)).await;
        log.save_vote(&vote).await.unwrap();
        log.purge(log_id(1, 4)).await.unwrap();
        log.save_committed(Some(log_id(1, 10))).await.unwrap();
        append(&mut log, entries(3, 18..19)).await;
    }
    let mut log = open_log(dir.path());
    let state = log.get_log_state().await.unwrap();
    assert_eq!(state.last_purged_log_id, Some(log_id(1, 4)));
    assert_eq!(state.last_log_id, Some(log_id(3, 18)));
    assert_eq!(log.read_vote().await.unwrap(), Some(vote));
    assert_eq!(log.read_committed().await.unwrap(), Some(log_id(1, 10)));
    let found = log.try_get_log_entries(..).await.unwrap();
    let expected: Vec<Entry> = entries(1, 5..15)
        .into_iter()
        .chain(entries(3, 15..19))
        .collect();
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_beyond_the_end_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    {
        let mut log = open_log(dir.path());
        append(&mut log, entries(1, 0..5)).await;
        log.purge(log_id(4, 100)).await.unwrap();
        append(&mut log, entries(4, 101..103)).await;
    }
    let mut log = open_log(dir.path());
    let state = log.get_log_state().await.unwrap();
    assert_eq!(state.last_purged_log_id, Some(log_id(4, 100)));
    assert_eq!(state.last_log_id, Some(log_id(4, 102)));
}
