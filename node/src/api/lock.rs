//! The Lock service: whoever came first holds the lock.

use super::caller::Origin;
use super::queue::{Place, Queue, created, get, operation, put};
use super::{Api, errors};
use bytes::Bytes;
use kvorum_proto::etcdserverpb::kv_server::Kv;
use kvorum_proto::etcdserverpb::{
    DeleteRangeRequest, TxnRequest, TxnResponse, request_op, response_op,
};
use kvorum_proto::mvccpb::KeyValue;
use kvorum_proto::v3lockpb::lock_server::Lock;
use kvorum_proto::v3lockpb::{LockRequest, LockResponse, UnlockRequest, UnlockResponse};
use tonic::{Request, Response, Status};

/// The first record of one operation's answer.
pub(super) fn first_of(response: &TxnResponse, operation: usize) -> Option<&KeyValue> {
    match &response.responses.get(operation)?.response {
        Some(response_op::Response::ResponseRange(range)) => range.kvs.first(),
        _ => None,
    }
}

#[tonic::async_trait]
impl Lock for Api {
    async fn lock(&self, request: Request<LockRequest>) -> Result<Response<LockResponse>, Status> {
        let (origin, request) = Origin::of(request);
        let lease = self.session(&origin, request.lease).await?;
        let queue = Queue::named(&request.name);
        let key = queue.key(lease);
        let owner = operation(request_op::Request::RequestRange(queue.first()));
        let own = request_op::Request::RequestRange(get(&key));
        let join = TxnRequest {
            compare: vec![created(&key, 0)],
            success: vec![operation(put(&key, Bytes::new(), lease)), owner.clone()],
            failure: vec![operation(own), owner],
        };
        let joined = self.ask_txn(&origin, join).await?;
        let header = joined.header;
        let revision = match first_of(&joined, 0) {
            Some(own) if !joined.succeeded => own.create_revision,
            _ => header.map_or(0, |h| h.revision),
        };
        if first_of(&joined, 1).is_none_or(|owner| owner.create_revision == revision) {
            return Ok(Response::new(LockResponse { header, key }));
        }
        let place = Place { key, revision };
        self.wait_turn(&origin, &queue, &place).await?;
        // The lease may have ended meanwhile.
        let held = self.ask_range(&origin, get(&place.key)).await?;
        if held.kvs.is_empty() {
            return Err(errors::session_expired());
        }
        Ok(Response::new(LockResponse {
            header: held.header,
            key: place.key,
        }))
    }

    async fn unlock(
        &self,
        request: Request<UnlockRequest>,
    ) -> Result<Response<UnlockResponse>, Status> {
        let (origin, request) = Origin::of(request);
        let delete = DeleteRangeRequest {
            key: request.key,
            ..DeleteRangeRequest::default()
        };
        let deleted = self.delete_range(origin.request(delete)).await;
        Ok(Response::new(UnlockResponse {
            header: deleted.map_err(errors::relayed)?.into_inner().header,
        }))
    }
}
