//! A toy Raft: terms, votes, logs, joint memberships, store UUIDs. What a message exchange comes to is one
//! step; who reaches whom is given from outside.

pub mod calls;
mod election;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A member's ID.
pub type Id = u64;
/// A zone, by number.
pub type ZoneNo = u8;

/// What the membership says of a member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seat {
    /// Where it was added.
    pub zone: ZoneNo,
    /// The store it has.
    pub store: u32,
}

/// A membership.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Members {
    /// The sets of voters that decide by majority, two while joint.
    pub configs: Vec<BTreeSet<Id>>,
    /// Voters and learners.
    pub seats: BTreeMap<Id, Seat>,
}

impl Members {
    /// Everybody with a vote in any set.
    #[must_use]
    pub fn voters(&self) -> BTreeSet<Id> {
        self.configs.iter().flatten().copied().collect()
    }

    /// Whether these are a majority of every set.
    #[must_use]
    pub fn quorum(&self, of: impl Fn(Id) -> bool) -> bool {
        self.configs
            .iter()
            .all(|set| set.iter().filter(|id| of(**id)).count() * 2 > set.len())
    }

    /// Half way between two sets.
    #[must_use]
    pub fn joint(&self) -> bool {
        self.configs.len() > 1
    }
}

/// What an entry of the log says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// The first of a leader's.
    Blank,
    /// A client's write.
    Write(u32),
    /// Who the members are from here on.
    Members(Arc<Members>),
    /// An ID given out for a key.
    Allotted {
        /// For what.
        key: Arc<str>,
        /// The ID.
        id: Id,
    },
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Of the leader that made it.
    pub term: u64,
    /// What it says.
    pub what: What,
}

/// One data directory, and what its process has in memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Disk {
    /// Its store UUID.
    pub store: u32,
    /// Whose it is.
    pub owner: Id,
    /// Current term.
    pub term: u64,
    /// Whom it voted for in that term.
    pub vote: Option<Id>,
    /// The log; empty: it waits.
    pub log: Vec<Entry>,
    /// How many entries are known to be committed.
    pub commit: usize,
    /// In memory: it leads.
    pub leads: bool,
    /// In memory: whom it follows.
    pub follows: Option<Id>,
    /// It was told that it is not a member any more: its process ends.
    pub told_removed: bool,
}

impl Disk {
    /// An empty directory.
    #[must_use]
    pub fn empty(owner: Id, store: u32) -> Self {
        Self {
            store,
            owner,
            term: 0,
            vote: None,
            log: Vec::new(),
            commit: 0,
            leads: false,
            follows: None,
            told_removed: false,
        }
    }

    /// The last membership in the log, committed or not, and how many entries reach up to it.
    #[must_use]
    pub fn members(&self) -> Option<(usize, &Arc<Members>)> {
        newest(&self.log)
    }

    /// The last membership that is known to be committed.
    #[must_use]
    pub fn committed_members(&self) -> Option<(usize, &Arc<Members>)> {
        newest(self.log.get(..self.commit)?)
    }

    /// Term and index of the membership's entry.
    #[must_use]
    pub fn members_log(&self) -> (u64, u64) {
        self.members().map_or((0, 0), |(index, _)| {
            let term = self.log.get(index - 1).map_or(0, |entry| entry.term);
            (term, index as u64)
        })
    }

    /// Everybody who was a member in this log and is not now.
    #[must_use]
    pub fn removed(&self) -> BTreeSet<Id> {
        let mut ever = BTreeSet::new();
        for entry in &self.log {
            if let What::Members(members) = &entry.what {
                ever.extend(members.seats.keys().copied());
            }
        }
        if let Some((_, now)) = self.members() {
            ever.retain(|id| !now.seats.contains_key(id));
        }
        ever
    }

    fn last(&self) -> (u64, usize) {
        (
            self.log.last().map_or(0, |entry| entry.term),
            self.log.len(),
        )
    }

    /// Its process ends.
    pub fn stop(&mut self) {
        self.leads = false;
        self.follows = None;
    }
}

fn newest(log: &[Entry]) -> Option<(usize, &Arc<Members>)> {
    log.iter()
        .enumerate()
        .rev()
        .find_map(|(index, entry)| match &entry.what {
            What::Members(members) => Some((index + 1, members)),
            _ => None,
        })
}

/// All disks, and who runs and reaches whom.
pub struct Net<'a> {
    /// By the UID of their claim.
    pub disks: &'a mut BTreeMap<u32, Disk>,
    /// Members that run now: their disk and their zone.
    pub live: BTreeMap<Id, (u32, ZoneNo)>,
    /// Zones that are cut off from the others.
    pub cut: BTreeSet<ZoneNo>,
    /// Directories are told apart by their store UUID; switched off to see the checker fail.
    pub check_stores: bool,
}

impl Net<'_> {
    /// The disk of a member that runs.
    #[must_use]
    pub fn disk(&self, id: Id) -> Option<&Disk> {
        self.disks.get(&self.live.get(&id)?.0)
    }

    fn disk_mut(&mut self, id: Id) -> Option<&mut Disk> {
        self.disks.get_mut(&self.live.get(&id)?.0)
    }

    /// Whether two members that run reach each other.
    #[must_use]
    pub fn reach(&self, a: Id, b: Id) -> bool {
        match (self.live.get(&a), self.live.get(&b)) {
            (Some((_, from)), Some((_, to))) => {
                from == to || !(self.cut.contains(from) || self.cut.contains(to))
            }
            _ => false,
        }
    }

    /// Whether `a` talks to `b`: they reach each other, and know each other's directory.
    #[must_use]
    pub fn talk(&self, a: Id, b: Id) -> bool {
        let (Some(from), Some(to)) = (self.disk(a), self.disk(b)) else {
            return false;
        };
        if !self.reach(a, b) {
            return false;
        }
        let fits = |by: &Disk, of: &Disk| {
            let Some((_, members)) = by.members() else {
                return true;
            };
            match members.seats.get(&of.owner) {
                Some(seat) => !self.check_stores || seat.store == of.store,
                None => !by.removed().contains(&of.owner),
            }
        };
        fits(from, to) && fits(to, from)
    }

    /// Whether this member leads and a quorum of every set of voters would confirm it now.
    #[must_use]
    pub fn confirmed(&self, id: Id) -> bool {
        let Some(disk) = self.disk(id).filter(|disk| disk.leads) else {
            return false;
        };
        let Some((_, members)) = disk.members() else {
            return false;
        };
        members.quorum(|peer| {
            let follows = |peer: &Disk| peer.term <= disk.term;
            peer == id || (self.talk(id, peer) && self.disk(peer).is_some_and(follows))
        })
    }

    /// The leader that a quorum would confirm.
    #[must_use]
    pub fn leader(&self) -> Option<Id> {
        let leaders = self.live.keys().copied().filter(|id| self.confirmed(*id));
        leaders.max_by_key(|id| self.disk(*id).map_or(0, |disk| disk.term))
    }

    /// Entries that a member's log lacks of the leader's.
    #[must_use]
    pub fn lag(&self, leader: Id, id: Id) -> usize {
        let (Some(full), Some(part)) = (self.disk(leader), self.disk(id)) else {
            return usize::MAX;
        };
        full.log.len() - common(&full.log, &part.log)
    }
}

fn common(a: &[Entry], b: &[Entry]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
