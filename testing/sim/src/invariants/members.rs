//! Rules about who the members are: how many are on their way in, and where voters live.

use std::collections::{BTreeMap, BTreeSet};

use super::{Holds, Invariant};
use crate::raft::{Id, Members, ZoneNo};
use crate::wish::Wish;
use crate::world::World;

impl World {
    /// New members beside those that vote: no more than the change needs.
    pub(crate) fn check_surge(&self, new: Id, wish: &Wish) -> Holds {
        let Some((_, members)) = &self.committed else {
            return Ok(());
        };
        let voters = members.voters();
        let claims = self.kube.claims.iter();
        let surge = claims.filter(|(id, claim)| {
            claim.retired.is_none()
                && !claim.terminating
                && **id != new
                && !voters.contains(id)
                && !self.gone(**id)
        });
        let wanted = usize::try_from(wish.size).unwrap_or(0);
        let drained = |id: &&Id| {
            members
                .seats
                .get(id)
                .is_some_and(|seat| wish.drain.contains(&seat.zone))
        };
        let moving = voters.iter().filter(drained).count();
        // One at a time is given up.
        let lost = usize::from(voters.iter().any(|id| !self.intact(*id, members)));
        let most = (wanted.saturating_sub(voters.len()) + moving + lost).max(1);
        // Operators by different views may each make their own; they have no vote, and are dismissed.
        let most = most * self.operators.len();
        let with_new = surge.count() + 1;
        if with_new <= most {
            return Ok(());
        }
        let words = format!("{with_new} new members, where {most} are enough");
        Err(self.violated(Invariant::I10, words))
    }

    /// It runs, on the store that it registered, and nobody is about to take that away.
    fn intact(&self, id: Id, members: &Members) -> bool {
        let claim = self.kube.claims.get(&id).filter(|claim| !claim.terminating);
        let disk = claim.and_then(|claim| self.disks.get(&claim.uid));
        let seat = members.seats.get(&id);
        let same = disk
            .zip(seat)
            .is_some_and(|(disk, seat)| disk.store == seat.store);
        same && self
            .live()
            .get(&id)
            .is_some_and(|(_, zone)| !self.cut.contains(zone))
    }

    fn gone(&self, id: Id) -> bool {
        let seat = |members: &Members| members.seats.contains_key(&id);
        self.seated.contains_key(&id) && self.committed.as_ref().is_some_and(|(_, now)| !seat(now))
    }

    pub(crate) fn check_zones(&self, before: &Members, voters: &BTreeSet<Id>) -> Holds {
        let most = |ids: &BTreeSet<Id>| -> usize {
            let mut count: BTreeMap<ZoneNo, usize> = BTreeMap::new();
            for id in ids {
                let seat = before.seats.get(id).map(|seat| seat.zone);
                *count.entry(seat.unwrap_or(0)).or_insert(0) += 1;
            }
            count.into_values().max().unwrap_or(0)
        };
        let old = before.configs.last().cloned().unwrap_or_default();
        let had = most(&old) * 2 > old.len();
        let allowed = (voters.len() - 1) / 2;
        if voters.len() == 1
            || had
            || most(voters) <= allowed.max(most(&old)) && most(voters) * 2 < voters.len()
        {
            return Ok(());
        }
        let words = format!("{old:?} to {voters:?}: {} voters in one zone", most(voters));
        Err(self.violated(Invariant::I5, words))
    }
}
