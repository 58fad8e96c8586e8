//! openraft's network on peer connections.

use super::machine::SnapshotData;
use super::types::{
    MemberId, Node, Types, Vote, id_from_wire, id_to_wire, vote_from_wire, vote_to_wire,
};
use crate::limits::{PEER_PAUSE_MAX, PEER_PAUSE_MIN};
use crate::peer::append::Sender;
use crate::peer::calls::Calls;
use crate::peer::{Context, link, snapshot};
use futures::{Stream, StreamExt};
use kvorum_proto::peer::{self, Purpose, call, call_reply};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::v2::RaftNetworkV2;
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError,
    StreamAppendResult, TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use openraft::type_config::alias::SnapshotOf;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Makes one [`Network`] per peer and use.
pub struct Factory {
    /// Who we are.
    pub context: Arc<Context>,
    /// Shared connections for votes.
    pub calls: Arc<Calls>,
    /// How long a vote may take.
    pub vote_timeout: Duration,
}

/// One peer as openraft calls it.
pub struct Network {
    context: Arc<Context>,
    calls: Arc<Calls>,
    target: MemberId,
    node: Node,
    appends: Sender,
    vote_timeout: Duration,
}

impl RaftNetworkFactory<Types> for Factory {
    type Network = Network;

    // Called once for replication and once for heartbeats of each peer: so each
    // has a connection of its own, and heartbeats never wait behind entries.
    async fn new_client(&mut self, target: MemberId, node: &Node) -> Network {
        Network {
            context: self.context.clone(),
            calls: self.calls.clone(),
            target,
            node: node.clone(),
            appends: Sender::new(self.context.clone(), target, node.clone()),
            vote_timeout: self.vote_timeout,
        }
    }
}

fn unreachable(error: &(impl std::error::Error + 'static)) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::new(error))
}

fn unexpected() -> RPCError<Types> {
    unreachable(&io::Error::other(
        "the peer answered something else than was asked",
    ))
}

impl Network {
    async fn call(&self, call: call::Call) -> Result<call_reply::Reply, RPCError<Types>> {
        self.calls
            .call(self.target, &self.node, call, self.vote_timeout)
            .await
            .map_err(|e| unreachable(&e))
    }

    async fn ask_vote(
        &self,
        request: VoteRequest<Types>,
        pre: bool,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let call = call::Call::Vote(peer::VoteRequest {
            vote: Some(vote_to_wire(&request.vote)),
            last: request.last_log_id.map(id_to_wire),
            transfer: request.leadership_transfer,
            pre,
        });
        match self.call(call).await? {
            call_reply::Reply::Vote(reply) => Ok(VoteResponse {
                vote: vote_from_wire(reply.vote),
                vote_granted: reply.granted,
                last_log_id: reply.last.map(id_from_wire),
            }),
            _ => Err(unexpected()),
        }
    }
}

impl RaftNetworkV2<Types> for Network {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let once = futures::stream::once(std::future::ready(request));
        let mut answers = std::pin::pin!(self.appends.stream(once));
        match answers.next().await {
            Some(Ok(Ok(flushed))) => Ok(AppendEntriesResponse::PartialSuccess(flushed)),
            Some(Ok(Err(StreamAppendError::Conflict(_)))) => Ok(AppendEntriesResponse::Conflict),
            Some(Ok(Err(StreamAppendError::HigherVote(v)))) => {
                Ok(AppendEntriesResponse::HigherVote(v))
            }
            Some(Err(error)) => Err(error),
            None => Err(unexpected()),
        }
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>, RPCError<Types>>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
    {
        let stream: BoxStream<'s, _> = Box::pin(self.appends.stream(input));
        Box::pin(std::future::ready(Ok(stream)))
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_vote(request, false).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_vote(request, true).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        _snapshot: SnapshotOf<Types, SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let sending = async {
            let link = link::dial(&self.context, self.target, &self.node, Purpose::Snapshot)
                .await
                .map_err(io::Error::other)?;
            snapshot::send(&self.context, link, &vote).await
        };
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = sending => match sent {
                Ok(vote) => Ok(SnapshotResponse::new(vote)),
                Err(error) => {
                    tracing::warn!(peer = self.target, %error, "Sending a snapshot failed");
                    Err(StreamingError::Unreachable(Unreachable::new(&error)))
                }
            },
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        let pauses = std::iter::successors(Some(PEER_PAUSE_MIN), |last| {
            Some((2 * *last).min(PEER_PAUSE_MAX))
        });
        Some(Backoff::new(pauses))
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        _option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let call = call::Call::Transfer(peer::Transfer {
            from: Some(vote_to_wire(request.from_leader())),
            to: *request.to_node_id(),
            last: request.last_log_id().copied().map(id_to_wire),
        });
        match self.call(call).await? {
            call_reply::Reply::Transfer(reply) if reply.not_flushed => {
                Ok(Err(TransferLeaderError::LogNotFlushed {
                    expected: request.last_log_id().copied(),
                    actual: None,
                }))
            }
            call_reply::Reply::Transfer(reply) => Ok(match reply.expected {
                Some(expected) => Err(TransferLeaderError::VoteChanged {
                    expected: vote_from_wire(Some(expected)),
                    actual: vote_from_wire(reply.actual),
                }),
                None => Ok(()),
            }),
            _ => Err(unexpected()),
        }
    }
}
