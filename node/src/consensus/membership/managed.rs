//! The membership as the operator changes it: learners first, then one joint change.
//!
//! Every change names the membership it was planned by, and is refused where that has
//! moved. The judgement is pure; making a change is in `managed/make.rs`.

mod make;

pub use make::{Error, Made};

use super::{View, no_shared_url, quorum};
use crate::consensus::status::Status;
use crate::consensus::types::{LogId, MemberId, Node};
use crate::limits::JOIN_LAG_ENTRIES;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One change of the operator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Managed {
    /// A member without a vote, with its store.
    AddLearner(MemberId, Node),
    /// A member without a vote goes.
    RemoveLearner(MemberId),
    /// Exactly these members have the vote; other voters go.
    ChangeVoters(BTreeSet<MemberId>),
}

/// What an allowed change comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is to be made.
    Make,
    /// It has been made before.
    Already,
}

/// Why a change is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The membership is not the one that the change was planned by.
    #[error(
        "the membership moved: the change was planned for log {expected}, it is {present} now; look again"
    )]
    Moved {
        /// What the caller saw.
        expected: String,
        /// What it is.
        present: String,
    },
    /// Another change has not come to its end.
    #[error("a membership change is half done; it is finished by itself, then look again")]
    HalfDone,
    /// The ID was a member's once.
    #[error("member {0} was removed: its ID must not be used again; allocate a new one")]
    Removed(MemberId),
    /// The ID is another data directory's.
    #[error(
        "member {id} is known by data directory {known}, not {given}: allocate a new ID for the new directory"
    )]
    OtherStore {
        /// Whose.
        id: MemberId,
        /// What the cluster knows.
        known: String,
        /// What the caller says.
        given: String,
    },
    /// A peer URL is another member's.
    #[error("a peer URL of member {0} is another member's: every member needs its own")]
    UrlTaken(MemberId),
    /// The member has the vote.
    #[error("member {0} has a vote: change the voters instead")]
    IsVoter(MemberId),
    /// No member has this ID.
    #[error("member {0} is not in the membership: add it as a learner first")]
    Unknown(MemberId),
    /// No voter would be left.
    #[error("no voters: a cluster needs one at least")]
    NoVoters,
    /// Even sizes survive no more.
    #[error(
        "{0} voters: the number must be odd, since an even one survives no more losses than one less"
    )]
    EvenVoters(usize),
    /// The one that would make the change would go by it.
    #[error("member {0} leads and would leave: hand leadership over first")]
    LeaderLeaves(MemberId),
    /// A joining member was not heard of just now.
    #[error("member {0} was not heard of just now: wait until it follows the log")]
    Silent(MemberId),
    /// A joining member's log is too far behind.
    #[error(
        "member {id} lags {lag} entries behind, more than {JOIN_LAG_ENTRIES}: wait until it has caught up"
    )]
    Lags {
        /// Who.
        id: MemberId,
        /// How far.
        lag: u64,
    },
    /// Too few voters answer for a change to be committed.
    #[error(
        "only {answering} of the {of} voters {when} the change answer, {needed} are needed: a change now would \
         stop all writes"
    )]
    NoQuorum {
        /// "before" or "after".
        when: &'static str,
        /// How many answer.
        answering: usize,
        /// Of how many.
        of: usize,
        /// How many must.
        needed: usize,
    },
}

/// For messages: the way operators see positions, `term.index`.
fn words(id: Option<LogId>) -> String {
    id.map_or_else(
        || "none".to_owned(),
        |id| format!("{}.{}", id.leader_id.term, id.index),
    )
}

/// What a change is judged by.
#[derive(Debug)]
pub struct Case<'a> {
    /// The leader's view of itself and the others.
    pub status: &'a Status,
    /// Who was removed, and who answers now.
    pub view: &'a View,
    /// The stores that members registered, or were added with.
    pub stores: &'a BTreeMap<MemberId, String>,
    /// The leader.
    pub me: MemberId,
    /// What the caller saw as the membership's position.
    pub expected: Option<LogId>,
    /// How long ago a joining member may have been heard of last.
    pub fresh: Duration,
}

