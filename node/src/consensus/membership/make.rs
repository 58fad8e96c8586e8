//! Making a change: on the leader, or by asking it.

use super::{Change, Refusal, View, due_vote};
use crate::consensus::status::{Role, Status};
use crate::consensus::types::{LogId, MemberId, Node, Types, node_from_wire, node_to_wire};
use crate::consensus::{Consensus, Elsewhere, Failure};
use crate::limits::{MEMBERSHIP_INTERVAL, NO_LEADER_PAUSE};
use crate::peer::calls::CallError;
use crate::peer::link;
use kvorum_proto::peer::{self, call, call_reply, member_change};
use openraft::ChangeMembers;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::raft::Precondition;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Weak;
use tokio::time::Instant;

fn for_openraft(status: &Status, change: &Change) -> ChangeMembers<MemberId, Node> {
    match change {
        Change::Add(id, node) => ChangeMembers::AddNodes(BTreeMap::from([(*id, node.clone())])),
        Change::Promote(id) => ChangeMembers::AddVoterIds(BTreeSet::from([*id])),
        Change::Remove(id) if status.voters.contains(id) => {
            ChangeMembers::RemoveVoters(BTreeSet::from([*id]))
        }
        Change::Remove(id) => ChangeMembers::RemoveNodes(BTreeSet::from([*id])),
        Change::Update(id, urls) => {
            let mut node = status.nodes.get(id).cloned().unwrap_or_default();
            node.peer_urls.clone_from(urls);
            ChangeMembers::SetNodes(BTreeMap::from([(*id, node)]))
        }
    }
}

fn to_wire(change: &Change) -> peer::MemberChange {
    let change = match change {
        Change::Add(id, node) => member_change::Change::Add(node_to_wire(*id, node)),
        Change::Promote(id) => member_change::Change::Promote(*id),
        Change::Remove(id) => member_change::Change::Remove(*id),
        Change::Update(id, urls) => {
            let node = Node {
                peer_urls: urls.clone(),
                ..Node::default()
            };
            member_change::Change::Update(node_to_wire(*id, &node))
        }
    };
    peer::MemberChange {
        change: Some(change),
    }
}

/// From the wire; `None` for what a newer version asks.
fn from_wire(change: peer::MemberChange) -> Option<Change> {
    Some(match change.change? {
        member_change::Change::Add(node) => {
            let (id, node) = node_from_wire(node);
            Change::Add(id, node)
        }
        member_change::Change::Promote(id) => Change::Promote(id),
        member_change::Change::Remove(id) => Change::Remove(id),
        member_change::Change::Update(node) => Change::Update(node.id, node.peer_urls),
    })
}

/// How an attempt at a change went.
enum Attempt {
    Settled(Result<(), Refusal>),
    /// Nothing was done: another change is under way, or somebody else leads.
    Again,
}

