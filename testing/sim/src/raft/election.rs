//! How leaders come about, replicate, and finish a change of members.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Entry, Id, Members, Net, What, common};

impl Net<'_> {
    /// What happens within a heartbeat: leaders replicate to the peers that `hears` names, and whoever
    /// hears of nobody stands for election.
    pub fn tick(&mut self, hears: &dyn Fn(Id) -> bool) {
        let ids: Vec<Id> = self.live.keys().copied().collect();
        for id in &ids {
            if self.disk(*id).is_some_and(|disk| disk.leads) {
                self.finish_joint(*id);
                self.replicate(*id, hears);
            }
        }
        self.forget_lost_leaders(&ids);
        self.elect(&ids, hears);
        self.tell_removed(&ids);
    }

    fn forget_lost_leaders(&mut self, ids: &[Id]) {
        for id in ids {
            let Some(disk) = self.disk(*id) else { continue };
            let Some(leader) = disk.follows else { continue };
            let term = disk.term;
            let there = self
                .disk(leader)
                .is_some_and(|leader| leader.leads && leader.term == term);
            if (!there || !self.talk(leader, *id))
                && let Some(disk) = self.disk_mut(*id)
            {
                disk.follows = None;
            }
        }
    }

    fn elect(&mut self, ids: &[Id], hears: &dyn Fn(Id) -> bool) {
        let mut candidates: Vec<Id> = ids
            .iter()
            .copied()
            .filter(|id| self.may_stand(*id))
            .collect();
        candidates.sort_by_key(|id| {
            let last = self.disk(*id).map_or((0, 0), super::Disk::last);
            (std::cmp::Reverse(last), *id)
        });
        for id in candidates {
            if self.stand(id, false) {
                self.replicate(id, hears);
            }
        }
    }

    fn may_stand(&self, id: Id) -> bool {
        self.disk(id).is_some_and(|disk| {
            let votes = disk
                .members()
                .is_some_and(|(_, members)| members.voters().contains(&id));
            votes && !disk.leads && disk.follows.is_none()
        })
    }

    /// Asks for votes; true if it leads now. As a handed-over leader it is not asked whom it would unseat.
    pub(super) fn stand(&mut self, id: Id, handed: bool) -> bool {
        let Some(me) = self.disk(id) else {
            return false;
        };
        let Some((_, members)) = me.members() else {
            return false;
        };
        let (last, members) = (me.last(), members.clone());
        let asked: Vec<Id> = members
            .voters()
            .into_iter()
            .filter(|peer| *peer == id || self.talk(id, *peer))
            .collect();
        let highest = asked
            .iter()
            .filter_map(|peer| Some(self.disk(*peer)?.term))
            .max()
            .unwrap_or(0);
        let term = highest + 1;
        let grants = |peer: Id| {
            asked.contains(&peer)
                && self.disk(peer).is_some_and(|disk| {
                    let free = handed || peer == id || (disk.follows.is_none() && !disk.leads);
                    free && disk.last() <= last
                })
        };
        if !members.quorum(grants) {
            return false;
        }
        let voters: BTreeSet<Id> = asked.iter().copied().filter(|peer| grants(*peer)).collect();
        for peer in voters {
            if let Some(disk) = self.disk_mut(peer) {
                disk.term = term;
                disk.vote = Some(id);
                disk.leads = false;
                disk.follows = None;
            }
        }
        if let Some(me) = self.disk_mut(id) {
            me.leads = true;
            me.log.push(Entry {
                term,
                what: What::Blank,
            });
        }
        true
    }

    /// Sends the whole log to everybody who is reached; commits what a quorum has.
    pub fn replicate(&mut self, leader: Id, hears: &dyn Fn(Id) -> bool) {
        let Some(me) = self.disk(leader).filter(|disk| disk.leads) else {
            return;
        };
        let Some((_, members)) = me.members() else {
            return;
        };
        let (term, log, members) = (me.term, me.log.clone(), members.clone());
        let peers: Vec<Id> = members
            .seats
            .keys()
            .copied()
            .filter(|id| *id != leader && self.talk(leader, *id))
            .collect();
        if let Some(higher) = peers
            .iter()
            .filter_map(|id| Some(self.disk(*id)?.term))
            .max()
            .filter(|t| *t > term)
        {
            if let Some(me) = self.disk_mut(leader) {
                me.term = higher;
                me.vote = None;
                me.stop();
            }
            return;
        }
        let mut have = BTreeSet::from([leader]);
        for id in peers.into_iter().filter(|id| hears(*id)) {
            if let Some(peer) = self.disk_mut(id) {
                if peer.term < term {
                    peer.vote = None;
                }
                peer.term = term;
                peer.leads = false;
                peer.follows = Some(leader);
                peer.log.truncate(common(&peer.log, &log));
                let from = peer.log.len();
                peer.log.extend_from_slice(&log[from..]);
                have.insert(id);
            }
        }
        let commits = members.quorum(|id| have.contains(&id));
        let Some(me) = self.disk_mut(leader) else {
            return;
        };
        if commits && log.last().is_some_and(|entry| entry.term == term) {
            me.commit = log.len();
        }
        let commit = me.commit;
        for id in have {
            if let Some(peer) = self.disk_mut(id) {
                peer.commit = peer.commit.max(commit.min(peer.log.len()));
            }
        }
        // One that leads a membership that it is no longer part of has done its work.
        if let Some(me) = self.disk_mut(leader)
            && me.commit == me.log.len()
            && !members.voters().contains(&leader)
        {
            me.stop();
        }
    }

    /// The second half of a change: the leader goes on by itself once the first is committed.
    fn finish_joint(&mut self, leader: Id) {
        let Some(me) = self.disk_mut(leader) else {
            return;
        };
        let Some((index, members)) = me.members() else {
            return;
        };
        if !members.joint() || me.commit < index {
            return;
        }
        let next = members.configs.last().cloned().unwrap_or_default();
        let before = members.voters();
        let seats = members.seats.iter();
        let seats = seats.filter(|(id, _)| next.contains(id) || !before.contains(id));
        let members = Members {
            seats: seats.map(|(id, seat)| (*id, seat.clone())).collect(),
            configs: vec![next],
        };
        let term = me.term;
        me.log.push(Entry {
            term,
            what: What::Members(Arc::new(members)),
        });
    }

    /// Members that were removed find out from those that they still reach.
    fn tell_removed(&mut self, ids: &[Id]) {
        for id in ids {
            let told = ids.iter().any(|other| {
                self.reach(*id, *other)
                    && self.disk(*other).is_some_and(|disk| {
                        let known = disk.log.get(..disk.commit).unwrap_or_default();
                        let ever = known.iter().any(|entry| match &entry.what {
                            What::Members(members) => members.seats.contains_key(id),
                            _ => false,
                        });
                        let now = disk.committed_members();
                        ever && now.is_some_and(|(_, now)| !now.seats.contains_key(id))
                    })
            });
            if told && let Some(disk) = self.disk_mut(*id).filter(|disk| !disk.log.is_empty()) {
                disk.told_removed = true;
                disk.stop();
            }
        }
    }
}
