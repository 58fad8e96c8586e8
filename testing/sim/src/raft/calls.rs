//! What is asked of a leader: the admin calls as kvorum-node answers them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Disk, Entry, Id, Members, Net, Seat, What};

/// A change of the membership.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// A member without a vote.
    AddLearner(Id, Seat),
    /// A member without a vote goes.
    RemoveLearner(Id),
    /// Exactly these vote.
    ChangeVoters(BTreeSet<Id>),
}

impl Net<'_> {
    fn append(&mut self, leader: Id, what: What) {
        if let Some(me) = self.disk_mut(leader) {
            let term = me.term;
            me.log.push(Entry { term, what });
        }
        self.replicate(leader, &|_| true);
    }

    /// A client's write; true if it was acknowledged.
    pub fn write(&mut self, leader: Id, write: u32) -> bool {
        if !self.confirmed(leader) {
            return false;
        }
        self.append(leader, What::Write(write));
        self.disk(leader)
            .is_some_and(|disk| disk.commit == disk.log.len())
    }

    /// An ID for a key, greater than all that ever were.
    pub fn allocate(&mut self, leader: Id, key: &str) -> Option<Id> {
        if !self.confirmed(leader) {
            return None;
        }
        let mut highest = 0;
        for entry in &self.disk(leader)?.log {
            match &entry.what {
                What::Allotted { key: known, id } if **known == *key => return Some(*id),
                What::Allotted { id, .. } => highest = highest.max(*id),
                What::Members(members) => {
                    highest = highest.max(members.seats.keys().copied().max().unwrap_or(0));
                }
                What::Blank | What::Write(_) => {}
            }
        }
        let id = highest + 1;
        let key: Arc<str> = key.into();
        self.append(leader, What::Allotted { key, id });
        Some(id)
    }

    /// Changes the membership if it is the one at `expected`. `Ok(false)`: it was so already.
    ///
    /// # Errors
    /// Why not, in a few words.
    pub fn change(
        &mut self,
        leader: Id,
        expected: (u64, u64),
        change: &Change,
    ) -> Result<bool, &'static str> {
        if !self.confirmed(leader) {
            return Err("not the leader");
        }
        let me = self.disk(leader).ok_or("not there")?;
        let (index, members) = me.members().ok_or("no cluster")?;
        if made(me, members, change)? {
            return Ok(false);
        }
        if members.joint() || me.commit < index {
            return Err("half done");
        }
        if me.members_log() != expected {
            return Err("moved");
        }
        let mut next = Members::clone(members);
        match change {
            Change::AddLearner(id, seat) => {
                if me.removed().contains(id) {
                    return Err("removed");
                }
                next.seats.insert(*id, seat.clone());
            }
            Change::RemoveLearner(id) => drop(next.seats.remove(id)),
            Change::ChangeVoters(voters) => {
                self.judge_voters(leader, members, voters)?;
                next.configs.push(voters.clone());
            }
        }
        self.append(leader, What::Members(Arc::new(next)));
        Ok(true)
    }

    fn judge_voters(
        &self,
        leader: Id,
        members: &Members,
        voters: &BTreeSet<Id>,
    ) -> Result<(), &'static str> {
        let now = members.voters();
        if voters.iter().any(|id| !members.seats.contains_key(id)) {
            return Err("unknown");
        }
        // Where nobody stays there is nobody to hand over to.
        if !voters.contains(&leader) && !voters.is_disjoint(&now) {
            return Err("the leader leaves");
        }
        let joins = voters.difference(&now);
        for id in joins {
            if !self.talk(leader, *id) || self.lag(leader, *id) > 1 {
                return Err("lags");
            }
        }
        let answers = |id: &&Id| **id == leader || self.talk(leader, **id);
        if voters.iter().filter(answers).count() * 2 <= voters.len() {
            return Err("no quorum after");
        }
        Ok(())
    }

    /// Hands leadership over.
    ///
    /// # Errors
    /// Why not, in a few words.
    pub fn transfer(&mut self, leader: Id, to: Id) -> Result<(), &'static str> {
        if !self.confirmed(leader) {
            return Err("not the leader");
        }
        let votes = self
            .disk(leader)
            .and_then(Disk::members)
            .is_some_and(|(_, members)| members.voters().contains(&to) && !members.joint());
        if !votes || !self.talk(leader, to) || self.lag(leader, to) > 0 {
            return Err("cannot take over");
        }
        if leader != to && self.stand(to, true) {
            self.replicate(to, &|_| true);
        }
        Ok(())
    }

    /// Forms the cluster; true if this was what formed it.
    ///
    /// # Errors
    /// Why not, in a few words.
    pub fn initialize(&mut self, via: Id, members: &Members) -> Result<bool, &'static str> {
        let store = members.seats.get(&via).map(|seat| seat.store);
        let me = self.disk_mut(via).ok_or("not there")?;
        if !me.log.is_empty() {
            return Ok(false);
        }
        if store != Some(me.store) {
            return Err("another store");
        }
        me.log.push(Entry {
            term: 0,
            what: What::Members(Arc::new(members.clone())),
        });
        self.tick(&|_| true);
        Ok(true)
    }
}

fn made(me: &Disk, members: &Members, change: &Change) -> Result<bool, &'static str> {
    let votes = |id: &Id| members.voters().contains(id);
    match change {
        Change::AddLearner(id, seat) => match members.seats.get(id) {
            None => Ok(false),
            Some(_) if votes(id) => Err("has a vote"),
            Some(there) if there.store == seat.store => Ok(true),
            Some(_) => Err("another store"),
        },
        Change::RemoveLearner(id) if votes(id) => Err("has a vote"),
        Change::RemoveLearner(id) => Ok(!members.seats.contains_key(id)),
        Change::ChangeVoters(voters) if voters.len().is_multiple_of(2) => Err("even"),
        Change::ChangeVoters(voters) => {
            Ok(!members.joint() && members.configs.last() == Some(voters) && me.leads)
        }
    }
}
