//! What a write comes to: as the operator's shell and the API server do it, preconditions and all.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Act, Look};
use crate::breakage::Breakage;
use crate::invariants::{Invariant, Violation};
use crate::kube::{Claim, Set};
use crate::raft::calls::Change;
use crate::raft::{Id, Members, Seat, ZoneNo};
use crate::world::World;

/// Whether a write went through; after one that did not, only the status is written.
type Went = Result<bool, Violation>;

impl World {
    /// An operator's next write.
    ///
    /// # Errors
    /// If it breaks a rule.
    pub(crate) fn write(&mut self, operator: usize) -> Result<(), Violation> {
        let Some(act) = self.operators[operator].pending.pop_front() else {
            return Ok(());
        };
        let look = self.operators[operator].look.clone();
        self.check_act(&act, &look)?;
        if !self.carry_out(operator, &act, &look)? {
            let pending = &mut self.operators[operator].pending;
            pending.retain(|act| matches!(act, Act::Publish { .. }));
        }
        Ok(())
    }

    fn carry_out(&mut self, operator: usize, act: &Act, look: &Look) -> Went {
        match act {
            Act::CreateClaim {
                id,
                zone,
                stage,
                replaces,
            } => {
                let before = self.kube.claims.len();
                let went = self.create_claim(*id, (*zone, *stage), look)?;
                if *replaces && self.kube.claims.len() > before {
                    self.count_replacement(operator);
                }
                Ok(went)
            }
            Act::Initialize { via, seats } => self.initialize(*via, seats),
            Act::Confirm(via) => Ok(self.confirm(*via)),
            Act::Allocate { via, key, zone, .. } => {
                let id = self.net().allocate(*via, key);
                let replaces = matches!(act, Act::Allocate { replaces: true, .. });
                let claim = id.map(|id| Act::CreateClaim {
                    id,
                    zone: *zone,
                    stage: 2,
                    replaces,
                });
                let pending = &mut self.operators[operator].pending;
                Ok(claim.map(|act| pending.push_front(act)).is_some())
            }
            Act::Change {
                via,
                expected,
                change,
            } => self.change(*via, *expected, change, look),
            Act::Transfer { via, to } => Ok(self.net().transfer(*via, *to).is_ok()),
            Act::Restart { id, uid, evict } => self.restart(*id, *uid, *evict, look),
            _ => Ok(self.keep(act)),
        }
    }

    /// Writes that only touch objects.
    fn keep(&mut self, act: &Act) -> bool {
        match act {
            Act::Reserve => self.kube.status.reserved = true,
            Act::Record(stage) => self.kube.record = Some(*stage),
            Act::Services(at_least) => self.kube.at_least = *at_least,
            Act::ApplySet { id, running, seen } => {
                let there = self.kube.sets.get(id).map(|set| (set.uid, set.running));
                if !running && there != *seen {
                    return false;
                }
                self.apply_set(*id, *running);
            }
            Act::LatchClaim {
                id,
                uid,
                stage,
                store,
            } => {
                let claim = self.kube.claims.get_mut(id);
                let Some(claim) = claim.filter(|claim| claim.uid == *uid) else {
                    return false;
                };
                claim.stage = *stage;
                claim.store = *store;
                // Applied as a whole: a mark that is not named goes.
                claim.retired = None;
            }
            Act::MarkRetired { id, uid, at } => {
                let same = self.same(Some(*uid), self.kube.claims.get(id).map(|is| is.uid));
                let claim = self.kube.claims.get_mut(id).filter(|_| same);
                let Some(claim) = claim else { return false };
                claim.retired = Some(*at);
            }
            Act::DeleteSet { id, uid } => {
                let there = self.kube.sets.get(id).map(|set| set.uid);
                if there.is_some() && !self.same(Some(*uid), there) {
                    return false;
                }
                self.kube.sets.remove(id);
            }
            Act::DeleteClaim { id, uid } => return self.delete_claim(*id, *uid),
            Act::Publish {
                bootstrapped,
                suspicions,
                replacements,
            } => {
                let status = &mut self.kube.status;
                // The API server refuses to take the latch back.
                status.bootstrapped |= bootstrapped;
                status.suspicions.clone_from(suspicions);
                status.replacements.clone_from(replacements);
            }
            // Those that are asked of members, or checked.
            Act::CreateClaim { .. }
            | Act::Initialize { .. }
            | Act::Confirm(_)
            | Act::Allocate { .. }
            | Act::Change { .. }
            | Act::Transfer { .. }
            | Act::Restart { .. } => return false,
        }
        true
    }

    fn confirm(&mut self, via: Id) -> bool {
        let net = self.net();
        let disk = net.disk(via);
        let leader = disk.and_then(|disk| if disk.leads { Some(via) } else { disk.follows });
        leader.is_some_and(|leader| net.confirmed(leader))
    }

    fn delete_claim(&mut self, id: Id, uid: u32) -> bool {
        let same = self.same(Some(uid), self.kube.claims.get(&id).map(|is| is.uid));
        let Some(claim) = self.kube.claims.get_mut(&id) else {
            return true;
        };
        if !same || claim.retired.is_none() {
            return false;
        }
        claim.terminating = true;
        true
    }

    /// Whether the object is the one that was seen: what a precondition on the UID asks.
    fn same(&self, seen: Option<u32>, there: Option<u32>) -> bool {
        self.broken == Breakage::NoPreconditions || seen == there
    }

