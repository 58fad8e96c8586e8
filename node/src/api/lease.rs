//! The Lease service.

use super::caller::Origin;
use super::{Api, errors};
use crate::limits::{NO_LEADER_PAUSE, REQUEST_TIMEOUT, WATCH_RESPONSES_AHEAD};
use kvorum_mvcc::auth::Asked;
use kvorum_proto::etcdserverpb::lease_server::Lease;
use kvorum_proto::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse,
    LeaseLeasesRequest, LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseStatus,
    LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
};
use kvorum_proto::log::{command, reply};
use kvorum_proto::peer::{call, call_reply};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Seconds that the leader may take to answer.
const LEADER_ANSWER: Duration = Duration::from_secs(1);

impl Api {
    /// Asks the leader how many seconds a lease has left, wherever it is.
    async fn left(&self, id: i64) -> Result<i64, Status> {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        loop {
            if let Some(answer) = self.member.left_here(id) {
                return Ok(answer);
            }
            let asked = self
                .member
                .consensus()
                .ask_leader(call::Call::LeaseLeft(id), LEADER_ANSWER)
                .await;
            match asked {
                Some(call_reply::Reply::LeaseLeft(n)) => return Ok(n),
                _ if Instant::now() + NO_LEADER_PAUSE >= deadline => {
                    return Err(errors::timed_out());
                }
                _ => tokio::time::sleep(NO_LEADER_PAUSE).await,
            }
        }
    }

    async fn keep_alive(&self, origin: &Origin, id: i64) -> Result<LeaseKeepAliveResponse, Status> {
        let caller = self.caller(origin).await?;
        self.permit(&caller, Asked::Anything)?;
        self.permit(&caller, Asked::LeaseWrite(id))?;
        // Before renewing: a client must not take a later revision for what it has seen.
        let header = self.header(self.member.store().revision());
        let ttl = self
            .member
            .renewals()
            .renew(id)
            .await
            .map_err(errors::from_failure)?;
        Ok(LeaseKeepAliveResponse {
            header: Some(header),
            id,
            ttl,
        })
    }
}

/// A positive random lease ID.
fn new_id() -> i64 {
    rand::random_range(1..=i64::MAX)
}

#[tonic::async_trait]
impl Lease for Api {
    type LeaseKeepAliveStream = ReceiverStream<Result<LeaseKeepAliveResponse, Status>>;

    async fn lease_grant(
        &self,
        request: Request<LeaseGrantRequest>,
    ) -> Result<Response<LeaseGrantResponse>, Status> {
        let mut request = self.admitted(request, Asked::Anything).await?;
        self.check_quota(0)?;
        if request.id == 0 {
            request.id = new_id();
        }
        request.ttl = request
            .ttl
            .max(self.member.consensus().timing().lease_ttl_min());
        match self.propose(command::Op::LeaseGrant(request)).await? {
            reply::Op::LeaseGrant(mut response) => {
                self.complete(&mut response.header);
                Ok(Response::new(response))
            }
            _ => Err(Status::internal("a grant gave another command's reply")),
        }
    }

    async fn lease_revoke(
        &self,
        request: Request<LeaseRevokeRequest>,
    ) -> Result<Response<LeaseRevokeResponse>, Status> {
        let (origin, request) = Origin::of(request);
        let caller = self.caller(&origin).await?;
        self.permit(&caller, Asked::Anything)?;
        let revoke = command::Op::LeaseRevoke(request);
        match self.propose_by(&origin, revoke).await? {
            reply::Op::LeaseRevoke(mut response) => {
                self.complete(&mut response.header);
                Ok(Response::new(response))
            }
            _ => Err(Status::internal("a revoke gave another command's reply")),
        }
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let (origin, mut requests) = Origin::of(request);
        let (tx, rx) = mpsc::channel(WATCH_RESPONSES_AHEAD);
        let api = self.clone();
        tokio::spawn(async move {
            let stopping = api.member.stopping().clone();
            loop {
                let request = tokio::select! {
                    request = requests.next() => request,
                    () = stopping.cancelled() => Some(Err(errors::stopped())),
                };
                let request = match request {
                    Some(Ok(request)) => request,
                    Some(Err(status)) => return drop(tx.send(Err(status)).await),
                    None => return,
                };
                let answer = api.keep_alive(&origin, request.id).await;
                let failed = answer.is_err();
                if tx.send(answer).await.is_err() || failed {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(rx)))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<LeaseTimeToLiveRequest>,
    ) -> Result<Response<LeaseTimeToLiveResponse>, Status> {
        let (origin, request) = Origin::of(request);
        self.linearize().await?;
        let caller = self.caller(&origin).await?;
        self.permit(&caller, Asked::Anything)?;
        if request.keys {
            self.permit(&caller, Asked::LeaseRead(request.id))?;
        }
        let lease = self.member.store().lease(request.id, request.keys);
        let mut response = LeaseTimeToLiveResponse {
            header: Some(self.header(self.member.store().revision())),
            id: request.id,
            ttl: -1,
            ..LeaseTimeToLiveResponse::default()
        };
        if let Some(lease) = lease {
            response.ttl = self.left(request.id).await?;
            if response.ttl >= 0 {
                response.granted_ttl = lease.ttl;
                response.keys = lease.keys.into_iter().map(Into::into).collect();
            }
        }
        if request.keys {
            self.still(&caller)?;
        }
        Ok(Response::new(response))
    }

    async fn lease_leases(
        &self,
        request: Request<LeaseLeasesRequest>,
    ) -> Result<Response<LeaseLeasesResponse>, Status> {
        self.linearize().await?;
        let (caller, _) = self.known(request).await?;
        self.permit(&caller, Asked::Anything)?;
        self.permit(&caller, Asked::Leases)?;
        let leases = self.member.store().leases();
        self.still(&caller)?;
        Ok(Response::new(LeaseLeasesResponse {
            header: Some(self.header(self.member.store().revision())),
            leases: leases
                .into_iter()
                .map(|lease| LeaseStatus { id: lease.id })
                .collect(),
        }))
    }
}
