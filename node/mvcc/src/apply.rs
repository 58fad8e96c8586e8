//! Applying commands: the one place where the state changes.

mod maintenance;

use crate::changes::{Change, event};
use crate::engine::Table;
use crate::index::Version;
use crate::limits::{LEASE_TTL_MAX, RECORD_OVERHEAD};
use crate::range::header;
use crate::records::LazyView;
use crate::restore::size;
use crate::rows;
use crate::store::{Error, State};
use crate::{KeyRange, Position, Rejection, Revision};
use bytes::Bytes;
use kvorum_proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse,
    LeaseGrantRequest, LeaseGrantResponse, LeaseRevokeResponse, PutRequest, PutResponse,
};
use kvorum_proto::log::{
    Command, ExpireLeases, MemberAttributes, RenewLeases, RenewedLeases, Reply, command, reply,
};
use kvorum_proto::mvccpb::{Event, KeyValue};
use parking_lot::RwLockWriteGuard;
use prost::Message;

/// Applies commands one after the other, holding the lock.
pub struct Applier<'a> {
    state: RwLockWriteGuard<'a, State>,
}

impl<'a> Applier<'a> {
    pub(crate) fn new(state: RwLockWriteGuard<'a, State>) -> Self {
        Self { state }
    }

    /// Applies the command at `position`. A refusal is an answer like any other
    /// and changes nothing but the position.
    ///
    /// # Errors
    /// Only if the disk fails: the state is then half changed and the process must end.
    pub fn apply(&mut self, position: Position, command: Command) -> std::io::Result<Reply> {
        self.advance(position);
        if let Err(rejection) = self.state.permit_command(&command) {
            return Ok(rejected(rejection));
        }
        let mut write = Write::new(&mut self.state);
        let outcome = match command.op {
            Some(command::Op::Put(r)) => write.put(r).map(reply::Op::Put),
            Some(command::Op::DeleteRange(r)) => write.delete(&r).map(reply::Op::DeleteRange),
            Some(command::Op::Txn(r)) => write.txn(r).map(reply::Op::Txn),
            Some(command::Op::Compact(r)) => write.compact(&r).map(reply::Op::Compact),
            Some(command::Op::LeaseGrant(r)) => write.grant(&r).map(reply::Op::LeaseGrant),
            Some(command::Op::LeaseRevoke(r)) => write.revoke(r.id).map(reply::Op::LeaseRevoke),
            Some(command::Op::Expire(r)) => write.expire(&r).map(reply::Op::Done),
            Some(command::Op::Renew(r)) => Ok(reply::Op::Renewed(write.renew(&r))),
            Some(command::Op::Alarm(r)) => Ok(reply::Op::Alarm(write.alarm(&r))),
            Some(command::Op::Downgrade(r)) => write.downgrade(r.target).map(reply::Op::Done),
            Some(command::Op::Publish(r)) => Ok(reply::Op::Done(write.publish(r))),
            Some(command::Op::Allocate(r)) => write.allocate(r).map(reply::Op::Allocated),
            Some(command::Op::Auth(r)) => write.change_auth(r, position.index),
            None => Err(Rejection::Unknown.into()),
        };
        write.finish();
        match outcome {
            Ok(op) => Ok(Reply { op: Some(op) }),
            Err(Error::Rejected(rejection)) => Ok(rejected(rejection)),
            Err(Error::Io(e)) => Err(e),
        }
    }

    /// Notes a position that holds no command.
    pub fn advance(&mut self, position: Position) {
        self.state.applied = Some(position);
        self.state.dirty = true;
    }

    /// Notes a membership (the consensus module's own encoding) that stands at
    /// `position`, and whom it no longer holds: their IDs are never used again.
    pub fn set_membership(&mut self, position: Position, membership: Bytes, removed: &[u64]) {
        self.advance(position);
        self.state.membership = membership;
        for id in removed {
            let mut member = self.state.members.get(id).cloned().unwrap_or_default();
            member.id = *id;
            member.removed = true;
            keep_member(&mut self.state, member);
        }
    }

