//! Whose data directory this is, and whether this member may use it.

use crate::config::Start;
use crate::consensus::types::{MemberId, Node};
use crate::exchange;
use crate::limits::{LOOKUP_DISAGREEMENT, LOOKUP_TIMEOUT, NO_LEADER_PAUSE};
use crate::peer::{Context, link};
use crate::tls::Port;
use kvorum_proto::peer::{Directory, Purpose, Refusal};
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
    /// What is there is an etcd's and cannot be taken over.
    #[error(transparent)]
    Import(#[from] exchange::Error),
    /// The cluster does not know this member.
    #[error(
        "the cluster has no member with the peer URLs {0}: add it first (MemberAdd, or `etcdctl member add`)"
    )]
    NotAdded(String),
    /// No member could be asked.
    #[error("no member of the cluster to join could be asked for this member's ID: {0}")]
    NobodyAnswers(String),
    /// The file system.
    #[error("the data directory {dir} cannot be used: {reason}")]
    Io {
        /// The directory.
        dir: String,
        /// What the file system said.
        reason: String,
    },
}

/// The identity of the data directory, made if the directory is empty. Also
/// whether it was made just now. As with etcd, a directory in use outweighs the
/// `--initial-*` flags; only `--join` insists on its IDs.
///
/// # Errors
/// See [`Error`].
pub async fn identify(
    disk: &dyn Disk,
    dir: &Path,
    start: &Start,
    port: &Port,
    sync: bool,
) -> Result<(Identity, bool), Error> {
    let io = |e: std::io::Error| Error::Io {
        dir: dir.display().to_string(),
        reason: e.to_string(),
    };
    disk.create_dir_all(dir).map_err(io)?;
    if let Some(found) = identity::load(disk, dir)? {
        if let Start::Join {
            cluster_id,
            member_id,
        } = *start
            && (found.cluster_id, found.member_id) != (cluster_id, member_id)
        {
            return Err(Error::Foreign {
                dir: dir.display().to_string(),
                found_member: found.member_id,
                found_cluster: found.cluster_id,
                member: member_id,
                cluster: cluster_id,
            });
        }
        return Ok((found, false));
    }
    if !matches!(start, Start::Join { .. }) && exchange::is_restored(dir) {
        let imported = exchange::import(dir, sync)?;
        let (revision, records) = (imported.revision, imported.records);
        tracing::info!(revision, records, "Took a restored snapshot over");
        return Ok((imported.identity, true));
    }
    for name in ["wal", "db", "member"] {
        if dir.join(name).exists() {
            return Err(Error::NotOurs {
                dir: dir.display().to_string(),
                found: name.to_owned(),
            });
        }
    }
    let (cluster, member) = match start {
        Start::Join {
            cluster_id,
            member_id,
        }
        | Start::Static {
            cluster_id,
            member_id,
            ..
        } => (*cluster_id, *member_id),
        Start::Existing { own, others } => look_up(own, others, port).await?,
    };
    Ok((identity::create(disk, dir, cluster, member)?, true))
}

/// Asks the members of a cluster under which ID this member was added to it. A member that is
/// behind still knows the one that had these URLs before: so all are asked, and asked again for a
/// moment while they do not say the same.
async fn look_up(own: &[String], others: &[String], port: &Port) -> Result<(u64, MemberId), Error> {
    let started = tokio::time::Instant::now();
    loop {
        let asked = others.iter().map(|url| async move {
            let directory = link::look_up(url, port).await;
            directory.map_err(|error| format!("{url}: {error}"))
        });
        let (mut answers, mut reasons) = (Vec::new(), Vec::new());
        for answer in futures::future::join_all(asked).await {
            match answer {
                Ok(directory) => answers.push(find_self(directory, own)),
                Err(reason) => reasons.push(reason),
            }
        }
        let patience = if answers.is_empty() {
            LOOKUP_TIMEOUT
        } else {
            LOOKUP_DISAGREEMENT
        };
        match agree(answers, own, &reasons.join("; ")) {
            Ok(found) => return Ok(found),
            Err(error) if started.elapsed() >= patience => return Err(error),
            Err(_) => tokio::time::sleep(NO_LEADER_PAUSE).await,
        }
    }
}

