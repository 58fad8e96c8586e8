//! Goal: what the log promises about reopening, tails, damage and failures.
//! Method: the real log on a simulated disk whose power is cut or which fails.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use bytes::Bytes;
use kvorum_storage::disk::Disk;
use kvorum_storage::disk::sim::SimDisk;
use kvorum_storage::wal::{Entry, Error, Options, Position, State, Vote, Wal};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

const DIR: &str = "/data/wal";

fn options(segment_bytes: u64) -> Options {
    Options {
        segment_bytes,
        ..Options::new(DIR.into())
    }
}

fn open(disk: &SimDisk) -> Result<Wal, Error> {
    Wal::open(Arc::new(disk.clone()), options(64 << 10))
}

fn entry(term: u64, index: u64) -> Entry {
    Entry {
        position: Position { term, index },
        payload: Bytes::from(format!(
            "t{term}i{index}-{}",
            "x".repeat((index % 97) as usize)
        )),
    }
}

fn entries(term: u64, range: std::ops::Range<u64>) -> Vec<Entry> {
    range.map(|i| entry(term, i)).collect()
}

fn append(wal: &Wal, list: Vec<Entry>) -> Result<(), Error> {
    let (tx, rx) = mpsc::channel();
    wal.append(list, Box::new(move |r| tx.send(r).unwrap()))?;
    rx.recv().unwrap()
}

fn vote(term: u64, node: u64) -> Vote {
    Vote {
        term,
        node,
        committed: false,
    }
}

fn save_vote(wal: &Wal, v: Vote) -> Result<(), Error> {
    let (tx, rx) = mpsc::channel();
    wal.save_vote(v, Box::new(move |r| tx.send(r).unwrap()))?;
    rx.recv().unwrap()
}

fn all(wal: &Wal) -> Vec<Entry> {
    let state = wal.state();
    let first = state.purged.map_or(0, |p| p.index + 1);
    let next = state.last.map_or(0, |p| p.index + 1);
    wal.read(first..next, usize::MAX).unwrap()
}

/// The newest segment's path and its content's length up to the last non-zero byte.
fn newest(disk: &SimDisk) -> (std::path::PathBuf, usize) {
    let names = disk.list(Path::new(DIR)).unwrap();
    let name = names.iter().rfind(|n| n.ends_with(".wal")).unwrap();
    let path = Path::new(DIR).join(name);
    let file = disk.open(&path).unwrap();
    let mut data = vec![0; file.size().unwrap() as usize];
    file.read_at(&mut data, 0).unwrap();
    (path, data.iter().rposition(|b| *b != 0).unwrap() + 1)
}

#[test]
fn everything_is_there_after_reopening() {
    let disk = SimDisk::new();
    let wal = open(&disk).unwrap();
    assert_eq!(wal.state(), State::default());
    append(&wal, entries(1, 0..100)).unwrap();
    save_vote(&wal, vote(2, 3)).unwrap();
    wal.truncate(90).unwrap();
    append(&wal, entries(2, 90..120)).unwrap();
    wal.save_committed(Position { term: 2, index: 95 });
    append(&wal, entries(2, 120..121)).unwrap();
    let (before, state) = (all(&wal), wal.state());
    drop(wal);
    let wal = open(&disk).unwrap();
    assert_eq!(wal.state(), state);
    assert_eq!(state.committed, Some(Position { term: 2, index: 95 }));
    assert_eq!(all(&wal), before);
    assert_eq!(
        before[89..92]
            .iter()
            .map(|e| e.position.term)
            .collect::<Vec<_>>(),
        [1, 2, 2]
    );
}

#[test]
fn purged_segments_go_and_the_rest_survives_reopening() {
    let disk = SimDisk::new();
    let wal = open(&disk).unwrap();
    for i in 0..100 {
        append(&wal, entries(1, i * 50..(i + 1) * 50)).unwrap();
    }
    let segments = || {
        let names = disk.list(Path::new(DIR)).unwrap();
        names.iter().filter(|n| n.ends_with(".wal")).count()
    };
    let full = segments();
    assert!(full > 5, "the test must fill several segments, has {full}");
    wal.purge(Position {
        term: 1,
        index: 4900,
    })
    .unwrap();
    // A purge is answered once it is durable and does its work then: the second flush comes after that.
    wal.flush().unwrap();
    wal.flush().unwrap();
    assert!(segments() <= 2, "{} left of {full}", segments());
    drop(wal);
    let wal = open(&disk).unwrap();
    assert_eq!(all(&wal), entries(1, 4901..5000));
    // Recycled files hold old frames: writing on and reopening must not meet them.
    append(&wal, entries(1, 5000..5400)).unwrap();
    drop(wal);
    let wal = open(&disk).unwrap();
    assert_eq!(all(&wal), entries(1, 4901..5400));
}

