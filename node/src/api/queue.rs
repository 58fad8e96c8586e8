//! Waiting one's turn: what locks and elections have in common.
//!
//! Whoever waits has a key `name/<lease>` that ends with its lease. The one
//! created first has the turn; everybody else watches the one before.

use super::caller::Origin;
use super::{Api, errors};
use crate::limits::SESSION_TTL;
use bytes::Bytes;
use kvorum_mvcc::{Change, Error, Rejection};
use kvorum_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use kvorum_proto::etcdserverpb::kv_server::Kv;
use kvorum_proto::etcdserverpb::lease_server::Lease;
use kvorum_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use kvorum_proto::etcdserverpb::{
    Compare, DeleteRangeRequest, LeaseGrantRequest, PutRequest, RangeRequest, RangeResponse,
    RequestOp, TxnRequest, TxnResponse, request_op,
};
use kvorum_proto::mvccpb::KeyValue;
use std::sync::Arc;
use tonic::Status;

/// The keys of everybody who waits for the same thing.
#[derive(Clone)]
pub(super) struct Queue {
    prefix: Vec<u8>,
}

impl Queue {
    /// By its name.
    pub(super) fn named(name: &[u8]) -> Self {
        let mut prefix = name.to_vec();
        prefix.push(b'/');
        Self { prefix }
    }

    /// The key of a lease in the queue, as etcd writes it.
    pub(super) fn key(&self, lease: i64) -> Bytes {
        let mut key = self.prefix.clone();
        let (sign, digits) = (if lease < 0 { "-" } else { "" }, lease.unsigned_abs());
        key.extend_from_slice(format!("{sign}{digits:x}").as_bytes());
        key.into()
    }

    /// Its end: the slash at the end of the prefix makes this simple.
    fn end(&self) -> Vec<u8> {
        let mut end = self.prefix.clone();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        end
    }

    fn one(&self, order: SortOrder) -> RangeRequest {
        RangeRequest {
            key: self.prefix.clone().into(),
            range_end: self.end().into(),
            limit: 1,
            sort_order: order.into(),
            sort_target: SortTarget::Create.into(),
            ..RangeRequest::default()
        }
    }

    /// Asks for the one that was created first.
    pub(super) fn first(&self) -> RangeRequest {
        self.one(SortOrder::Ascend)
    }

    /// Asks for the last one that was created before a revision.
    fn last_before(&self, revision: i64) -> RangeRequest {
        RangeRequest {
            max_create_revision: revision - 1,
            ..self.one(SortOrder::Descend)
        }
    }

    /// Whether a key is in it.
    pub(super) fn holds(&self, key: &[u8]) -> bool {
        key.starts_with(&self.prefix)
    }
}

/// A place in a queue: the key, as long as it has this creation revision.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) key: Bytes,
    pub(super) revision: i64,
}

impl Place {
    /// A transaction that does its work only while the place is held.
    pub(super) fn guarded(&self, then: request_op::Request) -> TxnRequest {
        TxnRequest {
            compare: vec![created(&self.key, self.revision)],
            success: vec![operation(then)],
            failure: Vec::new(),
        }
    }

    /// Gives the place up.
    pub(super) fn leave(&self) -> TxnRequest {
        self.guarded(request_op::Request::RequestDeleteRange(
            DeleteRangeRequest {
                key: self.key.clone(),
                ..DeleteRangeRequest::default()
            },
        ))
    }
}

/// Holds when the key was created at this revision; 0: is not there.
pub(super) fn created(key: &Bytes, revision: i64) -> Compare {
    Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Create.into(),
        key: key.clone(),
        target_union: Some(TargetUnion::CreateRevision(revision)),
        ..Compare::default()
    }
}

pub(super) fn operation(request: request_op::Request) -> RequestOp {
    RequestOp {
        request: Some(request),
    }
}

pub(super) fn put(key: &Bytes, value: Bytes, lease: i64) -> request_op::Request {
    request_op::Request::RequestPut(PutRequest {
        key: key.clone(),
        value,
        lease,
        ..PutRequest::default()
    })
}

/// The one record.
pub(super) fn get(key: &Bytes) -> RangeRequest {
    RangeRequest {
        key: key.clone(),
        ..RangeRequest::default()
    }
}