    /// The membership noted last.
    #[must_use]
    pub fn membership(&self) -> Bytes {
        self.state.membership.clone()
    }

    /// Current revision.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.state.revision
    }
}

fn rejected(rejection: Rejection) -> Reply {
    Reply {
        op: Some(reply::Op::Rejected(rejection.code())),
    }
}

/// The changes of one command: they all get the same revision.
pub(crate) struct Write<'a> {
    pub(crate) state: &'a mut State,
    /// The revision that changes get.
    next: i64,
    events: Vec<Event>,
}

impl<'a> Write<'a> {
    fn new(state: &'a mut State) -> Self {
        Self {
            next: state.revision + 1,
            state,
            events: Vec::new(),
        }
    }

    /// The revision as the command has left it so far.
    pub(crate) fn revision(&self) -> i64 {
        if self.events.is_empty() {
            self.state.revision
        } else {
            self.next
        }
    }

    fn finish(self) {
        if !self.events.is_empty() {
            self.state.revision = self.next;
            self.state.recent.push(Change::new(self.next, self.events));
        }
    }

    fn record(&self, revision: Revision) -> Result<KeyValue, Error> {
        let mut view = LazyView::new(self.state.engine.clone());
        Ok(view.record(&self.state.records, revision)?)
    }

    /// Writes a record: a put, or a tombstone (version 0).
    fn change(&mut self, record: KeyValue, lease_before: i64) {
        let revision = Revision {
            main: self.next,
            sub: i64::try_from(self.events.len()).unwrap_or(i64::MAX),
        };
        let version = Version {
            revision,
            create: record.create_revision,
            version: record.version,
            lease: record.lease,
            size: size(&record),
        };
        self.state.live_bytes += i64::from(version.size) + RECORD_OVERHEAD;
        self.state.index.set(&record.key, version);
        self.state
            .leases
            .attach(&record.key, lease_before, record.lease);
        self.state.records.put(revision, record.clone());
        self.events.push(event(record));
    }

    /// Whether a put can be done, before anything is changed.
    pub(crate) fn check_put(&self, request: &PutRequest) -> Result<(), Rejection> {
        let keeps = request.ignore_value || request.ignore_lease;
        if keeps && self.state.index.latest(&request.key).is_none() {
            return Err(Rejection::KeyNotFound);
        }
        if request.lease != 0 && !self.state.leases.contains(request.lease) {
            return Err(Rejection::LeaseNotFound);
        }
        Ok(())
    }

    pub(crate) fn put(&mut self, request: PutRequest) -> Result<PutResponse, Error> {
        self.check_put(&request)?;
        let before = self.state.index.latest(&request.key);
        let previous = match before {
            Some(v) if request.prev_kv || request.ignore_value => Some(self.record(v.revision)?),
            _ => None,
        };
        let value = match &previous {
            Some(previous) if request.ignore_value => previous.value.clone(),
            _ => request.value,
        };
        let lease_before = before.map_or(0, |v| v.lease);
        let record = KeyValue {
            create_revision: before.map_or(self.next, |v| v.create),
            mod_revision: self.next,
            version: before.map_or(0, |v| v.version) + 1,
            lease: if request.ignore_lease {
                lease_before
            } else {
                request.lease
            },
            key: request.key,
            value,
        };
        self.change(record, lease_before);
        Ok(PutResponse {
            header: header(self.next),
            prev_kv: previous.filter(|_| request.prev_kv),
        })
    }

    pub(crate) fn delete(
        &mut self,
        request: &DeleteRangeRequest,
    ) -> Result<DeleteRangeResponse, Error> {
        let range = KeyRange::new(&request.key, &request.range_end);
        let found: Vec<(Bytes, i64, Revision)> = match range {
            KeyRange::One(key) => self
                .state
                .index
                .latest(key)
                .map(|v| (request.key.clone(), v.lease, v.revision))
                .into_iter()
                .collect(),
            _ => self
                .state
                .index
                .range(range, i64::MAX)
                .map(|(key, found)| {
                    let lease = self.state.index.latest(key).map_or(0, |v| v.lease);
                    (Bytes::copy_from_slice(key), lease, found.revision())
                })
                .collect(),
        };
        let mut prev_kvs = Vec::new();
        if request.prev_kv {
            for (_, _, revision) in &found {
                prev_kvs.push(self.record(*revision)?);
            }
        }
        let deleted = i64::try_from(found.len()).unwrap_or(i64::MAX);
        for (key, lease, _) in found {
            self.tombstone(key, lease);
        }
        Ok(DeleteRangeResponse {
            header: header(self.revision()),
            deleted,
            prev_kvs,
        })
    }