#[test]
fn purging_beyond_the_end_leaves_an_empty_log_that_goes_on_there() {
    let disk = SimDisk::new();
    let wal = open(&disk).unwrap();
    append(&wal, entries(1, 0..10)).unwrap();
    let upto = Position {
        term: 4,
        index: 500,
    };
    wal.purge(upto).unwrap();
    append(&wal, entries(4, 501..503)).unwrap();
    drop(wal);
    let wal = open(&disk).unwrap();
    assert_eq!(wal.state().purged, Some(upto));
    assert_eq!(all(&wal), entries(4, 501..503));
}

#[test]
fn a_torn_tail_is_cut_at_every_length() {
    let disk = SimDisk::new();
    let wal = open(&disk).unwrap();
    append(&wal, entries(1, 0..3)).unwrap();
    let (_, before) = newest(&disk);
    append(&wal, entries(1, 3..6)).unwrap();
    drop(wal);
    let (path, after) = newest(&disk);
    for cut in before..after {
        let torn = disk.power_cut(|| false);
        let file = torn.open(&path).unwrap();
        file.write_at(&vec![0; after - cut], cut as u64).unwrap();
        file.sync_data().unwrap();
        let wal = open(&torn).unwrap();
        assert_eq!(all(&wal), entries(1, 0..3), "cut at {cut}");
        append(&wal, entries(2, 3..5)).unwrap();
        drop(wal);
        let wal = open(&torn).unwrap();
        assert_eq!(wal.state().last, Some(Position { term: 2, index: 4 }));
    }
}

#[test]
fn damage_with_valid_frames_behind_it_is_refused() {
    let disk = SimDisk::new();
    let wal = open(&disk).unwrap();
    append(&wal, entries(1, 0..3)).unwrap();
    let (path, middle) = newest(&disk);
    append(&wal, entries(1, 3..6)).unwrap();
    append(&wal, entries(1, 6..9)).unwrap();
    drop(wal);
    for offset in 0..middle {
        let bad = disk.power_cut(|| false);
        bad.flip_bit(&path, offset);
        match open(&bad).map(|_| ()) {
            Err(Error::Damaged { .. }) => {}
            // Padding between frames is not covered, and not needed.
            Ok(()) => assert_eq!(all(&open(&bad).unwrap()), entries(1, 0..9), "at {offset}"),
            Err(other) => panic!("at {offset}: {other}"),
        }
    }
}

#[test]
fn a_missing_segment_is_refused() {
    let disk = SimDisk::new();
    let wal = open(&disk).unwrap();
    for i in 0..60 {
        append(&wal, entries(1, i * 50..(i + 1) * 50)).unwrap();
    }
    drop(wal);
    let names = disk.list(Path::new(DIR)).unwrap();
    let segments: Vec<_> = names.iter().filter(|n| n.ends_with(".wal")).collect();
    assert!(segments.len() > 2);
    disk.remove(&Path::new(DIR).join(segments[1])).unwrap();
    assert!(matches!(
        open(&disk).map(|_| ()),
        Err(Error::Damaged { .. })
    ));
}

#[test]
fn a_failed_sync_is_final_and_reported_once() {
    let disk = SimDisk::new();
    let failures = Arc::new(AtomicUsize::new(0));
    let seen = failures.clone();
    let wal = Wal::open(
        Arc::new(disk.clone()),
        Options {
            on_failure: Arc::new(move |_| {
                seen.fetch_add(1, Ordering::SeqCst);
            }),
            ..options(64 << 10)
        },
    )
    .unwrap();
    append(&wal, entries(1, 0..3)).unwrap();
    disk.fail_syncs_after(0);
    assert!(append(&wal, entries(1, 3..4)).is_err());
    disk.mend();
    // The disk works again, but what it holds is unknown: nothing may succeed any more.
    assert!(append(&wal, entries(1, 4..5)).is_err());
    assert_eq!(failures.load(Ordering::SeqCst), 1);
}

#[test]
fn a_full_disk_fails_the_write_and_loses_nothing() {
    let disk = SimDisk::new();
    let wal = open(&disk).unwrap();
    append(&wal, entries(1, 0..50)).unwrap();
    disk.fill_after(0);
    let mut acknowledged = 50;
    while append(&wal, entries(1, acknowledged..acknowledged + 50)).is_ok() {
        acknowledged += 50;
        assert!(acknowledged < 100_000, "the disk never ran full");
    }
    drop(wal);
    disk.mend();
    let wal = open(&disk).unwrap();
    assert!(wal.state().last.unwrap().index + 1 >= acknowledged);
    assert_eq!(
        all(&wal)[..acknowledged as usize],
        entries(1, 0..acknowledged)[..]
    );
}

