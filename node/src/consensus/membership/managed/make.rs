//! Making the operator's changes: on the leader only.

use super::super::View;
use super::{Case, Denial, Managed, Verdict};
use crate::consensus::status::Role;
use crate::consensus::types::{LogId, MemberId, Node};
use crate::consensus::{Consensus, Failure};
use openraft::ChangeMembers;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::raft::Precondition;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::time::Instant;

/// Why a change was not made, or not seen to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another member must be asked.
    #[error("not the leader; the leader is {}", .0.map_or_else(|| "unknown".to_owned(), |id| id.to_string()))]
    NotLeader(Option<MemberId>),
    /// It must not be made.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// What became of it is not known, or there is no quorum.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// A change that is in the committed membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// It was there before.
    pub already: bool,
    /// The membership's position now.
    pub membership_log: Option<LogId>,
}

fn for_openraft(change: Managed) -> ChangeMembers<MemberId, Node> {
    match change {
        Managed::AddLearner(id, node) => ChangeMembers::AddNodes(BTreeMap::from([(id, node)])),
        Managed::RemoveLearner(id) => ChangeMembers::RemoveNodes([id].into()),
        Managed::ChangeVoters(voters) => ChangeMembers::ReplaceAllVoters(voters),
    }
}

impl Consensus {
    /// Nothing, if this member leads with a quorum behind it.
    ///
    /// # Errors
    /// Who leads instead, as far as this member knows.
    pub fn insist_on_leading(&self) -> Result<(), Error> {
        let status = self.status();
        let me = self.context.identity.member_id;
        if status.role == Role::Leader && status.leader == Some(me) {
            return Ok(());
        }
        Err(Error::NotLeader(status.leader.filter(|id| *id != me)))
    }

    /// Has the membership changed as the operator planned it by the membership at
    /// `expected`. Goes on to the end even if the caller does not wait for it: a joint
    /// membership must not stand longer than it takes.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn manage(
        self: &Arc<Self>,
        expected: Option<LogId>,
        change: Managed,
    ) -> Result<Made, Error> {
        self.insist_on_leading()?;
        let consensus = self.clone();
        let making = tokio::spawn(async move { consensus.manage_here(expected, change).await });
        making.await.map_err(|_| Failure::Stopped)?
    }

    async fn manage_here(&self, expected: Option<LogId>, change: Managed) -> Result<Made, Error> {
        let deadline = self.deadline();
        let view = self.view(&self.status()).await;
        // Said at once and in words, where waiting for the quorum would only time out.
        if let Err(denial @ Denial::NoQuorum { .. }) = self.judge(&view, expected, &change) {
            return Err(denial.into());
        }
        // What was committed under an earlier leader must be applied before it is judged by.
        match self.read_index_here().await? {
            Some(index) => self.wait_applied_until(index, deadline).await?,
            None => {
                self.insist_on_leading()?;
                return Err(Failure::TimedOut.into());
            }
        }
        if self.judge(&view, expected, &change)? == Verdict::Already {
            // It may stand in the log and not be committed yet.
            let membership_log = self.status().membership_log;
            let position = membership_log.map_or(0, |id| id.index);
            self.wait_applied_until(position, deadline).await?;
            return Ok(Made {
                already: true,
                membership_log,
            });
        }
        tracing::info!(?change, "Changing the membership for the operator");
        self.make_managed(expected, change, deadline).await
    }

    /// By the members that answered a moment ago, and everything else as of now.
    fn judge(
        &self,
        view: &View,
        expected: Option<LogId>,
        change: &Managed,
    ) -> Result<Verdict, Denial> {
        let status = self.status();
        let known =
            |(id, node): (&MemberId, &Node)| (*id, self.context.known_store(*id, Some(node)));
        let case = Case {
            status: &status,
            view: &View {
                removed: self.context.store.removed().into_iter().collect(),
                ..view.clone()
            },
            stores: &status.nodes.iter().map(known).collect(),
            me: self.context.identity.member_id,
            expected,
            fresh: self.timing.etcd_election,
        };
        case.judge(change)
    }

    /// Whether the voters are on their way to these, or there.
    fn has_begun(&self, target: Option<&BTreeSet<MemberId>>) -> bool {
        target.is_some() && self.status().configs.last() == target
    }

    async fn make_managed(
        &self,
        expected: Option<LogId>,
        change: Managed,
        deadline: Instant,
    ) -> Result<Made, Error> {
        let still = Precondition::LastMembershipLogId {
            last_membership_log_id: expected,
        };
        let target = match &change {
            Managed::ChangeVoters(voters) => Some(voters.clone()),
            _ => None,
        };
        let making = self
            .raft
            .change_membership_if(for_openraft(change), false, [still]);
        let Ok(made) = tokio::time::timeout_at(deadline, making).await else {
            return Err(Failure::TimedOut.into());
        };
        match made {
            Ok(response) => {
                tracing::info!(log = %response.log_id, "Changed the membership");
                Ok(Made {
                    already: false,
                    membership_log: Some(response.log_id),
                })
            }
            Err(RaftError::Fatal(_)) => Err(Failure::Stopped.into()),
            // The first of the two steps is done: the next leader, or this one, does the second.
            Err(RaftError::APIError(_)) if self.has_begun(target.as_ref()) => {
                Err(Failure::LeaderLost.into())
            }
            Err(RaftError::APIError(error)) => Err(match error {
                ClientWriteError::LogEntryDiscarded(_) => Failure::LeaderLost.into(),
                ClientWriteError::ForwardToLeader(to) => Error::NotLeader(to.leader_id),
                ClientWriteError::PreconditionFailed(_) => Denial::Moved {
                    expected: super::words(expected),
                    present: super::words(self.status().membership_log),
                }
                .into(),
                ClientWriteError::ChangeMembershipError(_) => Denial::HalfDone.into(),
            }),
        }
    }
}
