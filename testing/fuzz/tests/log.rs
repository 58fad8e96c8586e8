//! Goal: whatever stands in a segment of the log, opening it ends, with an error or with entries that were written.
//! Method: segments of a real log, changed, on a simulated disk.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use kvorum_fuzz::fuzz;
use kvorum_storage::disk::Disk;
use kvorum_storage::disk::sim::SimDisk;
use kvorum_storage::wal::{Entry, Options, Position, Vote, Wal};

const DIR: &str = "/data/wal";
const SEGMENT: u64 = 4 << 10;

fn open(disk: &SimDisk) -> Result<Wal, String> {
    let options = Options {
        segment_bytes: SEGMENT,
        ..Options::new(DIR.into())
    };
    Wal::open(Arc::new(disk.clone()), options).map_err(|error| error.to_string())
}

/// Payloads by term and index.
type Written = BTreeMap<(u64, u64), Bytes>;
type Files = Vec<(PathBuf, Vec<u8>)>;

/// A log with votes and entries of two terms; what was written, and its segments.
fn written() -> (Written, Files) {
    let disk = SimDisk::new();
    let wal = open(&disk).unwrap();
    let mut written = Written::new();
    for (term, range) in [(1, 0..30_u64), (3, 25..60)] {
        let (tx, rx) = mpsc::channel();
        let vote = Vote {
            term,
            node: 1,
            committed: true,
        };
        wal.save_vote(vote, Box::new(move |done| tx.send(done).unwrap()))
            .unwrap();
        rx.recv().unwrap().unwrap();
        wal.truncate(range.start).unwrap();
        let entries: Vec<Entry> = range
            .map(|index| Entry {
                position: Position { term, index },
                payload: Bytes::from(format!("t{term}i{index}").repeat(index as usize % 9 * 8 + 1)),
            })
            .collect();
        for entry in &entries {
            let at = (entry.position.term, entry.position.index);
            written.insert(at, entry.payload.clone());
        }
        let (tx, rx) = mpsc::channel();
        wal.append(entries, Box::new(move |done| tx.send(done).unwrap()))
            .unwrap();
        rx.recv().unwrap().unwrap();
    }
    drop(wal);
    let names = disk.list(Path::new(DIR)).unwrap();
    let paths = names.into_iter().map(|name| Path::new(DIR).join(name));
    let files = paths.map(|path| {
        let file = disk.open(&path).unwrap();
        let mut data = vec![0; usize::try_from(file.size().unwrap()).unwrap()];
        file.read_at(&mut data, 0).unwrap();
        (path, data)
    });
    (written, files.collect())
}

#[test]
fn a_damaged_log_ends_in_an_error_or_in_what_was_written() {
    let (written, files) = written();
    assert!(files.len() > 2, "several segments");
    // The first byte chooses the file, the rest is what stands in it.
    let numbered = |(number, (_, data)): (usize, &(PathBuf, Vec<u8>))| {
        let end = data
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |at| at + 1);
        let number = u8::try_from(number).unwrap();
        [&[number], &data[..end]].concat()
    };
    let seeds: Vec<Vec<u8>> = files.iter().enumerate().map(numbered).collect();
    let (mut opened, mut refused) = (0, 0);
    fuzz("log", 3000, &seeds, |input| {
        let Some((number, changed)) = input.split_first() else {
            return Ok(());
        };
        let disk = SimDisk::new();
        disk.create_dir_all(Path::new(DIR)).unwrap();
        for (place, (path, data)) in files.iter().enumerate() {
            let chosen = place == usize::from(*number) % files.len();
            let text: &[u8] = if chosen { changed } else { data };
            let file = disk.create_zeroed(path, data.len() as u64).unwrap();
            file.write_at(text, 0).unwrap();
        }
        let Ok(wal) = open(&disk) else {
            refused += 1;
            return Ok(());
        };
        opened += 1;
        let read = wal.read(wal.range(), usize::MAX);
        for entry in read.map_err(|error| format!("it opened, and cannot be read: {error}"))? {
            let at = (entry.position.term, entry.position.index);
            if written.get(&at) != Some(&entry.payload) {
                return Err(format!("nobody wrote the entry at {at:?}"));
            }
        }
        Ok(())
    });
    println!("{opened} opened, {refused} refused");
    assert!(opened > 0 && refused > 0, "both ways are taken");
}
