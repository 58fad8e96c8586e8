//! Proposing: here if this member leads, else by asking the leader.

use super::types::{MemberId, Node, Proposal};
use super::{Consensus, Elsewhere, Failure};
use crate::limits::{LEADER_LOST_GRACE, NO_LEADER_PAUSE};
use crate::peer::calls::CallError;
use kvorum_proto::log::{Command, Reply};
use kvorum_proto::peer::{self, CallFailure, call, call_reply};
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use prost::Message;
use std::sync::atomic::Ordering;
use tokio::time::Instant;

impl Consensus {
    /// Has a command committed and applied on this member; returns its reply.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn propose(&self, command: &Command) -> Result<Reply, Failure> {
        let outcome = self.propose_anywhere(command).await;
        if outcome.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    async fn propose_anywhere(&self, command: &Command) -> Result<Reply, Failure> {
        let proposal = Proposal::new(command);
        let deadline = self.deadline();
        loop {
            let elsewhere = match self.propose_here(proposal.clone(), deadline).await? {
                Ok((_, reply)) => return Ok(reply),
                Err(elsewhere) => elsewhere,
            };
            if let Elsewhere::Leader(id, node) = elsewhere
                && let Some((index, reply)) = self.forward(id, &node, &proposal, deadline).await?
            {
                // A later serializable read of this member must see it.
                self.wait_applied_until(index, deadline).await?;
                return Ok(reply);
            }
            if self.context.removed.is_cancelled() {
                return Err(Failure::Stopped);
            }
            if Instant::now() + NO_LEADER_PAUSE >= deadline {
                return Err(Failure::NoLeader);
            }
            tokio::time::sleep(NO_LEADER_PAUSE).await;
        }
    }

    /// Proposes as the leader; tells whom to ask if it is not this member.
    async fn propose_here(
        &self,
        proposal: Proposal,
        deadline: Instant,
    ) -> Result<Result<(u64, Reply), Elsewhere>, Failure> {
        if !self.raft.is_leader() {
            return Ok(Err(self.elsewhere()));
        }
        let bytes = u32::try_from(proposal.size()).unwrap_or(u32::MAX);
        let _place = self.places.try_acquire().map_err(|_| Failure::TooMany)?;
        let _room = self
            .room
            .try_acquire_many(bytes)
            .map_err(|_| Failure::TooMany)?;
        let me = self.context.identity.member_id;
        let written = tokio::select! {
            written = self.raft.client_write(proposal) => Ok(written),
            failure = self.lost(me, self.term(), deadline) => Err(failure),
        };
        match written {
            Err(failure) => Err(failure),
            Ok(Ok(response)) => Ok(Ok((response.log_id.index, response.data.0))),
            Ok(Err(RaftError::Fatal(_))) => Err(Failure::Stopped),
            Ok(Err(RaftError::APIError(error))) => match error {
                ClientWriteError::ForwardToLeader(forward) => {
                    Ok(Err(match (forward.leader_id, forward.leader_node) {
                        (Some(id), Some(node)) if id != self.context.identity.member_id => {
                            Elsewhere::Leader(id, node)
                        }
                        _ => Elsewhere::Unknown,
                    }))
                }
                ClientWriteError::LogEntryDiscarded(_) => Err(Failure::LeaderLost),
                ClientWriteError::ChangeMembershipError(_)
                | ClientWriteError::PreconditionFailed(_) => Err(Failure::Stopped),
            },
        }
    }

    /// Returns when a proposal given to `leader` in `term` can no longer be expected
    /// to be answered: another leader or term has come and had time to settle what
    /// the old one left, or time ran out.
    async fn lost(&self, leader: MemberId, term: u64, deadline: Instant) -> Failure {
        let mut metrics = self.raft.server_metrics();
        let changed = async {
            loop {
                {
                    let now = metrics.borrow_watched();
                    let other = now.current_leader.is_some_and(|id| id != leader);
                    if other || now.vote.leader_id.term != term {
                        break;
                    }
                }
                if metrics.changed().await.is_err() {
                    break;
                }
            }
            tokio::time::sleep(LEADER_LOST_GRACE).await;
        };
        match tokio::time::timeout_at(deadline, changed).await {
            Ok(()) => Failure::LeaderLost,
            Err(_) => Failure::TimedOut,
        }
    }

    /// Sends a proposal to the leader. `None`: nothing was done there, ask again.
    async fn forward(
        &self,
        id: MemberId,
        node: &Node,
        proposal: &Proposal,
        deadline: Instant,
    ) -> Result<Option<(u64, Reply)>, Failure> {
        let call = call::Call::Propose(proposal.encoded());
        let left = deadline.saturating_duration_since(Instant::now());
        let answer = tokio::select! {
            answer = self.calls.call(id, node, call, left) => answer,
            failure = self.lost(id, self.term(), deadline) => return Err(failure),
        };
        match answer {
            Ok(call_reply::Reply::Proposed(proposed)) => {
                let reply = Reply::decode(proposed.reply).map_err(|_| Failure::LeaderLost)?;
                Ok(Some((proposed.index, reply)))
            }
            Ok(call_reply::Reply::Failure(code)) => match CallFailure::try_from(code) {
                Ok(CallFailure::NotLeader | CallFailure::Stopping) => Ok(None),
                Ok(CallFailure::Overloaded) => Err(Failure::TooMany),
                _ => Err(Failure::LeaderLost),
            },
            Ok(_) => Err(Failure::LeaderLost),
            Err(CallError::NotSent) => Ok(None),
            Err(CallError::NoAnswer) => Err(Failure::LeaderLost),
        }
    }

    /// Answers another member's proposal.
    pub async fn propose_for_peer(&self, command: &[u8]) -> call_reply::Reply {
        let outcome = self
            .propose_here(Proposal::from_encoded(command), self.deadline())
            .await;
        let failure = match outcome {
            Ok(Ok((index, reply))) => {
                return call_reply::Reply::Proposed(peer::Proposed {
                    index,
                    reply: reply.encode_to_vec().into(),
                });
            }
            Ok(Err(_)) => CallFailure::NotLeader,
            Err(Failure::TooMany) => CallFailure::Overloaded,
            Err(Failure::Stopped) => CallFailure::Stopping,
            Err(_) => CallFailure::Unknown,
        };
        call_reply::Reply::Failure(failure.into())
    }
}