    fn tombstone(&mut self, key: Bytes, lease: i64) {
        let record = KeyValue {
            key,
            mod_revision: self.next,
            ..KeyValue::default()
        };
        self.change(record, lease);
    }

    fn compact(&mut self, request: &CompactionRequest) -> Result<CompactionResponse, Error> {
        if request.revision <= self.state.compacted {
            return Err(Rejection::Compacted.into());
        }
        if request.revision > self.state.revision {
            return Err(Rejection::FutureRevision.into());
        }
        self.state.compacted = request.revision;
        Ok(CompactionResponse {
            header: header(self.state.revision),
        })
    }

    fn grant(&mut self, request: &LeaseGrantRequest) -> Result<LeaseGrantResponse, Error> {
        if request.ttl > LEASE_TTL_MAX {
            return Err(Rejection::LeaseTtlTooLarge.into());
        }
        if self.state.leases.contains(request.id) {
            return Err(Rejection::LeaseExists.into());
        }
        self.state.leases.grant(request.id, request.ttl, 0);
        self.state
            .rows
            .push(rows::lease(request.id, request.ttl, 0));
        Ok(LeaseGrantResponse {
            header: header(self.state.revision),
            id: request.id,
            ttl: request.ttl,
            error: String::new(),
        })
    }

    fn drop_lease(&mut self, id: i64) -> bool {
        let Some(lease) = self.state.leases.revoke(id) else {
            return false;
        };
        for key in lease.keys {
            self.tombstone(Bytes::from(key), 0);
        }
        self.state.rows.push(rows::no_lease(id));
        true
    }

    fn revoke(&mut self, id: i64) -> Result<LeaseRevokeResponse, Error> {
        if !self.drop_lease(id) {
            return Err(Rejection::LeaseNotFound.into());
        }
        Ok(LeaseRevokeResponse {
            header: header(self.revision()),
        })
    }

    #[allow(clippy::unnecessary_wraps, reason = "one shape for all commands")]
    fn expire(&mut self, request: &ExpireLeases) -> Result<i64, Error> {
        for (id, renewals) in request.ids.iter().zip(&request.renewals) {
            // A renewal that came first in the log counts.
            if self.state.leases.renewals(*id) == Some(*renewals) {
                self.drop_lease(*id);
            }
        }
        Ok(self.revision())
    }

    fn renew(&mut self, request: &RenewLeases) -> RenewedLeases {
        let mut ttls = Vec::with_capacity(request.ids.len());
        for id in &request.ids {
            let renewed = self.state.leases.renew(*id);
            ttls.push(renewed.map_or(0, |(ttl, _)| ttl));
            if let Some((ttl, renewals)) = renewed {
                self.state.rows.push(rows::lease(*id, ttl, renewals));
            }
        }
        RenewedLeases { ttls }
    }

    fn publish(&mut self, mut member: MemberAttributes) -> i64 {
        if member.store_uuid.is_empty()
            && let Some(known) = self.state.members.get(&member.id)
        {
            member.store_uuid.clone_from(&known.store_uuid);
        }
        // A removed member's last words do not bring it back.
        member.removed = self
            .state
            .members
            .get(&member.id)
            .is_some_and(|m| m.removed);
        keep_member(self.state, member);
        self.state.revision
    }
}

fn keep_member(state: &mut State, member: MemberAttributes) {
    let key = member.id.to_be_bytes().to_vec();
    state
        .rows
        .push((Table::Member, key, Some(member.encode_to_vec())));
    state.members.insert(member.id, member);
}
