//! Writing a snapshot as etcd's database file.

use crate::api::ETCD_CLUSTER_VERSION;
use kvorum_bolt::{Add, Writer};
use kvorum_mvcc::engine::{Table, View};
use kvorum_mvcc::{Revision, meta_of};
use kvorum_proto::etcdserverpb::{AlarmMember, Member};
use kvorum_proto::log::{AlarmRow, AuthRow, LeaseRow, MemberAttributes, StoreMeta};
use kvorum_proto::mvccpb::KeyValue;
use prost::Message;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Seek};
use std::ops::ControlFlow;

/// One lease, as etcd keeps it.
#[derive(Clone, PartialEq, Message)]
struct EtcdLease {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(int64, tag = "2")]
    ttl: i64,
    #[prost(int64, tag = "3")]
    remaining: i64,
}

type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

/// etcd's key of a record: the revision, and a mark for a deletion.
fn record_key(revision: Revision, deleted: bool) -> Vec<u8> {
    let mut key = revision.main.to_be_bytes().to_vec();
    key.push(b'_');
    key.extend(revision.sub.to_be_bytes());
    if deleted {
        key.push(b't');
    }
    key
}

fn meta(store: &StoreMeta, voters: &[u64]) -> Pairs {
    let conf = json!({"voters": voters, "auto_leave": false});
    let mut pairs = BTreeMap::from([
        (
            b"consistent_index".to_vec(),
            store.applied_index.to_be_bytes().to_vec(),
        ),
        (b"term".to_vec(), store.applied_term.to_be_bytes().to_vec()),
        (b"confState".to_vec(), conf.to_string().into_bytes()),
        (
            b"storageVersion".to_vec(),
            ETCD_CLUSTER_VERSION.as_bytes().to_vec(),
        ),
    ]);
    let compaction = |main| record_key(Revision { main, sub: 0 }, false);
    if store.compacted > 0 {
        pairs.insert(b"scheduledCompactRev".to_vec(), compaction(store.compacted));
    }
    if store.swept > 0 {
        pairs.insert(b"finishedCompactRev".to_vec(), compaction(store.swept));
    }
    pairs
}

fn members(list: &[Member]) -> Pairs {
    let one = |m: &Member| {
        let mut value = json!({"id": m.id, "peerURLs": m.peer_ur_ls});
        if !m.name.is_empty() {
            value["name"] = json!(m.name);
        }
        if !m.client_ur_ls.is_empty() {
            value["clientURLs"] = json!(m.client_ur_ls);
        }
        if m.is_learner {
            value["isLearner"] = json!(true);
        }
        (
            format!("{:x}", m.id).into_bytes(),
            value.to_string().into_bytes(),
        )
    };
    list.iter().map(one).collect()
}

fn cluster(downgrade: &str) -> Pairs {
    let downgrade = json!({"target-version": downgrade, "enabled": !downgrade.is_empty()});
    BTreeMap::from([
        (
            b"clusterVersion".to_vec(),
            ETCD_CLUSTER_VERSION.as_bytes().to_vec(),
        ),
        (b"downgrade".to_vec(), downgrade.to_string().into_bytes()),
    ])
}

/// The bucket for what etcd does not know; its tools and etcd itself leave it alone.
pub(super) const OWN_BUCKET: &str = "kvorum";
/// The highest ID that a member ever had or was given, as eight bytes.
pub(super) const HIGHEST_MEMBER: &[u8] = b"highestMember";

/// What keeps member IDs from being used again in whatever grows from this snapshot.
fn own(store: &StoreMeta, view: &dyn View, list: &[Member]) -> io::Result<Pairs> {
    let mut highest = store.highest_member;
    for (_, row) in view.rows(Table::Member)? {
        let member = MemberAttributes::decode(row).map_err(|_| damaged("member"))?;
        highest = highest.max(member.id);
    }
    let listed = list.iter().map(|m| m.id).max().unwrap_or(0);
    let highest = highest.max(listed).to_be_bytes().to_vec();
    Ok(BTreeMap::from([(HIGHEST_MEMBER.to_vec(), highest)]))
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a {what} of the store does not decode"),
    )
}

