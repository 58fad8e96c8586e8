//! The KV service.

use super::caller::Origin;
use super::{Api, check, errors, range_stream};
use crate::limits::UPKEEP_INTERVAL;
use kvorum_mvcc::auth::{Asked, Caller};
use kvorum_mvcc::{Rejection, writes};
use kvorum_proto::etcdserverpb::kv_server::Kv;
use kvorum_proto::etcdserverpb::{
    AlarmType, CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse,
    PutRequest, PutResponse, RangeRequest, RangeResponse, RangeStreamResponse, RequestOp,
    TxnRequest, TxnResponse, request_op,
};
use kvorum_proto::log::{Command, Reply, command, reply};
use prost::Message;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// Ranges longer than this are read on a thread of their own.
const QUICK_RANGE: i64 = 1000;

impl Api {
    /// Has a command applied that whoever asked was allowed to ask for.
    pub(crate) async fn propose(&self, op: command::Op) -> Result<reply::Op, Status> {
        self.propose_for(&Caller::default(), op).await
    }

    /// Has a command applied in the name of whoever sent a request.
    pub(super) async fn propose_by(
        &self,
        origin: &Origin,
        op: command::Op,
    ) -> Result<reply::Op, Status> {
        let names_asked = self.member.store().auth().enabled();
        let caller = self.caller(origin).await?;
        let mut command = in_name_of(caller, op);
        match self.send(&command).await {
            Err(status) if self.behind(names_asked, &status) => {
                // Nothing was done: once this member knows the change, ask again.
                self.linearize().await?;
                let caller = self.caller(origin).await?;
                if caller.revision == command.auth_revision {
                    return Err(status);
                }
                command.user = caller.user;
                command.auth_revision = caller.revision;
                self.send(&command).await
            }
            done => done,
        }
    }

    /// Whether a refusal may come from a change of permissions that this member did not
    /// know of. A signed token is good for one revision: that is its client's to renew.
    fn behind(&self, names_asked: bool, refusal: &Status) -> bool {
        let is = |error: Status| refusal.message() == error.message();
        if names_asked {
            is(errors::old_auth_revision()) && self.member.auth().tokens_follow()
        } else {
            is(errors::user_name_empty())
        }
    }

    /// Has a command applied in somebody's name.
    pub(crate) async fn propose_for(
        &self,
        caller: &Caller,
        op: command::Op,
    ) -> Result<reply::Op, Status> {
        self.send(&in_name_of(caller.clone(), op)).await
    }

    /// A refusal becomes etcd's error.
    async fn send(&self, command: &Command) -> Result<reply::Op, Status> {
        if !matches!(
            command.op,
            Some(command::Op::Alarm(_) | command::Op::Downgrade(_))
        ) {
            self.refuse_corrupt()?;
        }
        if command.encoded_len() > self.member.limits().bytes {
            return Err(errors::request_too_large());
        }
        let Reply { op } = self
            .member
            .consensus()
            .propose(command)
            .await
            .map_err(errors::from_failure)?;
        match op {
            Some(reply::Op::Rejected(code)) => {
                Err(errors::from_rejection(Rejection::from_code(code)))
            }
            Some(op) => Ok(op),
            None => Err(Status::internal("an applied command gave no reply")),
        }
    }

    /// Refuses what would grow the store beyond its quota. Deletes, compactions
    /// and what makes room are never refused.
    #[allow(clippy::result_large_err, reason = "tonic's own error")]
    pub(crate) fn check_quota(&self, more: usize) -> Result<(), Status> {
        let more = i64::try_from(more).unwrap_or(i64::MAX);
        if self.over_quota(more) || self.member.store().has_alarm(AlarmType::Nospace) {
            return Err(errors::no_space());
        }
        Ok(())
    }

    /// Whether the store would be over its quota with so many bytes more.
    pub(crate) fn over_quota(&self, more: i64) -> bool {
        let quota = self.member.limits().quota;
        let live = self.member.store().summary().live_bytes;
        quota > 0 && live.saturating_add(more) > quota
    }

    /// Refuses changes while a member is known to be corrupt.
    #[allow(clippy::result_large_err, reason = "tonic's own error")]
    fn refuse_corrupt(&self) -> Result<(), Status> {
        if self.member.store().has_alarm(AlarmType::Corrupt) {
            return Err(errors::corrupt());
        }
        Ok(())
    }

    /// Waits until this member's store is as new as the cluster.
    pub(crate) async fn linearize(&self) -> Result<(), Status> {
        self.member
            .consensus()
            .linearize()
            .await
            .map_err(errors::from_failure)
    }

    /// Members without a vote answer only what they can answer alone.
    #[allow(clippy::result_large_err, reason = "tonic's own error")]
    pub(crate) fn refuse_learner(&self) -> Result<(), Status> {
        if self.member.consensus().is_learner() {
            return Err(errors::not_for_learner());
        }
        Ok(())
    }

