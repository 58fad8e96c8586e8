//! Taking over a data directory that `etcdutl snapshot restore` made.

use super::etcd_log::{self, Owner};
use super::export::{HIGHEST_MEMBER, OWN_BUCKET};
use crate::consensus::types::{self, MemberId, Membership, Node, StoredMembership};
use kvorum_bolt::Reader;
use kvorum_mvcc::engine::{Batch, Engine, Table};
use kvorum_mvcc::{Revision, rows};
use kvorum_proto::authpb::{Role, User};
use kvorum_proto::etcdserverpb::AlarmMember;
use kvorum_proto::log::{AuthRow, LeaseRow, StoreMeta};
use kvorum_proto::mvccpb::KeyValue;
use kvorum_storage::disk::RealDisk;
use kvorum_storage::engine;
use kvorum_storage::identity::{self, Identity};
use kvorum_storage::wal::{self, Wal};
use prost::Message;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the restored state stands in the log of each of the members: as if it had
/// been the one entry of term 1. The real log goes on behind it.
const BEGIN: u64 = 1;
/// Records written by one commit.
const RECORDS: usize = 10_000;

/// Why a directory is not taken over.
#[derive(Debug, thiserror::Error)]
#[error(
    "the directory {dir} cannot be taken over: {reason}; kvorum-node takes over what `etcdutl snapshot restore` \
     made from a snapshot, and nothing that an etcd has run on since"
)]
pub struct Error {
    dir: String,
    reason: String,
}

/// What was taken over.
#[derive(Debug)]
pub struct Imported {
    /// The directory's identity from now on.
    pub identity: Identity,
    /// The key space's revision.
    pub revision: i64,
    /// Records read.
    pub records: usize,
}

/// A member, as etcd's database lists it.
#[derive(Deserialize)]
struct EtcdMember {
    id: MemberId,
    #[serde(rename = "peerURLs", default)]
    peer_urls: Vec<String>,
    #[serde(default)]
    name: String,
}

fn database(dir: &Path) -> PathBuf {
    dir.join("member/snap/db")
}

/// Whether there is something of an etcd's in the directory.
#[must_use]
pub fn is_restored(dir: &Path) -> bool {
    database(dir).exists()
}

