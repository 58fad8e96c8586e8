//! Who this data directory belongs to: cluster, member, and the directory itself.
//!
//! Written once, when the directory is first used; a member that finds another
//! identity in its directory refuses to start.

use crate::disk::{Disk, replace_file};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// File name below the data directory.
pub const FILE: &str = "identity.json";

/// The identity of one data directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Identity {
    /// Layout version of the directory.
    pub format: u32,
    /// Cluster ID; never zero.
    pub cluster_id: u64,
    /// Member ID; never zero, never reused within the cluster.
    pub member_id: u64,
    /// Random name of this directory: tells a wiped disk from the old one.
    pub store_uuid: String,
}

/// Layout version that this program writes.
pub const FORMAT: u32 = 1;

/// Why an identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system failed.
    #[error("failed to read or write the identity file {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the file system said.
        source: io::Error,
    },
    /// The file is there but makes no sense.
    #[error(
        "the identity file {path} is damaged ({reason}): restore the directory from a backup, or \
         empty it and let the member join again under a NEW member ID"
    )]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The directory was written by a newer program.
    #[error(
        "the data directory has layout {found}, this program knows up to {FORMAT}: use a newer kvorum-node"
    )]
    TooNew {
        /// Its layout version.
        found: u32,
    },
}

/// Reads the identity of a data directory; `None` if it has none yet.
///
/// # Errors
/// See [`Error`].
pub fn load(disk: &dyn Disk, data_dir: &Path) -> Result<Option<Identity>, Error> {
    let path = data_dir.join(FILE);
    let io = |source| Error::Io {
        path: path.display().to_string(),
        source,
    };
    let file = match disk.open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(e)),
    };
    let mut text = vec![0; usize::try_from(file.size().map_err(io)?.min(1 << 16)).unwrap_or(0)];
    let n = file.read_at(&mut text, 0).map_err(io)?;
    let identity: Identity = serde_json::from_slice(&text[..n]).map_err(|e| Error::Damaged {
        path: path.display().to_string(),
        reason: e.to_string(),
    })?;
    if identity.format > FORMAT {
        return Err(Error::TooNew {
            found: identity.format,
        });
    }
    Ok(Some(identity))
}

/// Writes the identity of a data directory that had none.
///
/// # Errors
/// If the file system fails.
pub fn create(
    disk: &dyn Disk,
    data_dir: &Path,
    cluster_id: u64,
    member_id: u64,
) -> Result<Identity, Error> {
    let identity = Identity {
        format: FORMAT,
        cluster_id,
        member_id,
        store_uuid: uuid::Uuid::new_v4().to_string(),
    };
    let path = data_dir.join(FILE);
    let text = serde_json::to_vec_pretty(&identity).unwrap_or_default();
    replace_file(disk, &path, &text).map_err(|source| Error::Io {
        path: path.display().to_string(),
        source,
    })?;
    Ok(identity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::sim::SimDisk;

    #[test]
    fn written_identity_is_read_back_also_after_a_power_cut() {
        let disk = SimDisk::new();
        let dir = Path::new("/data");
        assert_eq!(load(&disk, dir).unwrap(), None);
        let made = create(&disk, dir, 7, 3).unwrap();
        let after = disk.power_cut(|| false);
        assert_eq!(load(&after, dir).unwrap(), Some(made));
    }

    #[test]
    fn damage_and_newer_layouts_are_refused() {
        let disk = SimDisk::new();
        let dir = Path::new("/data");
        replace_file(&disk, &dir.join(FILE), b"{").unwrap();
        assert!(matches!(load(&disk, dir), Err(Error::Damaged { .. })));
        let newer = br#"{"format":99,"clusterId":1,"memberId":1,"storeUuid":"x"}"#;
        replace_file(&disk, &dir.join(FILE), newer).unwrap();
        assert!(matches!(load(&disk, dir), Err(Error::TooNew { found: 99 })));
    }
}
