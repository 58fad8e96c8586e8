//! Sending appends and heartbeats: a window of a few at a time, answered in order.

use super::Context;
use super::link::{self, DialError, Link};
use crate::consensus::types::{
    self, MemberId, Node, Types, entry_to_wire, id_from_wire, id_to_wire, vote_from_wire,
    vote_to_wire,
};
use crate::faultpoint;
use crate::limits::{APPEND_TIMEOUT, APPEND_WINDOW, SILENT_MAX};
use futures::{Stream, StreamExt};
use kvorum_proto::peer::{Append, AppendReply, Purpose, append_reply};
use openraft::errors::{RPCError, Unreachable};
use openraft::raft::{AppendEntriesRequest, StreamAppendError};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinHandle;

type StreamAppendResult = Result<Option<types::LogId>, StreamAppendError<Types>>;
type Outcome = Result<StreamAppendResult, RPCError<Types>>;

/// The sending side of one append connection; dials when first used and after each failure.
pub struct Sender {
    context: Arc<Context>,
    target: MemberId,
    node: Node,
    link: Option<Link>,
    /// A dial under way. openraft gives a heartbeat up after one interval; the dial goes on.
    dialling: Option<JoinHandle<Result<Link, DialError>>>,
    /// Since when the peer owes an answer.
    owing: Option<Instant>,
    next_id: u64,
}

/// What is sent and not yet answered.
struct InFlight {
    id: u64,
    sent: Instant,
    prev: Option<types::LogId>,
    committed: Option<types::LogId>,
}

pub(super) fn unreachable(error: &(impl std::error::Error + 'static)) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::new(error))
}

impl Sender {
    /// For one peer.
    #[must_use]
    pub fn new(context: Arc<Context>, target: MemberId, node: Node) -> Self {
        Self {
            context,
            target,
            node,
            link: None,
            dialling: None,
            owing: None,
            next_id: 0,
        }
    }

    fn connected(&mut self) -> bool {
        // A peer whose machine vanished never closes the connection.
        if self.owing.is_some_and(|since| since.elapsed() > SILENT_MAX) {
            self.link = None;
        }
        self.link.is_some()
    }

    async fn dial(&mut self) -> Result<(), RPCError<Types>> {
        let (context, target, node) = (self.context.clone(), self.target, self.node.clone());
        let dialling = self.dialling.get_or_insert_with(|| {
            tokio::spawn(async move { link::dial(&context, target, &node, Purpose::Append).await })
        });
        let dialled = dialling.await;
        self.dialling = None;
        self.owing = None;
        let dialled = dialled.map_err(|e| unreachable(&e))?;
        if let Err(DialError::Refused { text, .. }) = &dialled {
            tracing::warn!(peer = self.target, reason = %text, "Peer refused the connection");
        }
        self.link = Some(dialled.map_err(|e| unreachable(&e))?);
        Ok(())
    }

    /// Sends what `input` yields, keeping a bounded number under way. A request is
    /// taken from `input` only when it can be sent at once, so that openraft
    /// gathers as much as possible into it.
    pub fn stream<'s, S>(&'s mut self, input: S) -> impl Stream<Item = Outcome> + Send + 's
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
    {
        let state = Running {
            sender: self,
            input: Some(input),
            in_flight: VecDeque::new(),
            ended: false,
        };
        futures::stream::unfold(state, |mut state| async move {
            let outcome = state.step().await?;
            Some((outcome, state))
        })
    }
}

struct Running<'s, S> {
    sender: &'s mut Sender,
    /// `None` once it has ended.
    input: Option<S>,
    in_flight: VecDeque<InFlight>,
    ended: bool,
}