    fn create_claim(&mut self, id: Id, (zone, stage): (ZoneNo, u8), look: &Look) -> Went {
        if let Some(there) = self.kube.claims.get(&id) {
            // A new member's volume that an earlier try has made; anything else is somebody's data.
            return Ok(stage == 2 && there.zone == zone && there.retired.is_none());
        }
        if let Some(store) = self.seated.get(&id) {
            let words = format!("an empty volume for {id}, which was a member on store {store}");
            return Err(self.violated(Invariant::I6, words));
        }
        if let Some(wish) = look.wish.as_ref().filter(|_| stage == 2) {
            self.check_surge(id, wish)?;
        }
        self.uids += 1;
        let claim = Claim {
            uid: self.uids,
            zone,
            stage,
            store: None,
            retired: None,
            terminating: false,
            node: None,
        };
        self.kube.claims.insert(id, claim);
        Ok(true)
    }

    /// Replacements are counted in the status that is written last.
    fn count_replacement(&mut self, operator: usize) {
        let now = self.now;
        for act in &mut self.operators[operator].pending {
            if let Act::Publish { replacements, .. } = act {
                replacements.push(now);
            }
        }
    }

    fn apply_set(&mut self, id: Id, running: bool) {
        let template = self.template();
        let at_once = self.broken == Breakage::OperatorChangesAtOnce;
        let uids = &mut self.uids;
        let set = self.kube.sets.entry(id).or_insert_with(|| {
            *uids += 1;
            Set {
                uid: *uids,
                running,
                template,
                settled: false,
            }
        });
        // What only a new operator would change waits for the next change of the spec.
        if set.template != template && (at_once || set.template.asked != template.asked) {
            set.template = template;
            set.settled = false;
        }
        set.running = running;
    }

    fn initialize(&mut self, via: Id, seats: &BTreeMap<Id, Seat>) -> Went {
        let members = Members {
            configs: vec![seats.keys().copied().collect()],
            seats: seats.clone(),
        };
        let formed = self.net().initialize(via, &members);
        if formed == Ok(true) {
            self.births += 1;
            if self.births > 1 {
                let words = format!("Initialize took effect again, at {via}");
                return Err(self.violated(Invariant::I1, words));
            }
        }
        Ok(formed.is_ok())
    }

    fn change(&mut self, via: Id, expected: (u64, u64), change: &Change, look: &Look) -> Went {
        let net = self.net();
        let before = net
            .disk(via)
            .map(|disk| (disk.members_log(), disk.members().map(|(_, is)| is.clone())));
        let now = before.as_ref().map_or((0, 0), |(log, _)| *log);
        let expected = if self.broken == Breakage::ExpectedIgnored {
            now
        } else {
            expected
        };
        let made = self.net().change(via, expected, change);
        if made != Ok(true) {
            return Ok(made.is_ok());
        }
        if look.membership != Some(now) {
            let words = format!(
                "{change:?} was planned by membership {:?} and made at {now:?}",
                look.membership
            );
            return Err(self.violated(Invariant::I3, words));
        }
        if let (Change::ChangeVoters(voters), Some((_, Some(before)))) = (change, before) {
            self.check_zones(&before, voters)?;
        }
        Ok(true)
    }

    /// Deletes or evicts the pod that was seen; a budget may say not now.
    fn restart(&mut self, id: Id, uid: u32, evict: bool, look: &Look) -> Went {
        let there = self.kube.pods.get(&id).map(|pod| pod.uid);
        if there.is_none() || !self.same(Some(uid), there) {
            return Ok(false);
        }
        // What is deleted for being broken must still be what was seen.
        let seen = look.seen.pods.get(&id).map(|(_, _, version)| *version);
        let there = self.kube.pods.get(&id).map(super::version);
        if !evict && seen != there && self.broken != Breakage::NoPreconditions {
            return Ok(false);
        }
        let ready = |pod: &&crate::kube::Pod| pod.ready && !pod.terminating;
        let healthy = self.kube.pods.values().filter(ready).count();
        let own = self.kube.pods.get(&id).is_some_and(|pod| ready(&pod));
        let left = healthy.saturating_sub(usize::from(own));
        if evict && own && self.kube.at_least.is_some_and(|least| left < least) {
            return Ok(false);
        }
        self.check_stop(id, look)?;
        self.stops += 1;
        self.hand_over(id);
        if let Some(pod) = self.kube.pods.get_mut(&id) {
            pod.terminating = true;
            pod.up = false;
            pod.ready = false;
        }
        if let Some(claim) = self.kube.claims.get(&id)
            && let Some(disk) = self.disks.get_mut(&claim.uid)
        {
            disk.stop();
        }
        Ok(true)
    }

    /// A process that is told to end hands leadership over first.
    fn hand_over(&mut self, id: Id) {
        let mut net = self.net();
        if !net.confirmed(id) {
            return;
        }
        let heirs: Vec<Id> = net
            .live
            .keys()
            .copied()
            .filter(|heir| *heir != id)
            .collect();
        for heir in heirs {
            if net.transfer(id, heir).is_ok() {
                return;
            }
        }
    }

    /// The newest membership that a leader with a quorum has committed, and the stores that ever had a seat.
    pub(crate) fn note_committed(&mut self) {
        let mut newest: Option<(usize, Arc<Members>)> = None;
        for disk in self.disks.values() {
            if let Some((index, members)) = disk.committed_members()
                && newest.as_ref().is_none_or(|(best, _)| index > *best)
            {
                newest = Some((index, members.clone()));
            }
        }
        if let Some((index, members)) = newest
            && self
                .committed
                .as_ref()
                .is_none_or(|(best, _)| index > *best)
        {
            for (id, seat) in &members.seats {
                self.seated.entry(*id).or_insert(seat.store);
            }
            self.committed = Some((index, members));
        }
    }
}