impl Case<'_> {
    /// Whether a change may be made, or has been; pure.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(&self, change: &Managed) -> Result<Verdict, Denial> {
        if self.is_made(change)? {
            return Ok(Verdict::Already);
        }
        if self.status.joint {
            return Err(Denial::HalfDone);
        }
        if self.expected != self.status.membership_log {
            return Err(Denial::Moved {
                expected: words(self.expected),
                present: words(self.status.membership_log),
            });
        }
        match change {
            Managed::AddLearner(id, node) => {
                if self.view.removed.contains(id) {
                    return Err(Denial::Removed(*id));
                }
                no_shared_url(self.status, *id, &node.peer_urls)
                    .map_err(|_| Denial::UrlTaken(*id))?;
            }
            Managed::RemoveLearner(_) => {}
            Managed::ChangeVoters(voters) => self.voters(voters)?,
        }
        self.answer("before", self.status.voters.iter())?;
        Ok(Verdict::Make)
    }

    /// Whether the membership says already what the change would make it say. What
    /// contradicts the membership whatever its position is refused here.
    fn is_made(&self, change: &Managed) -> Result<bool, Denial> {
        match change {
            Managed::AddLearner(id, node) => {
                if !self.status.nodes.contains_key(id) {
                    return Ok(false);
                }
                let known = self.stores.get(id).cloned().unwrap_or_default();
                if known != node.store_uuid {
                    return Err(Denial::OtherStore {
                        id: *id,
                        known,
                        given: node.store_uuid.clone(),
                    });
                }
                self.no_vote(*id)?;
                Ok(true)
            }
            Managed::RemoveLearner(id) => {
                self.no_vote(*id)?;
                Ok(!self.status.nodes.contains_key(id))
            }
            Managed::ChangeVoters(voters) => {
                if voters.is_empty() {
                    return Err(Denial::NoVoters);
                }
                if voters.len().is_multiple_of(2) {
                    return Err(Denial::EvenVoters(voters.len()));
                }
                let present: BTreeSet<MemberId> = self.status.voters.iter().copied().collect();
                Ok(!self.status.joint && present == *voters)
            }
        }
    }

    fn no_vote(&self, id: MemberId) -> Result<(), Denial> {
        if self.status.voters.contains(&id) {
            return Err(Denial::IsVoter(id));
        }
        Ok(())
    }

    fn voters(&self, voters: &BTreeSet<MemberId>) -> Result<(), Denial> {
        let unknown = |id: &&MemberId| !self.status.nodes.contains_key(id);
        if let Some(id) = voters.iter().find(unknown) {
            return Err(Denial::Unknown(*id));
        }
        // Where nobody stays, nobody could take over: this leader makes the change and steps down.
        let stays = self.status.voters.iter().any(|id| voters.contains(id));
        if stays && !voters.contains(&self.me) {
            return Err(Denial::LeaderLeaves(self.me));
        }
        let last = self.status.last_log.unwrap_or(0);
        let joining = voters.iter().filter(|id| !self.status.voters.contains(id));
        for id in joining {
            let progress = self.status.peers.get(id).copied().unwrap_or_default();
            if progress.heard.is_none_or(|age| age > self.fresh) {
                return Err(Denial::Silent(*id));
            }
            let lag = last.saturating_sub(progress.matched.unwrap_or(0));
            if lag > JOIN_LAG_ENTRIES {
                return Err(Denial::Lags { id: *id, lag });
            }
        }
        self.answer("after", voters.iter())
    }

    fn answer<'i>(
        &self,
        when: &'static str,
        voters: impl ExactSizeIterator<Item = &'i MemberId>,
    ) -> Result<(), Denial> {
        let (of, needed) = (voters.len(), quorum(voters.len()));
        let answering = voters.filter(|id| self.view.answering.contains(id)).count();
        if answering < needed {
            return Err(Denial::NoQuorum {
                when,
                answering,
                of,
                needed,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