#[test]
fn old_entries_are_read_back_from_disk_when_memory_is_short() {
    let disk = SimDisk::new();
    let small = Options {
        cache_bytes: 1000,
        ..options(64 << 10)
    };
    let wal = Wal::open(Arc::new(disk.clone()), small.clone()).unwrap();
    append(&wal, entries(1, 0..3000)).unwrap();
    assert_eq!(all(&wal), entries(1, 0..3000));
    drop(wal);
    let wal = Wal::open(Arc::new(disk), small).unwrap();
    assert_eq!(all(&wal), entries(1, 0..3000));
    let some = wal.read(10..3000, 100).unwrap();
    assert!(
        !some.is_empty() && some.len() < 10,
        "the byte limit holds: {}",
        some.len()
    );
}

/// What a caller was told is durable, to be compared with what is found.
#[derive(Default, Clone)]
struct Told {
    vote: Option<Vote>,
    entries: Vec<Entry>,
    purged: Option<u64>,
}

/// Random requests until the power is cut in the middle of them.
#[expect(clippy::too_many_lines, reason = "one life, told in order")]
fn life(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut disk = SimDisk::new();
    let mut told = Told::default();
    for _ in 0..4 {
        let wal = open(&disk).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        check(&wal, &told, seed);
        let state = wal.state();
        let mut term = state.vote.map_or(1, |v| v.term + 1);
        let mut next = state.last.map_or(0, |p| p.index + 1);
        let log = Arc::new(Mutex::new(Told {
            vote: state.vote,
            entries: all(&wal),
            purged: state.purged.map(|p| p.index),
        }));
        let steps = rng.random_range(1..60);
        let cut_at = rng.random_range(0..steps);
        let mut cut = None;
        for step in 0..steps {
            if step == cut_at {
                let mut keep = StdRng::seed_from_u64(rng.random());
                let snapshot = log.lock().unwrap().clone();
                cut = Some((disk.power_cut(move || keep.random_bool(0.5)), snapshot));
            }
            match rng.random_range(0..10) {
                0 => {
                    term += 1;
                    let v = vote(term, rng.random_range(1..4));
                    let log = log.clone();
                    wal.save_vote(
                        v,
                        Box::new(move |r| {
                            r.unwrap();
                            log.lock().unwrap().vote = Some(v);
                        }),
                    )
                    .unwrap();
                }
                1 if next > 4 => {
                    let purged = wal.state().purged.map_or(0, |p| p.index + 1);
                    let keep_below = next.saturating_sub(rng.random_range(1..4)).max(purged);
                    wal.flush().unwrap();
                    log.lock()
                        .unwrap()
                        .entries
                        .retain(|e| e.position.index < keep_below);
                    wal.truncate(keep_below).unwrap();
                    next = keep_below;
                }
                2 if next > 20 => {
                    let upto = next - rng.random_range(1..20);
                    if let [p] = wal.positions(upto..upto + 1)[..] {
                        wal.flush().unwrap();
                        log.lock().unwrap().purged = Some(upto);
                        wal.purge(p).unwrap();
                    }
                }
                _ => {
                    let n = rng.random_range(1..40);
                    let list = entries(term, next..next + n);
                    next += n;
                    let (log, durable) = (log.clone(), list.clone());
                    wal.append(
                        list,
                        Box::new(move |r| {
                            r.unwrap();
                            log.lock().unwrap().entries.extend(durable);
                        }),
                    )
                    .unwrap();
                }
            }
            if rng.random_bool(0.3) {
                wal.flush().unwrap();
            }
        }
        drop(wal);
        if let Some((after, snapshot)) = cut {
            (disk, told) = (after, snapshot);
        }
    }
}

/// Everything told durable is there, unless a later request could have voided it.
fn check(wal: &Wal, told: &Told, seed: u64) {
    let state = wal.state();
    if let Some(v) = told.vote {
        assert!(
            state.vote.unwrap().term >= v.term,
            "seed {seed}: lost a vote"
        );
    }
    let found = all(wal);
    let purged = state.purged.map(|p| p.index);
    for e in told
        .entries
        .iter()
        .filter(|e| Some(e.position.index) > purged)
    {
        let at = found.iter().find(|f| f.position.index == e.position.index);
        match at {
            Some(f) => assert!(
                f.position.term >= e.position.term && (f.position != e.position || f == e),
                "seed {seed}"
            ),
            None => panic!(
                "seed {seed}: entry {:?} was acknowledged and is gone",
                e.position
            ),
        }
    }
}

#[test]
fn acknowledged_entries_and_votes_survive_thousands_of_power_cuts() {
    for seed in 0..1000 {
        life(seed);
    }
}