    async fn read(&self, request: RangeRequest) -> Result<RangeResponse, Status> {
        let quick = request.range_end.is_empty() || (1..=QUICK_RANGE).contains(&request.limit);
        if quick {
            let found = self.member.store().range(&request);
            return found.map_err(|e| errors::from_read(&e));
        }
        self.blocking(move |store| store.range(&request)).await
    }
}

fn in_name_of(caller: Caller, op: command::Op) -> Command {
    Command {
        op: Some(op),
        user: caller.user,
        auth_revision: caller.revision,
    }
}

/// Bytes that a transaction may add, counting the larger branch.
fn added_bytes(request: &TxnRequest) -> usize {
    let branch = |ops: &[RequestOp]| -> usize {
        let op = |op: &RequestOp| match &op.request {
            Some(request_op::Request::RequestPut(r)) => r.key.len() + r.value.len(),
            Some(request_op::Request::RequestTxn(r)) => added_bytes(r),
            _ => 0,
        };
        ops.iter().map(op).sum()
    };
    branch(&request.success).max(branch(&request.failure))
}

/// Whether all reads of a transaction are content with this member's state.
fn serializable(request: &TxnRequest) -> bool {
    request
        .success
        .iter()
        .chain(&request.failure)
        .all(|op| match &op.request {
            Some(request_op::Request::RequestRange(r)) => r.serializable,
            Some(request_op::Request::RequestTxn(r)) => serializable(r),
            _ => true,
        })
}

pub(super) fn mismatched() -> Status {
    Status::internal("an applied command gave another command's reply")
}

#[tonic::async_trait]
impl Kv for Api {
    type RangeStreamStream = ReceiverStream<Result<RangeStreamResponse, Status>>;

    async fn range(
        &self,
        request: Request<RangeRequest>,
    ) -> Result<Response<RangeResponse>, Status> {
        let (origin, request) = Origin::of(request);
        check::range(&request)?;
        if !request.serializable {
            self.refuse_learner()?;
            self.linearize().await?;
        }
        let caller = self.caller(&origin).await?;
        self.permit(&caller, Asked::Range(&request))?;
        let mut response = self.read(request).await?;
        self.still(&caller)?;
        self.complete(&mut response.header);
        Ok(Response::new(response))
    }

    async fn range_stream(
        &self,
        request: Request<RangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        let (origin, request) = Origin::of(request);
        check::range(&request)?;
        range_stream::check(&request)?;
        if !request.serializable {
            self.refuse_learner()?;
            self.linearize().await?;
        }
        let caller = self.caller(&origin).await?;
        self.permit(&caller, Asked::Range(&request))?;
        let answers = range_stream::start(self.clone(), caller, request);
        Ok(Response::new(answers))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let (origin, request) = Origin::of(request);
        check::put(&request)?;
        self.check_quota(request.key.len() + request.value.len())?;
        match self.propose_by(&origin, command::Op::Put(request)).await? {
            reply::Op::Put(mut response) => {
                self.complete(&mut response.header);
                Ok(Response::new(response))
            }
            _ => Err(mismatched()),
        }
    }

    async fn delete_range(
        &self,
        request: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        let (origin, request) = Origin::of(request);
        check::delete(&request)?;
        match self
            .propose_by(&origin, command::Op::DeleteRange(request))
            .await?
        {
            reply::Op::DeleteRange(mut response) => {
                self.complete(&mut response.header);
                Ok(Response::new(response))
            }
            _ => Err(mismatched()),
        }
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        let (origin, request) = Origin::of(request);
        check::txn(&request, self.member.limits().txn_ops)?;
        if !writes(&request) {
            if !serializable(&request) {
                self.refuse_learner()?;
                self.linearize().await?;
            }
            let caller = self.caller(&origin).await?;
            self.permit(&caller, Asked::Txn(&request))?;
            let mut response = self
                .member
                .store()
                .read_txn(&request)
                .map_err(|e| errors::from_read(&e))?;
            self.still(&caller)?;
            self.complete(&mut response.header);
            return Ok(Response::new(response));
        }
        let added = added_bytes(&request);
        if added > 0 {
            self.check_quota(added)?;
        }
        match self.propose_by(&origin, command::Op::Txn(request)).await? {
            reply::Op::Txn(mut response) => {
                self.complete(&mut response.header);
                Ok(Response::new(response))
            }
            _ => Err(mismatched()),
        }
    }

    async fn compact(
        &self,
        request: Request<CompactionRequest>,
    ) -> Result<Response<CompactionResponse>, Status> {
        let request = self.admitted(request, Asked::Administration).await?;
        let compact = command::Op::Compact(request);
        let reply::Op::Compact(mut response) = self.propose(compact).await? else {
            return Err(mismatched());
        };
        if request.physical {
            while self.member.store().summary().swept < request.revision {
                tokio::time::sleep(UPKEEP_INTERVAL / 50).await;
            }
            self.blocking(|store| Ok(store.flush()?)).await?;
        }
        self.complete(&mut response.header);
        Ok(Response::new(response))
    }
}