fn damaged(what: &str) -> io::Error {
    let text = format!("the database's {what} cannot be read");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Revision and whether it is a deletion, from etcd's key of a record.
fn revision(key: &[u8]) -> io::Result<(Revision, bool)> {
    let number = |at: usize| {
        let bytes = key.get(at..at + 8).and_then(|b| b.try_into().ok());
        bytes.map(i64::from_be_bytes).ok_or_else(|| damaged("keys"))
    };
    let (main, sub) = (number(0)?, number(9)?);
    Ok((Revision { main, sub }, key.get(17) == Some(&b't')))
}

/// Reads the database into the new engine; the state's own position, and how many records.
fn fill(
    reader: &Reader,
    to: &dyn Engine,
    members: &BTreeMap<MemberId, Node>,
) -> io::Result<(StoreMeta, usize)> {
    let mut meta = StoreMeta {
        format: 1,
        applied_term: BEGIN,
        applied_index: BEGIN,
        has_applied: true,
        revision: 1,
        ..StoreMeta::default()
    };
    let mut compaction = |name: &[u8], value: &[u8]| -> io::Result<()> {
        match name {
            b"scheduledCompactRev" => meta.compacted = revision(value)?.0.main,
            b"finishedCompactRev" => meta.swept = revision(value)?.0.main,
            _ => {}
        }
        Ok(())
    };
    reader.bucket(b"meta", &mut compaction)?;
    reader.bucket(OWN_BUCKET.as_bytes(), &mut |name, value| {
        if name == HIGHEST_MEMBER {
            let highest = value.try_into().map_err(|_| damaged("highest member ID"))?;
            meta.highest_member = u64::from_be_bytes(highest);
        }
        Ok(())
    })?;
    meta.compacted = meta.compacted.max(meta.swept);
    meta.revision = meta.revision.max(meta.compacted);
    let mut batch = Batch::default();
    let mut records = 0;
    reader.bucket(b"key", &mut |key, value| {
        let (at, deleted) = revision(key)?;
        let mut record = KeyValue::decode(value).map_err(|_| damaged("records"))?;
        if deleted {
            record.mod_revision = at.main;
            record.version = 0;
        }
        meta.revision = meta.revision.max(at.main);
        records += 1;
        batch
            .records
            .push((at, Some(record.encode_to_vec().into())));
        if batch.records.len() >= RECORDS {
            to.commit(std::mem::take(&mut batch))?;
        }
        Ok(())
    })?;
    small_tables(reader, &mut batch)?;
    users(reader, &mut batch)?;
    let ids: BTreeSet<MemberId> = members.keys().copied().collect();
    let membership = Membership::new(vec![ids], members.clone()).map_err(io::Error::other)?;
    let stored = StoredMembership::new(Some(types::log_id(BEGIN, BEGIN)), membership);
    meta.membership = types::encode_stored(&stored);
    batch
        .rows
        .push((Table::Meta, Vec::new(), Some(meta.encode_to_vec())));
    to.commit(batch)?;
    Ok((meta, records))
}

/// The small tables.
fn small_tables(reader: &Reader, batch: &mut Batch) -> io::Result<()> {
    reader.bucket(b"lease", &mut |_, value| {
        // etcd's lease has the same first two fields.
        let lease = LeaseRow::decode(value).map_err(|_| damaged("leases"))?;
        batch.rows.push(rows::lease(lease.id, lease.ttl, 0));
        Ok(())
    })?;
    reader.bucket(b"alarm", &mut |key, _| {
        let alarm = AlarmMember::decode(key).map_err(|_| damaged("alarms"))?;
        batch
            .rows
            .push(rows::alarm(alarm.member_id, alarm.alarm, true));
        Ok(())
    })?;
    Ok(())
}

/// Users, roles, and whether they are asked for.
fn users(reader: &Reader, batch: &mut Batch) -> io::Result<()> {
    let mut auth = AuthRow {
        enabled: false,
        revision: 1,
    };
    reader.bucket(b"auth", &mut |name, value| {
        match name {
            b"authEnabled" => auth.enabled = value == [1],
            b"authRevision" => {
                let revision = value.try_into().map_err(|_| damaged("auth revision"))?;
                auth.revision = u64::from_be_bytes(revision);
            }
            _ => {}
        }
        Ok(())
    })?;
    batch
        .rows
        .push((Table::Auth, Vec::new(), Some(auth.encode_to_vec())));
    reader.bucket(b"authUsers", &mut |name, value| {
        User::decode(value).map_err(|_| damaged("users"))?;
        batch
            .rows
            .push((Table::User, name.to_vec(), Some(value.to_vec())));
        Ok(())
    })?;
    reader.bucket(b"authRoles", &mut |name, value| {
        Role::decode(value).map_err(|_| damaged("roles"))?;
        batch
            .rows
            .push((Table::Role, name.to_vec(), Some(value.to_vec())));
        Ok(())
    })?;
    Ok(())
}

fn members(reader: &Reader) -> io::Result<BTreeMap<MemberId, Node>> {
    let mut members = BTreeMap::new();
    reader.bucket(b"members", &mut |_, value| {
        let member: EtcdMember = serde_json::from_slice(value).map_err(|_| damaged("members"))?;
        let node = Node {
            name: member.name,
            peer_urls: member.peer_urls,
            ..Node::default()
        };
        members.insert(member.id, node);
        Ok(())
    })?;
    Ok(members)
}

/// A log that begins behind the restored state, with a vote nobody else can have.
fn seed_log(dir: &Path, sync: bool, me: MemberId) -> io::Result<()> {
    let options = wal::Options::new(dir.join("wal"));
    let wal = Wal::open(Arc::new(RealDisk { sync }), options).map_err(io::Error::other)?;
    let vote = wal::Vote {
        term: BEGIN,
        node: me,
        committed: false,
    };
    wal.save_vote(vote, Box::new(|_| {}))
        .map_err(io::Error::other)?;
    let begin = wal::Position {
        term: BEGIN,
        index: BEGIN,
    };
    wal.purge(begin).map_err(io::Error::other)?;
    wal.flush().map_err(io::Error::other)
}

fn take_over(dir: &Path, sync: bool) -> io::Result<Imported> {
    let Owner {
        member_id,
        cluster_id,
    } = etcd_log::owner(&dir.join("member/wal"))?;
    let reader = Reader::open(File::open(database(dir))?)?;
    let members = members(&reader)?;
    if !members.contains_key(&member_id) {
        return Err(io::Error::other(format!(
            "its log belongs to member {member_id:x}, which its database does not list"
        )));
    }
    // An attempt that a crash cut short left no identity: begin anew.
    for name in ["db", "wal"] {
        match std::fs::remove_dir_all(dir.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    let (meta, records) = {
        let engine = engine::open(&dir.join("db"), sync)?;
        fill(&reader, &engine, &members)?
    };
    seed_log(dir, sync, member_id)?;
    // From here on the directory is ours.
    let identity = identity::create(&RealDisk { sync }, dir, cluster_id, member_id)
        .map_err(io::Error::other)?;
    Ok(Imported {
        identity,
        revision: meta.revision,
        records,
    })
}

/// Takes a restored directory over, all or nothing. What etcdutl wrote stays where it
/// is, and is not looked at again.
///
/// # Errors
/// If it is anything else than a restored directory, or damaged.
pub fn import(dir: &Path, sync: bool) -> Result<Imported, Error> {
    take_over(dir, sync).map_err(|e| Error {
        dir: dir.display().to_string(),
        reason: e.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::export::export;
    use kvorum_mvcc::engine::MemoryEngine;
    use kvorum_mvcc::meta_of;
    use kvorum_proto::etcdserverpb::Member;
    use kvorum_proto::log::MemberAttributes;

    /// What a new cluster keeps of the highest member ID of the one that a snapshot is of.
    fn kept(allocated: u64, removed: u64, member: u64) -> u64 {
        let engine = MemoryEngine::default();
        let meta = StoreMeta {
            format: 1,
            highest_member: allocated,
            ..StoreMeta::default()
        };
        let gone = MemberAttributes {
            id: removed,
            removed: true,
            ..MemberAttributes::default()
        };
        let rows = vec![
            (Table::Meta, Vec::new(), Some(meta.encode_to_vec())),
            (Table::Member, vec![1], Some(gone.encode_to_vec())),
        ];
        let batch = Batch {
            rows,
            ..Batch::default()
        };
        engine.commit(batch).unwrap();
        let list = [Member {
            id: member,
            ..Member::default()
        }];
        let view = engine.view().unwrap();
        let file = export(view.as_ref(), &list, tempfile::tempfile().unwrap()).unwrap();
        let to = MemoryEngine::default();
        let members = BTreeMap::from([(9, Node::default())]);
        fill(&Reader::open(file).unwrap(), &to, &members).unwrap();
        meta_of(to.view().unwrap().as_ref()).unwrap().highest_member
    }

    #[test]
    fn no_id_of_the_old_cluster_is_given_out_again() {
        assert_eq!(kept(70, 5, 6), 70);
        assert_eq!(kept(0, 71, 6), 71);
        assert_eq!(kept(0, 5, 72), 72);
    }
}
