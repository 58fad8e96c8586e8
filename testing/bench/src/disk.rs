//! The disk's own limit: what the same number of logs could do with nothing above them.

use crate::report::Sample;
use anyhow::Context;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// Written and synced at a time: about what one entry takes.
const BLOCK: usize = 4 << 10;
/// A file filled beforehand, so that no write changes the file system's own records.
const FILE_BYTES: usize = 16 << 20;

/// Writes and syncs one small block after the other, in as many files at once as there
/// are members, where members keep their data; all syncs count.
pub(crate) fn run(files: u8, duration: Duration) -> anyhow::Result<Sample> {
    let directory = tempfile::tempdir().context("no temporary directory")?;
    let together = Barrier::new(usize::from(files));
    let micros = std::thread::scope(|scope| {
        let writers = (0..files).map(|file| {
            let (path, together) = (directory.path().join(file.to_string()), &together);
            scope.spawn(move || {
                let filled = fill(&path);
                together.wait();
                write(&filled?, duration)
            })
        });
        let writers: Vec<_> = writers.collect();
        let mut all = Vec::new();
        for writer in writers {
            let micros = writer.join();
            all.extend(micros.map_err(|_| anyhow::anyhow!("a writer panicked"))??);
        }
        anyhow::Ok(all)
    })?;
    Ok(Sample::new(micros, duration, Duration::ZERO))
}

fn fill(path: &Path) -> anyhow::Result<File> {
    let file = File::create_new(path)?;
    file.write_all_at(&vec![0; FILE_BYTES], 0)?;
    file.sync_all()?;
    Ok(file)
}

fn write(file: &File, duration: Duration) -> anyhow::Result<Vec<u32>> {
    let block = [0x5a; BLOCK];
    let mut micros = Vec::new();
    let started = Instant::now();
    for place in (0..FILE_BYTES).step_by(BLOCK).cycle() {
        if started.elapsed() >= duration {
            break;
        }
        let before = Instant::now();
        file.write_all_at(&block, place as u64)?;
        file.sync_data()?;
        micros.push(u32::try_from(before.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    Ok(micros)
}