fn leases(view: &dyn View) -> io::Result<Pairs> {
    let rows = view.rows(Table::Lease)?.into_iter();
    rows.map(|(_, row)| {
        let row = LeaseRow::decode(row).map_err(|_| damaged("lease"))?;
        let lease = EtcdLease {
            id: row.id,
            ttl: row.ttl,
            remaining: 0,
        };
        Ok((row.id.to_be_bytes().to_vec(), lease.encode_to_vec()))
    })
    .collect()
}

fn alarms(view: &dyn View) -> io::Result<Pairs> {
    let rows = view.rows(Table::Alarm)?.into_iter();
    rows.map(|(_, row)| {
        let row = AlarmRow::decode(row).map_err(|_| damaged("alarm"))?;
        let alarm = AlarmMember {
            member_id: row.member_id,
            alarm: row.alarm,
        };
        Ok((alarm.encode_to_vec(), Vec::new()))
    })
    .collect()
}

/// Whether users are asked for, and the revision of what they may do.
fn auth(view: &dyn View) -> io::Result<Pairs> {
    let mut state = AuthRow {
        enabled: false,
        revision: 1,
    };
    for (_, row) in view.rows(Table::Auth)? {
        state = AuthRow::decode(row).map_err(|_| damaged("state of authentication"))?;
    }
    Ok(BTreeMap::from([
        (b"authEnabled".to_vec(), vec![u8::from(state.enabled)]),
        (
            b"authRevision".to_vec(),
            state.revision.to_be_bytes().to_vec(),
        ),
    ]))
}

/// Users and roles are kept as etcd keeps them.
fn same(view: &dyn View, table: Table) -> io::Result<Pairs> {
    let rows = view.rows(table)?.into_iter();
    Ok(rows.map(|(k, v)| (k.to_vec(), v.to_vec())).collect())
}

fn records(view: &dyn View, add: Add<'_>) -> io::Result<()> {
    let mut failed = None;
    let mut one = |revision: Revision, data: &[u8]| -> io::Result<()> {
        let record = KeyValue::decode(data).map_err(|_| damaged("record"))?;
        if record.version > 0 {
            return add(&record_key(revision, false), data);
        }
        let deleted = KeyValue {
            key: record.key,
            ..KeyValue::default()
        };
        add(&record_key(revision, true), &deleted.encode_to_vec())
    };
    view.scan(
        Revision::default(),
        &mut |revision, data| match one(revision, data) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        },
    )?;
    failed.map_or(Ok(()), Err)
}

/// Writes what a view holds into an empty file; returns it, rewound. `members` stand
/// in it as etcd lists them.
///
/// # Errors
/// If the file cannot be written or the store is damaged.
pub fn export(view: &dyn View, list: &[Member], file: File) -> io::Result<File> {
    let store = meta_of(view)?;
    let voters: Vec<u64> = list
        .iter()
        .filter(|m| !m.is_learner)
        .map(|m| m.id)
        .collect();
    let mut writer = Writer::new(BufWriter::with_capacity(1 << 20, file))?;
    writer.bucket(b"key", |add| records(view, add))?;
    for (name, pairs) in [
        ("meta", meta(&store, &voters)),
        ("lease", leases(view)?),
        ("alarm", alarms(view)?),
        ("cluster", cluster(&store.downgrade)),
        ("members", members(list)),
        ("members_removed", Pairs::new()),
        ("auth", auth(view)?),
        ("authUsers", same(view, Table::User)?),
        ("authRoles", same(view, Table::Role)?),
        (OWN_BUCKET, own(&store, view, list)?),
    ] {
        writer.bucket(name.as_bytes(), |add| {
            pairs.iter().try_for_each(|(key, value)| add(key, value))
        })?;
    }
    let mut file = writer.finish()?.into_inner().map_err(|e| e.into_error())?;
    file.rewind()?;
    Ok(file)
}
