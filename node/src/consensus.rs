//! Consensus behind our own words: propose, read, initialize, hand over, status.
//!
//! openraft appears here and in `peer`, nowhere else.

pub mod log_store;
pub mod machine;
pub mod membership;
pub mod network;
mod propose;
pub mod reads;
pub mod settings;
pub mod status;
pub mod succession;
pub mod transfer;
pub mod types;
pub mod upkeep;

use crate::limits::{
    NO_LEADER_PAUSE, PING_INTERVAL, PROPOSAL_BYTES_MAX, PROPOSALS_MAX, REQUEST_TIMEOUT,
};
use crate::peer::Context;
use crate::peer::calls::Calls;
use futures::Stream;
use kvorum_proto::peer::{self, call, call_reply};
use machine::{Machine, Progress, SnapshotData};
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{Fatal, InitializeError, LinearizableReadError, RaftError};
use openraft::raft::{
    AppendEntriesRequest, StreamAppendResult, TransferLeaderRequest, VoteRequest,
};
use openraft::type_config::alias::SnapshotOf;
use openraft::{Raft, ReadPolicy};
use settings::Timing;
use status::Status;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use types::{LogId, MemberId, Node, Types, Vote};

/// Why a request did not go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No leader was found in time; nothing was done.
    #[error("no leader")]
    NoLeader,
    /// The leader was lost while it worked on the request: it may or may not come to pass.
    #[error("the leader was lost meanwhile")]
    LeaderLost,
    /// Time ran out: it may or may not come to pass.
    #[error("request timed out")]
    TimedOut,
    /// Too much waits already; nothing was done.
    #[error("too many requests")]
    TooMany,
    /// This member is on its way out.
    #[error("server stopped")]
    Stopped,
}

/// The consensus module of one member.
pub struct Consensus {
    raft: Raft<Types, Machine>,
    context: Arc<Context>,
    calls: Arc<Calls>,
    timing: Timing,
    progress: watch::Receiver<Progress>,
    reads: reads::Reads,
    places: Semaphore,
    room: Semaphore,
    learners_max: usize,
    failed: AtomicU64,
}

/// Whom to ask instead.
enum Elsewhere {
    /// This member.
    Leader(MemberId, Node),
    /// Nobody yet.
    Unknown,
}

impl Consensus {
    /// Puts the parts together and starts openraft.
    ///
    /// # Errors
    /// If openraft finds the log or the store unusable.
    pub async fn start(
        context: Arc<Context>,
        timing: Timing,
        log: log_store::LogStore,
        machine: Machine,
        learners_max: usize,
    ) -> Result<Arc<Self>, Fatal<Types>> {
        let calls = Arc::new(Calls::new(context.clone()));
        let factory = network::Factory {
            context: context.clone(),
            calls: calls.clone(),
            vote_timeout: timing.election_max,
        };
        let progress = machine.progress();
        let config = Arc::new(timing.raft_config());
        let raft = Raft::new(context.identity.member_id, config, factory, log, machine).await?;
        let (reads, waiters) = reads::Reads::new();
        let consensus = Arc::new(Self {
            raft,
            context,
            calls,
            timing,
            progress,
            reads,
            places: Semaphore::new(PROPOSALS_MAX),
            room: Semaphore::new(PROPOSAL_BYTES_MAX),
            learners_max,
            failed: AtomicU64::new(0),
        });
        tokio::spawn(reads::run(Arc::downgrade(&consensus), waiters));
        tokio::spawn(keep_open(Arc::downgrade(&consensus)));
        Ok(consensus)
    }

    fn deadline(&self) -> Instant {
        Instant::now() + REQUEST_TIMEOUT + 2 * self.timing.election_max
    }

