//! Whose data directory this is, and whether this member may use it.

use crate::config::Start;
use crate::consensus::types::{MemberId, Node};
use crate::peer::{Context, link};
use kvorum_proto::peer::{Purpose, Refusal};
use kvorum_storage::disk::Disk;
use kvorum_storage::identity::{self, Identity};
use std::collections::BTreeMap;
use std::path::Path;

/// Why this member must not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The identity file.
    #[error(transparent)]
    Identity(#[from] identity::Error),
    /// The directory is another member's, or another cluster's.
    #[error(
        "the data directory {dir} belongs to member {found_member} of cluster {found_cluster:016x}, but the flags \
         say member {member} of cluster {cluster:016x}: use the right directory, or a new one with a new member ID"
    )]
    Foreign {
        /// The directory.
        dir: String,
        /// Whose it is.
        found_member: MemberId,
        /// Its cluster.
        found_cluster: u64,
        /// Who we are.
        member: MemberId,
        /// Our cluster.
        cluster: u64,
    },
    /// Something is there that is not ours.
    #[error(
        "the data directory {dir} holds {found}, but no identity: it is not a kvorum-node directory; use another one"
    )]
    NotOurs {
        /// The directory.
        dir: String,
        /// What is there.
        found: String,
    },
    /// The cluster knows this member by another directory.
    #[error("{0}")]
    Bootstrapped(String),
    /// The file system.
    #[error("the data directory {dir} cannot be used: {reason}")]
    Io {
        /// The directory.
        dir: String,
        /// What the file system said.
        reason: String,
    },
}

fn ids(start: &Start) -> (u64, MemberId) {
    match start {
        Start::Join {
            cluster_id,
            member_id,
        }
        | Start::Static {
            cluster_id,
            member_id,
            ..
        } => (*cluster_id, *member_id),
    }
}

/// The identity of the data directory, made if the directory is empty. Also
/// whether it was made just now.
///
/// # Errors
/// See [`Error`].
pub fn identify(disk: &dyn Disk, dir: &Path, start: &Start) -> Result<(Identity, bool), Error> {
    let io = |e: std::io::Error| Error::Io {
        dir: dir.display().to_string(),
        reason: e.to_string(),
    };
    let (cluster, member) = ids(start);
    disk.create_dir_all(dir).map_err(io)?;
    if let Some(found) = identity::load(disk, dir)? {
        if (found.cluster_id, found.member_id) != (cluster, member) {
            return Err(Error::Foreign {
                dir: dir.display().to_string(),
                found_member: found.member_id,
                found_cluster: found.cluster_id,
                member,
                cluster,
            });
        }
        return Ok((found, false));
    }
    for name in ["wal", "db", "member"] {
        if dir.join(name).exists() {
            return Err(Error::NotOurs {
                dir: dir.display().to_string(),
                found: name.to_owned(),
            });
        }
    }
    Ok((identity::create(disk, dir, cluster, member)?, true))
}

/// The members that a static start forms the cluster from.
#[must_use]
pub fn nodes(members: &BTreeMap<MemberId, (String, Vec<String>)>) -> BTreeMap<MemberId, Node> {
    let node = |(name, urls): &(String, Vec<String>)| Node {
        name: name.clone(),
        peer_urls: urls.clone(),
        zone: String::new(),
        store_uuid: String::new(),
    };
    members.iter().map(|(id, m)| (*id, node(m))).collect()
}

/// Asks the peers that are up whether they know this member by another
/// directory. One that was in the cluster before and comes back empty must not
/// vote: it has forgotten what it acknowledged.
///
/// # Errors
/// [`Error::Bootstrapped`] if one of them does.
pub async fn ask_peers(context: &Context, members: &BTreeMap<MemberId, Node>) -> Result<(), Error> {
    let me = context.identity.member_id;
    let probes = members
        .iter()
        .filter(|(id, _)| **id != me)
        .map(|(id, node)| link::dial(context, *id, node, Purpose::Probe));
    for outcome in futures::future::join_all(probes).await {
        if let Err(link::DialError::Refused {
            reason: Refusal::StoreOfSender,
            text,
            ..
        }) = outcome
        {
            return Err(Error::Bootstrapped(text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kvorum_storage::disk::sim::SimDisk;

    fn join(cluster_id: u64, member_id: u64) -> Start {
        Start::Join {
            cluster_id,
            member_id,
        }
    }

    #[test]
    fn a_directory_stays_whose_it_was_first() {
        let disk = SimDisk::new();
        let dir = Path::new("/kvorum-no-such-directory");
        let (made, new) = identify(&disk, dir, &join(7, 1)).unwrap();
        assert!(new);
        let (again, new) = identify(&disk, dir, &join(7, 1)).unwrap();
        assert_eq!((again, new), (made, false));
        for other in [join(7, 2), join(8, 1)] {
            let error = identify(&disk, dir, &other).unwrap_err();
            assert!(
                error.to_string().contains("belongs to member 1 of cluster"),
                "{error}"
            );
        }
    }

    #[test]
    fn another_programs_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("member")).unwrap();
        let disk = kvorum_storage::disk::RealDisk { sync: false };
        let error = identify(&disk, dir.path(), &join(7, 1)).unwrap_err();
        assert!(matches!(error, Error::NotOurs { .. }), "{error}");
    }
}
