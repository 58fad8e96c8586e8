//! What this member knows of the cluster, as one value.

use super::Consensus;
use super::types::{LogId, MemberId, Node};
use openraft::async_runtime::WatchReceiver;
use openraft::{Instant as _, ServerState};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// This member's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Receives the log, has no vote.
    Learner,
    /// Follows a leader, or waits for one.
    Follower,
    /// Stands for election.
    Candidate,
    /// Leads.
    Leader,
    /// The engine has stopped.
    Stopped,
}

/// How far another member is, as the leader knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerProgress {
    /// Its log matches up to here.
    pub matched: Option<u64>,
    /// Since it was last heard.
    pub heard: Option<Duration>,
}

/// One moment of the consensus module.
#[derive(Debug, Clone)]
pub struct Status {
    /// This member's part.
    pub role: Role,
    /// Raft term.
    pub term: u64,
    /// A leader that was heard of within an election timeout.
    pub leader: Option<MemberId>,
    /// Since the leader (or, as the leader, a quorum) was last heard.
    pub contact: Option<Duration>,
    /// Last entry of the log.
    pub last_log: Option<u64>,
    /// Last committed entry known.
    pub committed: Option<LogId>,
    /// Last applied entry.
    pub applied: Option<LogId>,
    /// Last purged entry.
    pub purged: Option<LogId>,
    /// Last entry that the durable snapshot covers.
    pub snapshot: Option<LogId>,
    /// Position of the membership.
    pub membership_log: Option<LogId>,
    /// A membership change is half done.
    pub joint: bool,
    /// The sets of voters that decide by majority: two while it is joint, the old one first.
    pub configs: Vec<BTreeSet<MemberId>>,
    /// Voters of the membership (of both halves while it is joint).
    pub voters: Vec<MemberId>,
    /// Everyone in the membership.
    pub nodes: BTreeMap<MemberId, Node>,
    /// On the leader: how far the others are.
    pub peers: BTreeMap<MemberId, PeerProgress>,
}

impl Status {
    /// A member in term 1 that knows nothing yet.
    #[cfg(test)]
    pub(super) fn blank(role: Role) -> Self {
        Self {
            role,
            term: 1,
            leader: None,
            contact: None,
            last_log: None,
            committed: None,
            applied: None,
            purged: None,
            snapshot: None,
            membership_log: None,
            joint: false,
            configs: Vec::new(),
            voters: Vec::new(),
            nodes: BTreeMap::new(),
            peers: BTreeMap::new(),
        }
    }

    /// Whether a cluster exists in this member's log.
    #[must_use]
    pub fn initialized(&self) -> bool {
        !self.voters.is_empty()
    }
}

impl Consensus {
    /// One moment.
    #[must_use]
    pub fn status(&self) -> Status {
        let watch = self.raft.metrics();
        let metrics = watch.borrow_watched().clone();
        let stored = &metrics.membership_config;
        let role = match metrics.state {
            ServerState::Learner => Role::Learner,
            ServerState::Follower => Role::Follower,
            ServerState::Candidate => Role::Candidate,
            ServerState::Leader => Role::Leader,
            ServerState::Shutdown => Role::Stopped,
        };
        let alone = stored.voter_ids().eq([self.context.identity.member_id]);
        let contact = if role == Role::Leader && alone {
            // Its own quorum: openraft keeps no clock for that.
            Some(Duration::ZERO)
        } else if role == Role::Leader {
            metrics.last_quorum_acked.map(|at| at.elapsed())
        } else {
            self.context.contact.age()
        };
        // A leader without a quorum, and one not heard of, is none.
        let fresh = contact.is_some_and(|age| age < self.timing.etcd_election);
        let mut peers: BTreeMap<MemberId, PeerProgress> = BTreeMap::new();
        for (id, matched) in metrics.replication.iter().flatten() {
            peers.entry(*id).or_default().matched = matched.map(|m| m.index);
        }
        for (id, at) in metrics.heartbeat.iter().flatten() {
            peers.entry(*id).or_default().heard = at.map(|at| at.elapsed());
        }
        Status {
            role,
            term: metrics.current_term,
            leader: metrics.current_leader.filter(|_| fresh),
            contact,
            last_log: metrics.last_log_index,
            committed: metrics.cluster_committed.max(metrics.local_committed),
            applied: metrics.last_applied,
            purged: metrics.purged,
            snapshot: metrics.snapshot,
            membership_log: *stored.log_id(),
            joint: stored.get_joint_config().len() > 1,
            configs: stored.get_joint_config().clone(),
            voters: stored.voter_ids().collect(),
            nodes: stored
                .nodes()
                .map(|(id, node)| (*id, node.clone()))
                .collect(),
            peers,
        }
    }

    /// Whether this member leads and a quorum confirmed it within the last election timeout.
    #[must_use]
    pub fn leads(&self) -> bool {
        let status = self.status();
        status.role == Role::Leader && status.leader == Some(self.context.identity.member_id)
    }

    /// Whether this member is in a cluster, has no vote there, and waits for none.
    /// Cheap: asked on every read.
    #[must_use]
    pub fn is_learner(&self) -> bool {
        let watch = self.raft.server_metrics();
        let membership = watch.borrow_watched().membership_config.clone();
        let me = self.context.identity.member_id;
        let mut voters = membership.voter_ids().peekable();
        let waits = || membership.get_node(&me).is_some_and(|n| n.becomes_voter);
        voters.peek().is_some() && !voters.any(|id| id == me) && !waits()
    }

    /// The voters that a half-done membership change leads to.
    pub(super) fn joint_target(&self) -> Option<BTreeSet<MemberId>> {
        let watch = self.raft.server_metrics();
        let membership = watch.borrow_watched().membership_config.clone();
        membership.get_joint_config().last().cloned()
    }

    /// What the membership says of a member.
    #[must_use]
    pub fn node(&self, id: MemberId) -> Option<Node> {
        let watch = self.raft.server_metrics();
        let metrics = watch.borrow_watched().clone();
        metrics.membership_config.get_node(&id).cloned()
    }

    /// Current term: the cheap part of [`Consensus::status`].
    #[must_use]
    pub fn term(&self) -> u64 {
        let watch = self.raft.server_metrics();
        watch.borrow_watched().vote.leader_id.term
    }
}