    fn elsewhere(&self) -> Elsewhere {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched().clone();
        let Some(id) = metrics.current_leader else {
            return Elsewhere::Unknown;
        };
        // What is sent to a leader that may be gone hangs until another has taken over: what
        // waits here goes to that one at once, or to the old one with its next heartbeat.
        let silent = self.context.contact.age();
        let silent = silent.is_none_or(|age| age > self.timing.election_min);
        if silent || id == self.context.identity.member_id {
            return Elsewhere::Unknown;
        }
        match metrics.membership_config.membership().get_node(&id) {
            Some(node) => Elsewhere::Leader(id, node.clone()),
            None => Elsewhere::Unknown,
        }
    }

    /// Returns once this member's store holds everything committed before the call.
    ///
    /// # Errors
    /// If no quorum could be reached in time.
    pub async fn linearize(&self) -> Result<(), Failure> {
        self.reads.wait().await
    }

    /// A log index that covers everything committed when this was called, confirmed by a quorum.
    pub(crate) async fn read_index(&self) -> Result<u64, Failure> {
        let deadline = self.deadline();
        loop {
            if let Some(index) = self.read_index_here().await? {
                return Ok(index);
            }
            let call = call::Call::ReadIndex(true);
            let reply = self.ask_leader(call, 2 * self.timing.election_max).await;
            if let Some(call_reply::Reply::ReadIndex(id)) = reply {
                return Ok(id.index);
            }
            if self.context.removed.is_cancelled() {
                return Err(Failure::Stopped);
            }
            if Instant::now() + NO_LEADER_PAUSE >= deadline {
                return Err(Failure::TimedOut);
            }
            tokio::time::sleep(NO_LEADER_PAUSE).await;
        }
    }

    /// The same, as the leader; `None` if this member cannot say.
    pub(crate) async fn read_index_here(&self) -> Result<Option<u64>, Failure> {
        if !self.raft.is_leader() {
            return Ok(None);
        }
        let round = self.raft.get_read_linearizer(ReadPolicy::ReadIndex);
        match tokio::time::timeout(2 * self.timing.election_max, round).await {
            Ok(Ok(linearizer)) => Ok(Some(linearizer.read_log_id().index())),
            Ok(Err(RaftError::Fatal(_))) => Err(Failure::Stopped),
            Ok(Err(RaftError::APIError(
                LinearizableReadError::ForwardToLeader(_)
                | LinearizableReadError::QuorumNotEnough(_),
            )))
            | Err(_) => Ok(None),
        }
    }

    /// Index of the last applied entry.
    #[must_use]
    pub fn applied_index(&self) -> u64 {
        self.progress.borrow().index
    }

