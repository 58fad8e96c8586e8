//! Building the in-memory state from what the engine holds.

use crate::allocation::Allocations;
use crate::auth::Auth;
use crate::changes::Recent;
use crate::engine::{Engine, Table, View};
use crate::index::{Index, Version};
use crate::lease::Leases;
use crate::limits::RECORD_OVERHEAD;
use crate::records::{self, Records};
use crate::store::{FORMAT, State};
use crate::{Position, Revision};
use bytes::Bytes;
use kvorum_proto::log::{AlarmRow, LeaseRow, MemberAttributes, StoreMeta};
use kvorum_proto::mvccpb::KeyValue;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

pub(crate) fn damaged(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the store's {what} is damaged"),
    )
}

/// Bytes of key and value.
pub(crate) fn size(record: &KeyValue) -> u32 {
    u32::try_from(record.key.len() + record.value.len()).unwrap_or(u32::MAX)
}

/// Where a view stands.
pub(crate) fn meta(view: &dyn View) -> io::Result<StoreMeta> {
    let Some((_, row)) = view.rows(Table::Meta)?.into_iter().next() else {
        return Ok(StoreMeta {
            format: FORMAT,
            revision: 1,
            ..StoreMeta::default()
        });
    };
    let meta = StoreMeta::decode(row).map_err(|_| damaged("position"))?;
    if meta.format > FORMAT {
        let reason = format!(
            "the store has layout {}, this program knows up to {FORMAT}: use a newer kvorum-node",
            meta.format
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(meta)
}

/// The position that a meta row names.
pub(crate) fn applied(meta: &StoreMeta) -> Option<Position> {
    meta.has_applied.then_some(Position {
        term: meta.applied_term,
        index: meta.applied_index,
    })
}

/// The state at the engine's last durable point.
pub(crate) fn load(engine: Arc<dyn Engine>) -> io::Result<State> {
    let view = engine.view()?;
    let meta = meta(view.as_ref())?;
    let mut leases = Leases::default();
    for (_, row) in view.rows(Table::Lease)? {
        let row = LeaseRow::decode(row).map_err(|_| damaged("lease table"))?;
        leases.grant(row.id, row.ttl, row.renewals);
    }
    let mut members = BTreeMap::new();
    for (_, row) in view.rows(Table::Member)? {
        let row = MemberAttributes::decode(row).map_err(|_| damaged("member table"))?;
        members.insert(row.id, row);
    }
    let mut alarms = BTreeSet::new();
    for (_, row) in view.rows(Table::Alarm)? {
        let row = AlarmRow::decode(row).map_err(|_| damaged("alarm table"))?;
        alarms.insert((row.member_id, row.alarm));
    }
    let auth = Auth::load(view.as_ref())?;
    let mut index = Index::default();
    let mut live_bytes = 0;
    let mut failed = None;
    view.scan(
        Revision::default(),
        &mut |revision, data| match records::decode(revision, Bytes::copy_from_slice(data)) {
            Ok(record) => {
                live_bytes += i64::from(size(&record)) + RECORD_OVERHEAD;
                note(&mut index, &mut leases, revision, &record);
                ControlFlow::Continue(())
            }
            Err(e) => {
                failed = Some(e);
                ControlFlow::Break(())
            }
        },
    )?;
    if let Some(error) = failed {
        return Err(error);
    }
    Ok(State {
        engine,
        index,
        records: Records::default(),
        leases,
        members,
        alarms,
        downgrade: meta.downgrade.clone(),
        allocations: Allocations::load(&meta),
        auth,
        recent: Recent::new(meta.revision),
        applied: applied(&meta),
        membership: meta.membership,
        revision: meta.revision,
        compacted: meta.compacted,
        swept: meta.swept,
        live_bytes,
        rows: Vec::new(),
        dirty: false,
    })
}

fn note(index: &mut Index, leases: &mut Leases, revision: Revision, record: &KeyValue) {
    let before = index.latest(&record.key).map_or(0, |v| v.lease);
    let version = Version {
        revision,
        create: record.create_revision,
        version: record.version,
        lease: record.lease,
        size: size(record),
    };
    index.set(&record.key, version);
    leases.attach(&record.key, before, record.lease);
}

/// What a view's moment says of itself.
///
/// # Errors
/// If the disk fails or what it holds is damaged.
pub fn meta_of(view: &dyn View) -> io::Result<StoreMeta> {
    meta(view)
}

/// Position and membership of a view's moment.
///
/// # Errors
/// If the disk fails or what it holds is damaged.
pub fn position_of(view: &dyn View) -> io::Result<(Option<Position>, Bytes)> {
    let meta = meta(view)?;
    Ok((applied(&meta), meta.membership))
}