impl<S> Running<'_, S>
where
    S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
{
    /// The next answer; `None` when all requests are answered and no more come.
    async fn step(&mut self) -> Option<Outcome> {
        if self.ended {
            return None;
        }
        let outcome = match self.advance().await {
            Ok(None) => return None,
            Ok(Some(result)) => Ok(result),
            Err(error) => Err(error),
        };
        if !matches!(outcome, Ok(Ok(_))) {
            // The peer drops what follows a refusal, so this connection is done with.
            self.ended = true;
            self.sender.link = None;
        }
        Some(outcome)
    }

    async fn advance(&mut self) -> Result<Option<StreamAppendResult>, RPCError<Types>> {
        if !self.sender.connected() {
            // openraft holds the next request back for a while after a failure (see
            // `Network::backoff`), so nobody is dialled before there is one.
            let Some(input) = &mut self.input else {
                return Ok(None);
            };
            let Some(request) = input.next().await else {
                return Ok(None);
            };
            self.sender.dial().await?;
            self.send(request).await?;
        }
        loop {
            let Sender { context, link, .. } = &mut *self.sender;
            let Some(link) = link.as_mut() else {
                return Err(unreachable(&io::Error::from(io::ErrorKind::NotConnected)));
            };
            if self.in_flight.is_empty() && self.input.is_none() {
                return Ok(None);
            }
            let may_send = self.in_flight.len() < APPEND_WINDOW;
            let input = &mut self.input;
            let request = async {
                match input {
                    Some(input) if may_send => input.next().await,
                    _ => std::future::pending().await,
                }
            };
            let waiting = !self.in_flight.is_empty();
            let answer = async {
                if waiting {
                    tokio::time::timeout(
                        APPEND_TIMEOUT,
                        link.reader.expect::<AppendReply>(&context.traffic),
                    )
                    .await
                } else {
                    std::future::pending().await
                }
            };
            tokio::select! {
                biased;
                answer = answer => {
                    let answer = answer
                        .map_err(|_| unreachable(&io::Error::from(io::ErrorKind::TimedOut)))?
                        .map_err(|e| unreachable(&e))?;
                    self.sender.owing = None;
                    let told = self.in_flight.front().and_then(|first| first.committed);
                    faultpoint::answered(self.sender.target, told, &answer.1).await;
                    if let Some(result) = self.answered(answer) {
                        return Ok(Some(result));
                    }
                }
                request = request => match request {
                    Some(request) => self.send(request).await?,
                    None => self.input = None,
                },
            }
        }
    }

    /// Matches an answer to its request. An answer to a request that was given up
    /// (a heartbeat whose time was over) is passed over.
    fn answered(&mut self, (id, reply): (u64, AppendReply)) -> Option<StreamAppendResult> {
        if self.in_flight.front().is_none_or(|first| first.id != id) {
            return None;
        }
        let request = self.in_flight.pop_front()?;
        let sender = &self.sender;
        let traffic = &sender.context.traffic;
        traffic.note_round_trip(sender.target, request.sent.elapsed());
        Some(match reply.outcome {
            Some(append_reply::Outcome::Flushed(id)) => Ok(Some(id_from_wire(id))),
            Some(append_reply::Outcome::Nothing(_)) | None => Ok(None),
            Some(append_reply::Outcome::Conflict(id)) => {
                let at = request.prev.unwrap_or_else(|| id_from_wire(id));
                Err(StreamAppendError::Conflict(at))
            }
            Some(append_reply::Outcome::Higher(vote)) => {
                Err(StreamAppendError::HigherVote(vote_from_wire(Some(vote))))
            }
        })
    }

    async fn send(&mut self, request: AppendEntriesRequest<Types>) -> Result<(), RPCError<Types>> {
        faultpoint::sending(self.sender.target, &request).await;
        let sender = &mut *self.sender;
        sender.next_id += 1;
        sender.owing.get_or_insert_with(Instant::now);
        let message = Append {
            vote: Some(vote_to_wire(&request.vote)),
            prev: request.prev_log_id.map(id_to_wire),
            entries: request.entries.iter().map(entry_to_wire).collect(),
            committed: request.leader_commit.map(id_to_wire),
        };
        self.in_flight.push_back(InFlight {
            id: sender.next_id,
            sent: Instant::now(),
            prev: request.prev_log_id,
            committed: request.leader_commit,
        });
        let Some(link) = sender.link.as_mut() else {
            return Err(unreachable(&io::Error::from(io::ErrorKind::NotConnected)));
        };
        let sent = link
            .writer
            .send(&sender.context.traffic, sender.next_id, &message)
            .await;
        sent.map_err(|e| unreachable(&e))
    }
}

/// An append as openraft takes it.
///
/// # Errors
/// If an entry does not decode.
pub(super) fn request_from_wire(append: Append) -> io::Result<AppendEntriesRequest<Types>> {
    let entries: Result<Vec<_>, _> = append
        .entries
        .into_iter()
        .map(types::entry_from_wire)
        .collect();
    Ok(AppendEntriesRequest {
        vote: vote_from_wire(append.vote),
        prev_log_id: append.prev.map(id_from_wire),
        entries: entries?,
        leader_commit: append.committed.map(id_from_wire),
    })
}

/// The answer to an append.
pub(super) fn reply_to_wire(result: &StreamAppendResult) -> AppendReply {
    let outcome = match result {
        Ok(Some(id)) => append_reply::Outcome::Flushed(id_to_wire(*id)),
        Ok(None) => append_reply::Outcome::Nothing(true),
        Err(StreamAppendError::Conflict(id)) => append_reply::Outcome::Conflict(id_to_wire(*id)),
        Err(StreamAppendError::HigherVote(vote)) => {
            append_reply::Outcome::Higher(vote_to_wire(vote))
        }
    };
    AppendReply {
        outcome: Some(outcome),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addresses::Addresses;
    use crate::peer::{Contact, Traffic};
    use crate::tls::Port;
    use kvorum_mvcc::Store;
    use kvorum_mvcc::engine::MemoryEngine;
    use kvorum_storage::identity::Identity;
    use tokio_util::sync::CancellationToken;

    fn context() -> Arc<Context> {
        Arc::new(Context {
            identity: Identity {
                format: 1,
                cluster_id: 7,
                member_id: 1,
                store_uuid: "ours".to_owned(),
            },
            store: Arc::new(Store::open(Arc::new(MemoryEngine::default())).unwrap()),
            contact: Contact::new(),
            traffic: Traffic::default(),
            addresses: Addresses::default(),
            peer_port: Port::default(),
            client_port: Port::default(),
            removed: CancellationToken::new(),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_dialled_before_there_is_something_to_send() {
        let nowhere = Node::default();
        let mut sender = Sender::new(context(), 2, nowhere);
        let (requests, input) = futures::channel::mpsc::unbounded();
        let mut answers = std::pin::pin!(sender.stream(input));
        let hour = std::time::Duration::from_secs(3600);
        let early = tokio::time::timeout(hour, answers.next()).await;
        assert!(early.is_err(), "openraft's pause was not waited for");
        let request = AppendEntriesRequest {
            vote: types::Vote::new_committed(1, 1),
            prev_log_id: None,
            entries: Vec::new(),
            leader_commit: None,
        };
        requests.unbounded_send(request).unwrap();
        assert!(matches!(answers.next().await, Some(Err(_))));
    }
}