/// Gives a place up if whoever waits for it goes away.
struct Waiting<'a> {
    api: &'a Api,
    origin: &'a Origin,
    place: Option<&'a Place>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let (api, request) = (self.api.clone(), self.origin.request(place.leave()));
            tokio::spawn(async move {
                if let Err(status) = api.txn(request).await {
                    tracing::debug!(%status, "A place in a queue stays until its lease ends");
                }
            });
        }
    }
}

impl Api {
    /// The lease of a session: the one given, or a new one.
    pub(super) async fn session(&self, origin: &Origin, lease: i64) -> Result<i64, Status> {
        if lease != 0 {
            return Ok(lease);
        }
        let request = LeaseGrantRequest {
            ttl: SESSION_TTL,
            id: 0,
        };
        let granted = self.lease_grant(origin.request(request)).await;
        Ok(granted.map_err(errors::relayed)?.into_inner().id)
    }

    pub(super) async fn ask_range(
        &self,
        origin: &Origin,
        request: RangeRequest,
    ) -> Result<RangeResponse, Status> {
        let answer = self.range(origin.request(request)).await;
        Ok(answer.map_err(errors::relayed)?.into_inner())
    }

    pub(super) async fn ask_txn(
        &self,
        origin: &Origin,
        request: TxnRequest,
    ) -> Result<TxnResponse, Status> {
        let answer = self.txn(origin.request(request)).await;
        Ok(answer.map_err(errors::relayed)?.into_inner())
    }

    /// Returns once nobody in the queue is before this place. If that fails, or
    /// nobody waits for it any more, the place is given up.
    pub(super) async fn wait_turn(
        &self,
        origin: &Origin,
        queue: &Queue,
        place: &Place,
    ) -> Result<(), Status> {
        let mut waiting = Waiting {
            api: self,
            origin,
            place: Some(place),
        };
        loop {
            let before = queue.last_before(place.revision);
            let found = self.ask_range(origin, before).await?;
            let Some(before) = found.kvs.into_iter().next() else {
                waiting.place = None;
                return Ok(());
            };
            self.wait_gone(origin, &before).await?;
        }
    }

    /// Waits until a key is not there any more in its present life.
    async fn wait_gone(&self, origin: &Origin, kv: &KeyValue) -> Result<(), Status> {
        let mut progress = self.member.consensus().progress();
        let look = RangeRequest {
            serializable: true,
            keys_only: true,
            ..get(&kv.key)
        };
        loop {
            progress.mark_unchanged();
            let found = self.ask_range(origin, look.clone()).await?;
            if found
                .kvs
                .first()
                .is_none_or(|now| now.create_revision != kv.create_revision)
            {
                return Ok(());
            }
            tokio::select! {
                changed = progress.changed() => changed.map_err(|_| errors::stopped())?,
                () = self.member.stopping().cancelled() => return Err(errors::stopped()),
            }
        }
    }

    /// The next changes from a revision on, once there are any, and the last revision
    /// they cover. `None`: they are compacted.
    pub(super) async fn next_changes(
        &self,
        from: i64,
    ) -> Result<Option<(Vec<Arc<Change>>, i64)>, Status> {
        let mut progress = self.member.consensus().progress();
        loop {
            progress.mark_unchanged();
            let store = self.member.store();
            if store.revision() >= from {
                return match store.changes(from) {
                    Ok(found) => Ok(Some(found)),
                    Err(Error::Rejected(Rejection::Compacted)) => Ok(None),
                    Err(error) => Err(errors::from_read(&error)),
                };
            }
            tokio::select! {
                changed = progress.changed() => changed.map_err(|_| errors::stopped())?,
                () = self.member.stopping().cancelled() => return Err(errors::stopped()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_as_etcd_does() {
        let queue = Queue::named(b"name");
        assert_eq!(queue.key(0x7f3), "name/7f3");
        assert_eq!(queue.key(-2), "name/-2");
        assert_eq!(queue.key(i64::MIN), "name/-8000000000000000");
        let first = queue.first();
        assert_eq!(
            (&first.key[..], &first.range_end[..]),
            (&b"name/"[..], &b"name0"[..])
        );
        assert!(queue.holds(b"name/7f3") && !queue.holds(b"name"));
    }
}