/// What all who answered say; a refusal of one outweighs the others. Pure.
fn agree(
    answers: Vec<Result<(u64, MemberId), Error>>,
    own: &[String],
    silent: &str,
) -> Result<(u64, MemberId), Error> {
    let answers: Vec<_> = answers.into_iter().collect::<Result<_, _>>()?;
    let Some(first) = answers.first() else {
        return Err(Error::NobodyAnswers(silent.to_owned()));
    };
    if answers.iter().any(|answer| answer != first) {
        return Err(Error::NotAdded(own.join(",")));
    }
    Ok(*first)
}

/// The cluster's ID and that of the member with these peer URLs; pure.
fn find_self(directory: Directory, own: &[String]) -> Result<(u64, MemberId), Error> {
    let sorted = |urls: &[String]| {
        let mut urls = urls.to_vec();
        urls.sort();
        urls
    };
    let nodes = directory.membership.unwrap_or_default().nodes;
    let found = nodes
        .into_iter()
        .find(|node| sorted(&node.peer_urls) == sorted(own));
    match found {
        None => Err(Error::NotAdded(own.join(","))),
        Some(node) if node.store_uuid.is_empty() => Ok((directory.cluster_id, node.id)),
        Some(node) => Err(Error::Bootstrapped(format!(
            "member {} has already been bootstrapped with data directory {}, and this one is empty: remove \
             the member and add a new one",
            node.id, node.store_uuid
        ))),
    }
}

/// The members that a static start forms the cluster from.
#[must_use]
pub fn nodes(members: &BTreeMap<MemberId, (String, Vec<String>)>) -> BTreeMap<MemberId, Node> {
    let node = |(name, urls): &(String, Vec<String>)| Node {
        name: name.clone(),
        peer_urls: urls.clone(),
        zone: String::new(),
        store_uuid: String::new(),
        becomes_voter: false,
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

    #[tokio::test]
    async fn a_directory_stays_whose_it_was_first() {
        let disk = SimDisk::new();
        let dir = Path::new("/kvorum-no-such-directory");
        let (made, new) = identify(&disk, dir, &join(7, 1), &Port::default(), false)
            .await
            .unwrap();
        assert!(new);
        let (again, new) = identify(&disk, dir, &join(7, 1), &Port::default(), false)
            .await
            .unwrap();
        assert_eq!((again, new), (made, false));
        for other in [join(7, 2), join(8, 1)] {
            let error = identify(&disk, dir, &other, &Port::default(), false)
                .await
                .unwrap_err();
            assert!(
                error.to_string().contains("belongs to member 1 of cluster"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_newcomer_is_known_by_its_peer_urls() {
        let node = |id: u64, url: &str, store: &str| kvorum_proto::peer::Node {
            id,
            peer_urls: vec![url.to_owned()],
            store_uuid: store.to_owned(),
            ..kvorum_proto::peer::Node::default()
        };
        let directory = || Directory {
            cluster_id: 7,
            membership: Some(kvorum_proto::peer::Membership {
                nodes: vec![node(1, "http://a:2380", "u"), node(2, "http://b:2380", "")],
                ..Default::default()
            }),
        };
        let find = |url: &str| find_self(directory(), &[url.to_owned()]);
        assert_eq!(find("http://b:2380").unwrap(), (7, 2));
        assert!(matches!(find("http://a:2380"), Err(Error::Bootstrapped(_))));
        assert!(matches!(find("http://c:2380"), Err(Error::NotAdded(_))));
    }

    #[test]
    fn only_what_all_say_is_taken() {
        let agreed = |answers| agree(answers, &["http://a:2380".to_owned()], "b: refused");
        let bootstrapped = || Err(Error::Bootstrapped("it has a directory".to_owned()));
        assert_eq!(agreed(vec![Ok((7, 2)), Ok((7, 2))]).unwrap(), (7, 2));
        let behind = agreed(vec![Ok((7, 2)), bootstrapped()]);
        assert!(matches!(behind, Err(Error::Bootstrapped(_))), "{behind:?}");
        let older = agreed(vec![Ok((7, 1)), Ok((7, 2))]);
        assert!(matches!(older, Err(Error::NotAdded(_))), "{older:?}");
        let silent = agreed(Vec::new()).unwrap_err();
        assert!(silent.to_string().ends_with("b: refused"), "{silent}");
    }

    #[tokio::test]
    async fn another_programs_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("member")).unwrap();
        let disk = kvorum_storage::disk::RealDisk { sync: false };
        let error = identify(&disk, dir.path(), &join(7, 1), &Port::default(), false)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::NotOurs { .. }), "{error}");
    }
}
