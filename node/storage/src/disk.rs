//! The file-system operations that storage needs, as a trait.
//!
//! [`RealDisk`] is the machine's file system. [`sim::SimDisk`] keeps files in
//! memory and can lose power: what was not synced is then lost sector by sector.

pub mod sim;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One open file. All methods take `&self`: positions are explicit.
pub trait DiskFile: Send + Sync {
    /// Reads up to `buf.len()` bytes at `offset`; returns how many were there.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `data` at `offset`.
    ///
    /// # Errors
    /// Whatever the file system reports; the file may then hold any part of `data`.
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()>;

    /// Returns once everything written so far survives a power cut.
    ///
    /// # Errors
    /// After an error nothing is known about what is durable: the caller must stop.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes it so long: cut off, or filled up with zeroes.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Length in bytes.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn size(&self) -> io::Result<u64>;
}

/// A directory tree.
pub trait Disk: Send + Sync + 'static {
    /// Makes `path` and its parents.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// `NotFound`, or whatever the file system reports.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Makes a file of `len` zero bytes (written out, so that later overwrites
    /// need no allocation) and syncs it. Fails if it exists.
    ///
    /// # Errors
    /// `AlreadyExists`, `StorageFull`, or whatever the file system reports.
    fn create_zeroed(&self, path: &Path, len: u64) -> io::Result<Arc<dyn DiskFile>>;

    /// Moves a file over another.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Unlinks a file.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Names of the files in a directory, sorted.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Makes creations, renames and removals in `dir` durable.
    ///
    /// # Errors
    /// As for [`DiskFile::sync_data`].
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// The machine's file system.
#[derive(Debug, Clone, Copy)]
pub struct RealDisk {
    /// False only under `--unsafe-no-fsync`, for tests of other programs.
    pub sync: bool,
}

struct RealFile {
    file: File,
    sync: bool,
}

impl DiskFile for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.file.read_at(&mut buf[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.sync {
            self.file.sync_data()
        } else {
            Ok(())
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

impl RealDisk {
    fn wrap(self, file: File) -> Arc<dyn DiskFile> {
        Arc::new(RealFile {
            file,
            sync: self.sync,
        })
    }
}

impl Disk for RealDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(self.wrap(file))
    }

    fn create_zeroed(&self, path: &Path, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        let zeros = vec![0_u8; 1 << 20];
        let mut at = 0;
        while at < len {
            let n = usize::try_from((len - at).min(zeros.len() as u64)).unwrap_or(zeros.len());
            file.write_all_at(&zeros[..n], at)?;
            at += n as u64;
        }
        if self.sync {
            file.sync_all()?;
        }
        Ok(self.wrap(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if self.sync {
            File::open(dir)?.sync_all()
        } else {
            Ok(())
        }
    }
}

/// Replaces a small file so that after a crash either the old or the new content is there.
///
/// # Errors
/// Whatever the file system reports; the old content then still stands.
pub fn replace_file(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = PathBuf::from(path);
    temporary.set_extension("tmp");
    match disk.remove(&temporary) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let file = disk.create_zeroed(&temporary, content.len() as u64)?;
    file.write_at(content, 0)?;
    file.sync_data()?;
    disk.rename(&temporary, path)?;
    if let Some(dir) = path.parent() {
        disk.sync_dir(dir)?;
    }
    Ok(())
}
