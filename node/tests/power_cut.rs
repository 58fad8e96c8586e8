//! Goal: whatever a power cut leaves of log and store, nothing acknowledged is lost and
//! nothing damaged is served.
//! Method: log and store on a disk in memory that fails at a random write and then keeps a
//! random subset of the sectors that were not synced. After each cut both are opened again,
//! the log is replayed behind the store, and the state is compared with an oracle that
//! applied the same commands in memory. `KVORUM_POWER_CUTS` sets how many disks are used up
//! (three cuts each).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_mvcc::engine::MemoryEngine;
use kvorum_mvcc::{LeaseTime, Position, Store, Sweep};
use kvorum_proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, LeaseGrantRequest, LeaseRevokeRequest, PutRequest,
};
use kvorum_proto::log::{Command, RenewLeases, command};
use kvorum_storage::disk::sim::SimDisk;
use kvorum_storage::engine;
use kvorum_storage::wal::{Entry, Options, Wal};
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const CUTS_PER_DISK: usize = 3;

fn key(rng: &mut StdRng) -> Vec<u8> {
    format!("key-{}", rng.random_range(0..40)).into_bytes()
}

fn command(rng: &mut StdRng, revision: i64) -> Command {
    let op = match rng.random_range(0..20) {
        0..12 => command::Op::Put(PutRequest {
            key: key(rng).into(),
            value: vec![rng.random(); rng.random_range(0..3000)].into(),
            ..PutRequest::default()
        }),
        12..15 => command::Op::DeleteRange(DeleteRangeRequest {
            key: key(rng).into(),
            range_end: key(rng).into(),
            ..DeleteRangeRequest::default()
        }),
        15 => command::Op::Compact(CompactionRequest {
            revision: revision - rng.random_range(0..5),
            physical: false,
        }),
        16..18 => command::Op::LeaseGrant(LeaseGrantRequest {
            id: rng.random_range(1..9),
            ttl: 60,
        }),
        18 => command::Op::Renew(RenewLeases {
            ids: vec![rng.random_range(1..9)],
        }),
        _ => command::Op::LeaseRevoke(LeaseRevokeRequest {
            id: rng.random_range(1..9),
        }),
    };
    Command {
        op: Some(op),
        ..Command::default()
    }
}

fn at(index: u64) -> Position {
    Position { term: 1, index }
}

fn log_position(index: u64) -> kvorum_storage::wal::Position {
    kvorum_storage::wal::Position { term: 1, index }
}

fn apply(store: &Store, index: u64, command: Command) {
    store.applier().apply(at(index), command).unwrap();
}

/// Log and store of one member, as they stand on a disk.
struct Opened {
    wal: Wal,
    store: Store,
    last: u64,
}

/// Opens both and replays the log behind the store.
fn open(disk: &SimDisk) -> Result<Opened, String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let options = Options {
        segment_bytes: 64 << 10,
        ..Options::new(PathBuf::from("/wal"))
    };
    let wal = Wal::open(Arc::new(disk.clone()), options).map_err(|e| text(&e))?;
    let engine = engine::on_disk(disk, Path::new("/db/store")).map_err(|e| text(&e))?;
    let store = Store::open(Arc::new(engine)).map_err(|e| text(&e))?;
    let applied = store.applied().0.map_or(0, |p| p.index);
    let last = wal.state().last.map_or(0, |p| p.index).max(applied);
    let range = wal.range();
    assert!(
        range.start <= applied + 1,
        "the log begins at {}, the store ends at {applied}",
        range.start
    );
    if applied < last {
        for entry in wal
            .read(applied + 1..last + 1, usize::MAX)
            .map_err(|e| text(&e))?
        {
            let command = Command::decode(entry.payload).unwrap();
            apply(&store, entry.position.index, command);
        }
    }
    Ok(Opened { wal, store, last })
}

/// What both must agree on.
fn state(store: &Store) -> (u32, i64, i64, Vec<LeaseTime>) {
    let hash = store.hash_kv(0).unwrap();
    (hash.hash, hash.current, hash.compacted, store.leases())
}

/// Appends durably; false once the disk has failed.
fn append(wal: &Wal, index: u64, command: &Command) -> bool {
    let (tx, rx) = std::sync::mpsc::channel();
    let entry = Entry {
        position: log_position(index),
        payload: command.encode_to_vec().into(),
    };
    let done = Box::new(move |outcome: Result<(), _>| {
        let _ = tx.send(outcome.is_ok());
    });
    wal.append(vec![entry], done).is_ok() && rx.recv().unwrap_or(false)
}

/// Works until the disk fails; the last index that was acknowledged.
fn work(opened: Opened, rng: &mut StdRng, commands: &mut Vec<Command>) -> u64 {
    let Opened { wal, store, last } = opened;
    let mut acknowledged = last;
    let mut sweep = Sweep::default();
    loop {
        let index = acknowledged + 1;
        let command = command(rng, store.revision());
        commands.push(command.clone());
        if !append(&wal, index, &command) {
            return acknowledged;
        }
        apply(&store, index, command);
        acknowledged = index;
        store.sweep(&mut sweep);
        if rng.random_ratio(1, 12) {
            if store.flush().is_err() {
                return acknowledged;
            }
            // The log goes only behind a durable point.
            let durable = store.durable().unwrap().0.map_or(0, |p| p.index);
            if rng.random() && wal.purge(log_position(durable)).is_err() {
                return acknowledged;
            }
        }
    }
}

fn use_up(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut disk = SimDisk::new();
    let mut commands: Vec<Command> = Vec::new();
    drop(open(&disk).unwrap());
    for cut in 0..CUTS_PER_DISK {
        let opened = open(&disk).unwrap();
        disk.fail_writes_after(rng.random_range(3..300));
        let acknowledged = work(opened, &mut rng, &mut commands);
        disk = disk.power_cut(|| rng.random());
        let found = open(&disk).unwrap_or_else(|e| panic!("seed {seed}, cut {cut}: {e}"));
        assert!(
            found.last >= acknowledged,
            "seed {seed}, cut {cut}: {acknowledged} were acknowledged, {} are there",
            found.last
        );
        // What was not acknowledged may be there or not.
        commands.truncate(usize::try_from(found.last).unwrap());
        let oracle = Store::open(Arc::new(MemoryEngine::default())).unwrap();
        for (index, command) in (1..).zip(&commands) {
            apply(&oracle, index, command.clone());
        }
        assert_eq!(
            state(&found.store),
            state(&oracle),
            "seed {seed}, cut {cut}"
        );
    }
}

#[test]
fn nothing_acknowledged_is_lost_over_power_cuts() {
    let disks = std::env::var("KVORUM_POWER_CUTS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(60);
    for seed in 0..disks {
        use_up(seed);
    }
    println!("{} power cuts, nothing lost", disks * CUTS_PER_DISK as u64);
}