    /// Watches how far the store is applied.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    pub(crate) async fn wait_applied(&self, index: u64) -> Result<(), Failure> {
        self.wait_applied_until(index, self.deadline()).await
    }

    async fn wait_applied_until(&self, index: u64, deadline: Instant) -> Result<(), Failure> {
        let mut progress = self.progress.clone();
        let reached = async {
            tokio::select! {
                reached = progress.wait_for(|p| p.index >= index) => reached.map(|_| ()).map_err(|_| ()),
                // Nobody sends it anything any more.
                () = self.context.removed.cancelled() => Err(()),
            }
        };
        match tokio::time::timeout_at(deadline, reached).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(())) => Err(Failure::Stopped),
            Err(_) => Err(Failure::TimedOut),
        }
    }

    /// Forms the cluster. `false`: it had been formed before.
    ///
    /// # Errors
    /// If this member is not among the members, or has stopped.
    pub async fn initialize(&self, members: BTreeMap<MemberId, Node>) -> Result<bool, String> {
        match self.raft.initialize(members).await {
            Ok(()) => Ok(true),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Takes appends in, in order; answers come in order.
    pub(crate) fn stream_append<S>(
        &self,
        input: S,
    ) -> impl Stream<Item = Result<StreamAppendResult<Types>, Fatal<Types>>> + Send + 'static
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + Send + 'static,
    {
        self.raft.stream_append(input)
    }

    pub(crate) async fn install_snapshot(
        &self,
        vote: Vote,
        snapshot: SnapshotOf<Types, SnapshotData>,
    ) -> Result<Vote, Fatal<Types>> {
        Ok(self.raft.install_full_snapshot(vote, snapshot).await?.vote)
    }

    /// Answers a vote request; `None` if this member has stopped.
    pub(crate) async fn vote(&self, request: peer::VoteRequest) -> Option<peer::VoteReply> {
        let ask = VoteRequest {
            vote: types::vote_from_wire(request.vote),
            last_log_id: request.last.map(types::id_from_wire),
            leadership_transfer: request.transfer,
        };
        let answer = if request.pre {
            self.raft.pre_vote(ask).await
        } else {
            self.raft.vote(ask).await
        };
        let answer = answer.ok()?;
        Some(peer::VoteReply {
            vote: Some(types::vote_to_wire(&answer.vote)),
            last: answer.last_log_id.map(types::id_to_wire),
            granted: answer.vote_granted,
        })
    }

    /// Answers a request to take the leadership over; `None` if this member has stopped.
    pub(crate) async fn take_over(&self, request: peer::Transfer) -> Option<peer::TransferReply> {
        use openraft::raft::TransferLeaderError;
        let last: Option<LogId> = request.last.map(types::id_from_wire);
        let ask = TransferLeaderRequest::new(types::vote_from_wire(request.from), request.to, last);
        let answer = self.raft.handle_transfer_leader(ask).await.ok()?;
        Some(match answer {
            Ok(()) => peer::TransferReply::default(),
            Err(TransferLeaderError::VoteChanged { expected, actual }) => peer::TransferReply {
                expected: Some(types::vote_to_wire(&expected)),
                actual: Some(types::vote_to_wire(&actual)),
                not_flushed: false,
            },
            Err(TransferLeaderError::LogNotFlushed { .. }) => peer::TransferReply {
                not_flushed: true,
                ..peer::TransferReply::default()
            },
        })
    }

    /// Proposals of this member that wait for their commit, and those that failed so far.
    #[must_use]
    pub fn proposals(&self) -> (usize, u64) {
        let pending = PROPOSALS_MAX - self.places.available_permits();
        (pending, self.failed.load(Ordering::Relaxed))
    }

    /// The timing in force.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// Asks the leader; `None` if there is none or it does not answer.
    pub(crate) async fn ask_leader(
        &self,
        call: call::Call,
        timeout: Duration,
    ) -> Option<call_reply::Reply> {
        let Elsewhere::Leader(id, node) = self.elsewhere() else {
            return None;
        };
        self.calls.call(id, &node, call, timeout).await.ok()
    }

    /// Asks a member; `None` if it is not one or does not answer.
    pub(crate) async fn ask(
        &self,
        id: MemberId,
        call: call::Call,
        timeout: Duration,
    ) -> Option<call_reply::Reply> {
        let node = self.node(id)?;
        self.calls.call(id, &node, call, timeout).await.ok()
    }

    /// The other members, by the newest membership in the log.
    fn others(&self, status: &Status) -> BTreeMap<MemberId, Node> {
        let mut nodes = status.nodes.clone();
        nodes.remove(&self.context.identity.member_id);
        nodes
    }

    /// Stops openraft. Everything acknowledged stays in the log.
    pub async fn stop(&self) {
        let _ = self.raft.shutdown().await;
    }
}

/// Keeps a connection to every other member open, and sees that the other side still
/// answers: the moment at which followers call each other for the first time would be the
/// loss of their leader. It is also how a member that was removed meanwhile, and that nobody
/// appends to, hears of it: the others refuse its connections (see [`crate::peer::link::dial`]).
async fn keep_open(consensus: Weak<Consensus>) {
    while let Some(consensus) = consensus.upgrade() {
        let (calls, others) = (
            consensus.calls.clone(),
            consensus.others(&consensus.status()),
        );
        let mut metrics = consensus.raft.server_metrics();
        let known = metrics.borrow_watched().membership_config.clone();
        drop(consensus);
        calls.ping(&others).await;
        // A new member is called at once.
        let others_came = async {
            while metrics.borrow_watched().membership_config == known {
                if metrics.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let _ = tokio::time::timeout(PING_INTERVAL, others_came).await;
    }
}
