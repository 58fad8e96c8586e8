//! Changing who the members are: what is refused, and how a change is made.
//!
//! A member added as a voter gets its vote only once its log has caught up: until
//! then it counts for no quorum, so adding one never endangers the cluster. Every
//! change is compared with the membership it was judged by.

mod make;
pub mod managed;

pub use make::run;

use super::status::{Role, Status};
use super::types::{MemberId, Node};
use crate::limits::{PROMOTE_LAG_ENTRIES, PROMOTE_PERCENT};
use std::collections::BTreeSet;
use std::time::Duration;

/// One change, as etcd's Cluster service asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A new member: a learner, or one that becomes a voter by itself.
    Add(MemberId, Node),
    /// A learner gets a vote.
    Promote(MemberId),
    /// A member goes.
    Remove(MemberId),
    /// A member's peers find it elsewhere.
    Update(MemberId, Vec<String>),
}

/// Why a change is refused; the number is its code between members and is never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[repr(u32)]
pub enum Refusal {
    /// The ID is or was another member's.
    #[error("member ID already exist")]
    IdExists = 1,
    /// A peer URL is another member's.
    #[error("peer URLs already exist")]
    UrlExists = 2,
    /// No such member.
    #[error("member not found")]
    NotFound = 3,
    /// Too few of the members after the change have ever started.
    #[error("not enough started members")]
    NotEnoughStarted = 4,
    /// The change would leave no quorum of members that answer.
    #[error("unhealthy cluster")]
    Unhealthy = 5,
    /// The learner's log is too far behind.
    #[error("the learner is not in sync with the leader")]
    NotInSync = 6,
    /// The member has a vote already.
    #[error("not a learner")]
    NotLearner = 7,
    /// One learner at a time.
    #[error("too many learners")]
    TooManyLearners = 8,
}

impl Refusal {
    /// The inverse of the code; 0 is none, a newer version's code counts as unhealthy.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        let all = [
            Self::IdExists,
            Self::UrlExists,
            Self::NotFound,
            Self::NotEnoughStarted,
            Self::Unhealthy,
            Self::NotInSync,
            Self::NotLearner,
            Self::TooManyLearners,
        ];
        match code {
            0 => None,
            code => Some(
                all.into_iter()
                    .find(|r| *r as u32 == code)
                    .unwrap_or(Self::Unhealthy),
            ),
        }
    }
}

/// What a change is judged by, beside the status.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Members that have registered.
    pub started: BTreeSet<MemberId>,
    /// Members that were removed.
    pub removed: BTreeSet<MemberId>,
    /// Members that answered just now, the leader included: what it heard of earlier
    /// says too little, since a change that then finds no quorum stops all writes.
    pub answering: BTreeSet<MemberId>,
    /// `--max-learners`
    pub learners_max: usize,
}

fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

impl View {
    fn started(&self, voters: impl Iterator<Item = MemberId>) -> usize {
        voters.filter(|id| self.started.contains(id)).count()
    }

    fn add(&self, status: &Status, id: MemberId, node: &Node) -> Result<(), Refusal> {
        if status.nodes.contains_key(&id) || self.removed.contains(&id) {
            return Err(Refusal::IdExists);
        }
        no_shared_url(status, id, &node.peer_urls)?;
        let voters = &status.voters;
        if node.becomes_voter {
            let waiting = status.nodes.iter().filter(|(_, n)| n.becomes_voter);
            let waiting = waiting.filter(|(id, _)| !voters.contains(id)).count();
            let after = voters.len() + waiting + 1;
            let started = self.started(voters.iter().copied());
            // etcd's exception: a single member may always get a second one.
            if !(started == 1 && after == 2) && started < quorum(after) {
                return Err(Refusal::NotEnoughStarted);
            }
        } else {
            let learners = status
                .nodes
                .iter()
                .filter(|(id, _)| is_learner(status, **id));
            if learners.count() >= self.learners_max {
                return Err(Refusal::TooManyLearners);
            }
        }
        if voters.iter().all(|id| self.answering.contains(id)) {
            Ok(())
        } else {
            Err(Refusal::Unhealthy)
        }
    }

    fn remove(&self, status: &Status, id: MemberId) -> Result<(), Refusal> {
        if !status.nodes.contains_key(&id) {
            return Err(Refusal::NotFound);
        }
        if !status.voters.contains(&id) {
            return Ok(());
        }
        let rest: Vec<MemberId> = status.voters.iter().copied().filter(|v| *v != id).collect();
        if rest.is_empty() || self.started(rest.iter().copied()) < quorum(rest.len()) {
            return Err(Refusal::NotEnoughStarted);
        }
        let answering = rest.iter().filter(|v| self.answering.contains(v)).count();
        if answering < quorum(rest.len()) {
            return Err(Refusal::Unhealthy);
        }
        Ok(())
    }

    fn promote(&self, status: &Status, id: MemberId) -> Result<(), Refusal> {
        if !status.nodes.contains_key(&id) {
            return Err(Refusal::NotFound);
        }
        if !is_learner(status, id) {
            return Err(Refusal::NotLearner);
        }
        let last = status.last_log.unwrap_or(0);
        let matched = status.peers.get(&id).and_then(|p| p.matched).unwrap_or(0);
        if !self.answering.contains(&id) || matched * 100 < last * PROMOTE_PERCENT {
            return Err(Refusal::NotInSync);
        }
        let started = self.started(status.voters.iter().copied()) + 1;
        if started < quorum(status.voters.len() + 1) {
            return Err(Refusal::NotEnoughStarted);
        }
        Ok(())
    }

    /// Whether a change may be made; pure.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(&self, status: &Status, change: &Change) -> Result<(), Refusal> {
        match change {
            Change::Add(id, node) => self.add(status, *id, node),
            Change::Promote(id) => self.promote(status, *id),
            Change::Remove(id) => self.remove(status, *id),
            Change::Update(id, urls) => {
                if !status.nodes.contains_key(id) {
                    return Err(Refusal::NotFound);
                }
                no_shared_url(status, *id, urls)
            }
        }
    }
}

/// Whether etcd would call this member a learner: no vote, and none to come by itself.
#[must_use]
pub fn is_learner(status: &Status, id: MemberId) -> bool {
    let waits = status.nodes.get(&id).is_some_and(|n| n.becomes_voter);
    !status.voters.contains(&id) && !waits
}

fn no_shared_url(status: &Status, id: MemberId, urls: &[String]) -> Result<(), Refusal> {
    let others = status.nodes.iter().filter(|(other, _)| **other != id);
    let taken: BTreeSet<&String> = others.flat_map(|(_, n)| &n.peer_urls).collect();
    if urls.iter().any(|url| taken.contains(url)) {
        return Err(Refusal::UrlExists);
    }
    Ok(())
}

/// The member that waits for its vote and is ready for it; pure.
#[must_use]
pub fn due_vote(status: &Status, fresh: Duration) -> Option<MemberId> {
    if status.role != Role::Leader || status.joint {
        return None;
    }
    let last = status.last_log?;
    let ready = |id: &MemberId| {
        let progress = status.peers.get(id).copied().unwrap_or_default();
        progress.heard.is_some_and(|age| age < fresh)
            && progress
                .matched
                .is_some_and(|m| m + PROMOTE_LAG_ENTRIES >= last)
    };
    let waiting = status.nodes.iter().filter(|(_, n)| n.becomes_voter);
    waiting
        .map(|(id, _)| *id)
        .filter(|id| !status.voters.contains(id))
        .find(ready)
}

#[cfg(test)]
mod tests;
