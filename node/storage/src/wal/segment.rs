//! One file of the log.

use super::Error;
use crate::disk::{Disk, DiskFile};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;

/// An open segment.
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) name: String,
    pub(super) file: Arc<dyn DiskFile>,
    /// See [`super::frame`].
    pub(super) salt: u32,
}

const SUFFIX: &str = ".wal";
/// Prefix of prepared, not yet used files.
pub(super) const SPARE: &str = "spare-";

pub(super) fn name_of(number: u64) -> String {
    format!("{number:016x}{SUFFIX}")
}

pub(super) fn spare_name(number: u64) -> String {
    format!("{SPARE}{number:016x}")
}

pub(super) fn number_of(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_suffix(SUFFIX)?, 16).ok()
}

pub(super) fn io(action: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |e| Error::Io {
        action,
        reason: e.to_string(),
    }
}

impl Segment {
    /// Opens a segment; its salt is that of its first frame, or a new one if it has none.
    pub(super) fn open(disk: &dyn Disk, dir: &Path, number: u64) -> Result<Arc<Self>, Error> {
        let name = name_of(number);
        let file = disk.open(&dir.join(&name)).map_err(io("open a segment"))?;
        let salt = RandomState::new().hash_one(number) as u32;
        Ok(Arc::new(Self {
            number,
            name,
            file,
            salt,
        }))
    }

    /// The same segment with the salt that its first frame was found to have.
    pub(super) fn with_salt(&self, salt: u32) -> Arc<Self> {
        Arc::new(Self {
            number: self.number,
            name: self.name.clone(),
            file: self.file.clone(),
            salt,
        })
    }

    /// Makes segment `number` from a prepared file, or from nothing.
    pub(super) fn make(
        disk: &dyn Disk,
        dir: &Path,
        number: u64,
        bytes: u64,
        spare: Option<String>,
    ) -> Result<Arc<Self>, Error> {
        let spare = match spare {
            Some(spare) => spare,
            None => prepare(disk, dir, number, bytes)?,
        };
        disk.rename(&dir.join(spare), &dir.join(name_of(number)))
            .map_err(io("name a segment"))?;
        disk.sync_dir(dir).map_err(io("sync the log directory"))?;
        Self::open(disk, dir, number)
    }
}

/// Makes a zero-filled file for later use; returns its name.
pub(super) fn prepare(
    disk: &dyn Disk,
    dir: &Path,
    number: u64,
    bytes: u64,
) -> Result<String, Error> {
    let name = spare_name(number);
    // A half-made one from a full disk may be in the way.
    match disk.remove(&dir.join(&name)) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(io("remove a half-made segment")(e)),
    }
    disk.create_zeroed(&dir.join(&name), bytes)
        .map_err(io("make a segment"))?;
    Ok(name)
}