impl Consensus {
    /// Has the membership changed, by whoever leads. The outer result is about
    /// reaching the leader, the inner one about its judgement.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn change(&self, change: &Change) -> Result<Result<(), Refusal>, Failure> {
        let deadline = self.deadline();
        loop {
            let attempt = if self.leads() {
                self.change_here(change, deadline).await?
            } else if let Elsewhere::Leader(id, node) = self.elsewhere() {
                self.change_there(id, &node, change, deadline).await?
            } else {
                Attempt::Again
            };
            match attempt {
                Attempt::Settled(outcome) => return Ok(outcome),
                Attempt::Again if Instant::now() + NO_LEADER_PAUSE >= deadline => {
                    return Err(Failure::NoLeader);
                }
                Attempt::Again => tokio::time::sleep(NO_LEADER_PAUSE).await,
            }
        }
    }

    pub(super) async fn view(&self, status: &Status) -> View {
        let store = &self.context.store;
        let others = self.others(status);
        let probes = others.iter().map(|(id, node)| self.answers(*id, node));
        let mut answering: BTreeSet<MemberId> = futures::future::join_all(probes)
            .await
            .into_iter()
            .flatten()
            .collect();
        answering.insert(self.context.identity.member_id);
        View {
            started: store.members().iter().map(|m| m.id).collect(),
            removed: store.removed().into_iter().collect(),
            answering,
            learners_max: self.learners_max,
        }
    }

    async fn answers(&self, id: MemberId, node: &Node) -> Option<MemberId> {
        let probe = link::dial(&self.context, id, node, peer::Purpose::Probe);
        let probe = tokio::time::timeout(self.timing.etcd_election, probe).await;
        matches!(probe, Ok(Ok(_))).then_some(id)
    }

    async fn change_here(&self, change: &Change, deadline: Instant) -> Result<Attempt, Failure> {
        let status = self.status();
        if status.joint {
            return Ok(Attempt::Again);
        }
        if let Err(refusal) = self.view(&status).await.judge(&status, change) {
            return Ok(Attempt::Settled(Err(refusal)));
        }
        if *change == Change::Remove(self.context.identity.member_id) {
            // The one that goes must not lead: whoever takes over makes the change.
            self.hand_over().await;
            if !self.raft.is_leader() {
                return Ok(Attempt::Again);
            }
        }
        self.make(&status, change, deadline).await
    }

    /// Makes a judged change, if the membership is still the one it was judged by.
    async fn make(
        &self,
        status: &Status,
        change: &Change,
        deadline: Instant,
    ) -> Result<Attempt, Failure> {
        let members = for_openraft(status, change);
        let still = Precondition::LastMembershipLogId {
            last_membership_log_id: status.membership_log,
        };
        let making = self.raft.change_membership_if(members, false, [still]);
        let made = tokio::time::timeout_at(deadline, making).await;
        match made {
            Err(_) => Err(Failure::TimedOut),
            Ok(Ok(_)) => {
                tracing::info!(?change, "Changed the membership");
                Ok(Attempt::Settled(Ok(())))
            }
            Ok(Err(RaftError::Fatal(_))) => Err(Failure::Stopped),
            Ok(Err(RaftError::APIError(error))) => match error {
                ClientWriteError::LogEntryDiscarded(_) => Err(Failure::LeaderLost),
                ClientWriteError::ChangeMembershipError(
                    ChangeMembershipError::LearnerNotFound(_),
                ) => Ok(Attempt::Settled(Err(Refusal::NotFound))),
                ClientWriteError::ForwardToLeader(_)
                | ClientWriteError::PreconditionFailed(_)
                | ClientWriteError::ChangeMembershipError(_) => Ok(Attempt::Again),
            },
        }
    }

    async fn change_there(
        &self,
        id: MemberId,
        node: &Node,
        change: &Change,
        deadline: Instant,
    ) -> Result<Attempt, Failure> {
        let call = call::Call::MemberChange(to_wire(change));
        let left = deadline.saturating_duration_since(Instant::now());
        match self.calls.call(id, node, call, left).await {
            Ok(call_reply::Reply::MemberChanged(code)) => {
                let outcome = Refusal::from_code(code).map_or(Ok(()), Err);
                Ok(Attempt::Settled(outcome))
            }
            Ok(call_reply::Reply::Failure(code))
                if code == i32::from(peer::CallFailure::NotLeader) =>
            {
                Ok(Attempt::Again)
            }
            Err(CallError::NotSent) => Ok(Attempt::Again),
            Ok(_) | Err(CallError::NoAnswer) => Err(Failure::LeaderLost),
        }
    }

    /// Makes a change for another member.
    pub(crate) async fn change_for_peer(&self, change: peer::MemberChange) -> call_reply::Reply {
        let not_leader = call_reply::Reply::Failure(peer::CallFailure::NotLeader.into());
        let Some(change) = from_wire(change) else {
            return call_reply::Reply::Failure(peer::CallFailure::Unspecified.into());
        };
        if !self.leads() {
            return not_leader;
        }
        match self.change_here(&change, self.deadline()).await {
            Ok(Attempt::Settled(outcome)) => {
                call_reply::Reply::MemberChanged(outcome.err().map_or(0, |refusal| refusal as u32))
            }
            Ok(Attempt::Again) => not_leader,
            Err(_) => call_reply::Reply::Failure(peer::CallFailure::Unknown.into()),
        }
    }

    /// As the leader: gives a vote to a member that waits for one and has caught up,
    /// and finishes a change that an earlier leader left half done.
    async fn tend_membership(&self, half_done: &mut Option<(LogId, Instant)>) {
        let status = self.status();
        if let Some(id) = due_vote(&status, 4 * self.timing.heartbeat) {
            let _ = self
                .make(&status, &Change::Promote(id), self.deadline())
                .await;
        }
        let joint = status.membership_log.filter(|_| status.joint);
        let Some(position) = joint.filter(|_| status.role == Role::Leader) else {
            *half_done = None;
            return;
        };
        // Whoever began it may still be at it.
        match half_done {
            Some((at, since)) if *at == position => {
                if since.elapsed() > self.timing.etcd_election {
                    self.finish_joint(position).await;
                }
            }
            _ => *half_done = Some((position, Instant::now())),
        }
    }

    async fn finish_joint(&self, judged: LogId) {
        let Some(target) = self.joint_target() else {
            return;
        };
        let still: Precondition<Types> = Precondition::LastMembershipLogId {
            last_membership_log_id: Some(judged),
        };
        let finishing = self.raft.change_membership_if(target, false, [still]);
        match tokio::time::timeout(self.timing.etcd_election, finishing).await {
            Ok(Ok(_)) => tracing::info!(index = judged.index, "Finished a membership change"),
            Ok(Err(error)) => {
                tracing::debug!(%error, "A half-done membership change is not finished yet");
            }
            Err(_) => {}
        }
    }
}

/// Looks after the membership until the consensus module is gone.
pub async fn run(consensus: Weak<Consensus>) {
    let mut half_done = None;
    loop {
        tokio::time::sleep(MEMBERSHIP_INTERVAL).await;
        let Some(consensus) = consensus.upgrade() else {
            return;
        };
        if consensus.raft.is_leader() {
            consensus.tend_membership(&mut half_done).await;
        }
    }
}
