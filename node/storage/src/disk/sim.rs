//! A disk in memory that can lose power, run full, or fail.
//!
//! Data written but not synced is *pending*. A power cut keeps a random subset
//! of the pending 512-byte sectors, in any order, as a real disk may; directory
//! changes not yet synced by [`Disk::sync_dir`] are kept or lost one by one.

use super::{Disk, DiskFile};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SECTOR: usize = 512;

#[derive(Default)]
struct Content {
    /// What a reader sees.
    live: Vec<u8>,
    /// What survives for certain.
    durable: Vec<u8>,
    /// Sectors that differ from `durable` since the last sync.
    dirty: std::collections::BTreeSet<usize>,
}

type Shared = Arc<Mutex<Content>>;

#[derive(Default)]
struct Tree {
    live: BTreeMap<PathBuf, Shared>,
    durable: BTreeMap<PathBuf, Shared>,
}

/// Failures to inject, counted down per operation.
#[derive(Default)]
struct Faults {
    writes_left: Option<u64>,
    syncs_left: Option<u64>,
    bytes_left: Option<u64>,
}

/// The simulated disk. Clones share it.
#[derive(Clone, Default)]
pub struct SimDisk {
    tree: Arc<Mutex<Tree>>,
    faults: Arc<Mutex<Faults>>,
}

struct SimFile {
    content: Shared,
    faults: Arc<Mutex<Faults>>,
}

fn injected(what: &str) -> io::Error {
    io::Error::other(format!("injected failure of {what}"))
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `n` more writes succeed, then fails every one.
    pub fn fail_writes_after(&self, n: u64) {
        self.faults.lock().writes_left = Some(n);
    }

    /// Lets `n` more syncs succeed, then fails every one.
    pub fn fail_syncs_after(&self, n: u64) {
        self.faults.lock().syncs_left = Some(n);
    }

    /// Lets files grow by `n` more bytes in total, then reports a full disk.
    pub fn fill_after(&self, n: u64) {
        self.faults.lock().bytes_left = Some(n);
    }

    /// Ends all injected failures.
    pub fn mend(&self) {
        *self.faults.lock() = Faults::default();
    }

    /// Cuts the power. `keep` is asked once for each thing that was not synced
    /// (a sector, a directory entry) whether it reached the disk all the same.
    /// Returns the disk as the next start finds it; files open on the old one
    /// no longer matter.
    pub fn power_cut(&self, mut keep: impl FnMut() -> bool) -> SimDisk {
        let tree = self.tree.lock();
        let mut survivors: BTreeMap<PathBuf, Shared> = BTreeMap::new();
        let paths: std::collections::BTreeSet<_> =
            tree.live.keys().chain(tree.durable.keys()).collect();
        for path in paths {
            let (live, durable) = (tree.live.get(path), tree.durable.get(path));
            let same = match (live, durable) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                _ => false,
            };
            let chosen = if same || keep() { live } else { durable };
            let Some(content) = chosen else { continue };
            let content = content.lock();
            let mut data = content.durable.clone();
            for &sector in &content.dirty {
                if keep() {
                    let from = sector * SECTOR;
                    let to = (from + SECTOR).min(content.live.len());
                    if data.len() < to {
                        data.resize(to, 0);
                    }
                    if from < to {
                        data[from..to].copy_from_slice(&content.live[from..to]);
                    }
                }
            }
            let fresh = Content {
                live: data.clone(),
                durable: data,
                dirty: std::collections::BTreeSet::new(),
            };
            survivors.insert(path.clone(), Arc::new(Mutex::new(fresh)));
        }
        SimDisk {
            tree: Arc::new(Mutex::new(Tree {
                durable: survivors.clone(),
                live: survivors,
            })),
            faults: Arc::default(),
        }
    }

    /// Flips one bit of a file, as a failing disk would.
    ///
    /// # Panics
    /// If the file is not there or shorter than `offset`.
    pub fn flip_bit(&self, path: &Path, offset: usize) {
        let tree = self.tree.lock();
        let mut content = tree.live[path].lock();
        content.live[offset] ^= 1;
        content.durable = content.live.clone();
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.content.lock();
        let from = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(content.live.len());
        let n = buf.len().min(content.live.len() - from);
        buf[..n].copy_from_slice(&content.live[from..from + n]);
        Ok(n)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        if let Some(left) = self.faults.lock().writes_left.as_mut() {
            if *left == 0 {
                return Err(injected("a write"));
            }
            *left -= 1;
        }
        let mut content = self.content.lock();
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let end = from + data.len();
        if content.live.len() < end {
            content.live.resize(end, 0);
        }
        content.live[from..end].copy_from_slice(data);
        if !data.is_empty() {
            content.dirty.extend(from / SECTOR..=(end - 1) / SECTOR);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        if let Some(left) = self.faults.lock().syncs_left.as_mut() {
            if *left == 0 {
                return Err(injected("a sync"));
            }
            *left -= 1;
        }
        let mut content = self.content.lock();
        let Content {
            live,
            durable,
            dirty,
        } = &mut *content;
        durable.resize(live.len(), 0);
        for sector in std::mem::take(dirty) {
            let from = sector * SECTOR;
            let to = (from + SECTOR).min(live.len());
            durable[from..to].copy_from_slice(&live[from..to]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut content = self.content.lock();
        let (old, new) = (
            content.live.len(),
            usize::try_from(len).map_err(io::Error::other)?,
        );
        content.live.resize(new, 0);
        if new > old {
            content.dirty.extend(old / SECTOR..=(new - 1) / SECTOR);
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.content.lock().live.len() as u64)
    }
}

impl Disk for SimDisk {
    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let tree = self.tree.lock();
        let content = tree
            .live
            .get(path)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(Arc::new(SimFile {
            content: content.clone(),
            faults: self.faults.clone(),
        }))
    }

    fn create_zeroed(&self, path: &Path, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(left) = self.faults.lock().bytes_left.as_mut() {
            if *left < len {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            *left -= len;
        }
        let mut tree = self.tree.lock();
        if tree.live.contains_key(path) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        let zeros = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        let content = Arc::new(Mutex::new(Content {
            live: zeros.clone(),
            durable: zeros,
            dirty: std::collections::BTreeSet::new(),
        }));
        tree.live.insert(path.to_owned(), content.clone());
        drop(tree);
        Ok(Arc::new(SimFile {
            content,
            faults: self.faults.clone(),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = self.tree.lock();
        let content = tree
            .live
            .remove(from)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        tree.live.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.tree
            .lock()
            .live
            .remove(path)
            .map(drop)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let tree = self.tree.lock();
        Ok(tree
            .live
            .keys()
            .filter(|path| path.parent() == Some(dir))
            .filter_map(|path| path.file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut tree = self.tree.lock();
        let Tree { live, durable } = &mut *tree;
        durable.retain(|path, _| path.parent() != Some(dir));
        durable.extend(
            live.iter()
                .filter(|(path, _)| path.parent() == Some(dir))
                .map(|(path, content)| (path.clone(), content.clone())),
        );
        Ok(())
    }
}
