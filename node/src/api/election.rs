//! The Election service: whoever campaigned first leads until it resigns or its lease ends.

use super::caller::Origin;
use super::lock::first_of;
use super::queue::{Place, Queue, created, get, operation, put};
use super::{Api, errors};
use crate::limits::WATCH_RESPONSES_AHEAD;
use bytes::Bytes;
use kvorum_proto::etcdserverpb::{RangeRequest, ResponseHeader, TxnRequest, request_op};
use kvorum_proto::mvccpb::{KeyValue, event::EventType};
use kvorum_proto::v3electionpb::election_server::Election;
use kvorum_proto::v3electionpb::{
    CampaignRequest, CampaignResponse, LeaderKey, LeaderRequest, LeaderResponse, ProclaimRequest,
    ProclaimResponse, ResignRequest, ResignResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

type Out = mpsc::Sender<Result<LeaderResponse, Status>>;

fn place_of(leader: &LeaderKey) -> Place {
    Place {
        key: leader.key.clone(),
        revision: leader.rev,
    }
}

impl Api {
    /// Changes the value of a place that is held.
    async fn proclaim_at(
        &self,
        origin: &Origin,
        place: &Place,
        value: Bytes,
        lease: i64,
    ) -> Result<Option<ResponseHeader>, Status> {
        let request = place.guarded(put(&place.key, value, lease));
        let answer = self.ask_txn(origin, request).await?;
        if answer.succeeded {
            Ok(answer.header)
        } else {
            Err(errors::not_elected())
        }
    }

    /// Tells of each leader and of what it proclaims, until the client has gone.
    async fn observe_queue(&self, origin: &Origin, queue: &Queue, out: &Out) -> Result<(), Status> {
        loop {
            let found = self.ask_range(origin, queue.first()).await?;
            let header = found.header.unwrap_or_default();
            let leader = found.kvs.into_iter().next();
            let leader = match leader {
                Some(leader) => Some((leader, header.revision)),
                None => self.first_put(origin, queue, header.revision + 1).await?,
            };
            // None: compacted meanwhile. Look again.
            let Some((leader, revision)) = leader else {
                continue;
            };
            let key = leader.key.clone();
            self.tell(out, leader, revision).await?;
            self.follow(origin, &key, revision + 1, out).await?;
        }
    }

    /// Waits for the first put in a queue from a revision on.
    async fn first_put(
        &self,
        origin: &Origin,
        queue: &Queue,
        mut from: i64,
    ) -> Result<Option<(KeyValue, i64)>, Status> {
        loop {
            let Some((changes, upto)) = self.next_changes(from).await? else {
                return Ok(None);
            };
            for event in changes.iter().flat_map(|c| &c.events) {
                if let Some(kv) = &event.kv
                    && event.r#type() == EventType::Put
                    && queue.holds(&kv.key)
                {
                    // Still allowed to read it?
                    self.ask_range(origin, local(queue.first())).await?;
                    return Ok(Some((kv.clone(), kv.mod_revision)));
                }
            }
            from = upto + 1;
        }
    }

    /// Tells of the puts of one key until it is deleted.
    async fn follow(
        &self,
        origin: &Origin,
        key: &Bytes,
        mut from: i64,
        out: &Out,
    ) -> Result<(), Status> {
        loop {
            let Some((changes, upto)) = self.next_changes(from).await? else {
                return Ok(());
            };
            for event in changes.iter().flat_map(|c| &c.events) {
                let Some(kv) = event.kv.as_ref().filter(|kv| kv.key == *key) else {
                    continue;
                };
                if event.r#type() == EventType::Delete {
                    return Ok(());
                }
                self.ask_range(origin, local(get(key))).await?;
                self.tell(out, kv.clone(), kv.mod_revision).await?;
            }
            from = upto + 1;
        }
    }

    async fn tell(&self, out: &Out, leader: KeyValue, revision: i64) -> Result<(), Status> {
        let response = LeaderResponse {
            header: Some(self.header(revision)),
            kv: Some(leader),
        };
        let sent = out.send(Ok(response)).await;
        sent.map_err(|_| Status::cancelled("the client has gone"))
    }
}

/// The same, content with what this member has.
fn local(request: RangeRequest) -> RangeRequest {
    RangeRequest {
        serializable: true,
        count_only: true,
        ..request
    }
}

#[tonic::async_trait]
impl Election for Api {
    type ObserveStream = ReceiverStream<Result<LeaderResponse, Status>>;

    async fn campaign(
        &self,
        request: Request<CampaignRequest>,
    ) -> Result<Response<CampaignResponse>, Status> {
        let (origin, request) = Origin::of(request);
        let lease = self.session(&origin, request.lease).await?;
        let queue = Queue::named(&request.name);
        let key = queue.key(lease);
        let join = TxnRequest {
            compare: vec![created(&key, 0)],
            success: vec![operation(put(&key, request.value.clone(), lease))],
            failure: vec![operation(request_op::Request::RequestRange(get(&key)))],
        };
        let joined = self.ask_txn(&origin, join).await?;
        let own = first_of(&joined, 0).filter(|_| !joined.succeeded);
        let revision = match own {
            Some(own) => own.create_revision,
            None => joined.header.map_or(0, |h| h.revision),
        };
        let place = Place { key, revision };
        if own.is_some_and(|own| own.value != request.value) {
            let proclaimed = self.proclaim_at(&origin, &place, request.value, lease);
            proclaimed.await?;
        }
        self.wait_turn(&origin, &queue, &place).await?;
        Ok(Response::new(CampaignResponse {
            header: joined.header,
            leader: Some(LeaderKey {
                name: request.name,
                key: place.key,
                rev: place.revision,
                lease,
            }),
        }))
    }

    async fn proclaim(
        &self,
        request: Request<ProclaimRequest>,
    ) -> Result<Response<ProclaimResponse>, Status> {
        let (origin, request) = Origin::of(request);
        let leader = request.leader.ok_or_else(errors::missing_leader)?;
        let lease = self.session(&origin, leader.lease).await?;
        let place = place_of(&leader);
        let header = self
            .proclaim_at(&origin, &place, request.value, lease)
            .await?;
        Ok(Response::new(ProclaimResponse { header }))
    }

    async fn leader(
        &self,
        request: Request<LeaderRequest>,
    ) -> Result<Response<LeaderResponse>, Status> {
        let (origin, request) = Origin::of(request);
        let first = Queue::named(&request.name).first();
        let found = self.ask_range(&origin, first).await?;
        let leader = found.kvs.into_iter().next();
        Ok(Response::new(LeaderResponse {
            header: found.header,
            kv: Some(leader.ok_or_else(errors::nobody_elected)?),
        }))
    }

    async fn observe(
        &self,
        request: Request<LeaderRequest>,
    ) -> Result<Response<Self::ObserveStream>, Status> {
        let (origin, request) = Origin::of(request);
        let queue = Queue::named(&request.name);
        let (out, responses) = mpsc::channel(WATCH_RESPONSES_AHEAD);
        let api = self.clone();
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = api.observe_queue(&origin, &queue, &out) => ended,
                () = out.closed() => return,
            };
            if let Err(status) = ended {
                let _ = out.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(responses)))
    }

    async fn resign(
        &self,
        request: Request<ResignRequest>,
    ) -> Result<Response<ResignResponse>, Status> {
        let (origin, request) = Origin::of(request);
        let leader = request.leader.ok_or_else(errors::missing_leader)?;
        let left = self.ask_txn(&origin, place_of(&leader).leave()).await?;
        Ok(Response::new(ResignResponse {
            header: left.header,
        }))
    }
}
