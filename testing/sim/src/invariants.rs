//! The rules that hold in every state, by the names that the operator's design gives them.

mod members;

use std::collections::BTreeSet;
use std::fmt;

use kvorum_plan::observed::Observed;
use kvorum_plan::{Plan, Step};

use crate::act::{Act, Look};
use crate::raft::{Id, Net};
use crate::wish::KEEP_SECONDS;
use crate::world::World;

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// A cluster is formed at most once.
    I1,
    /// Every set of voters is odd, also those that are only proposed.
    I2,
    /// A change of members is made only to the membership that it was planned by.
    I3,
    /// A voter that works is stopped only if the rest are a quorum that works.
    I4,
    /// No zone gets a quorum that none had, nor more voters than the smaller half unless one had a quorum.
    I5,
    /// No ID gets an empty volume after it was a member.
    I6,
    /// A volume is deleted only if its member is out of the committed membership and its time is over.
    I7,
    /// What is deleted or marked is the very object that was seen.
    I8,
    /// While no leader has a quorum, nothing is changed that works.
    I9,
    /// No more new members than the change needs, and one operation at a time.
    I10,
    /// No acknowledged write is lost while no more disks were destroyed than can be survived.
    I11,
    /// Paused means no write but the status.
    I12,
    /// Pods that are Ready leave by eviction.
    I13,
    /// Once nothing happens from outside, what is asked for comes about, whatever was cut short.
    I14,
    /// A new version of the operator alone restarts no pod.
    I15,
}

/// A rule that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// How it came about.
    pub words: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {}", self.invariant, self.words)
    }
}

type Holds = Result<(), Violation>;

fn odd(sets: &[BTreeSet<Id>]) -> bool {
    sets.iter().all(|set| !set.len().is_multiple_of(2))
}

impl World {
    /// What must hold in every state.
    pub(crate) fn check(&mut self) -> Holds {
        self.note_destroyed();
        for disk in self.disks.values() {
            if let Some((_, members)) = disk.members()
                && !odd(&members.configs)
            {
                let words = format!("voters {:?}", members.configs);
                return Err(self.violated(Invariant::I2, words));
            }
        }
        if self.spent {
            return Ok(());
        }
        let acknowledged = self.acknowledged.clone();
        let net = self.net();
        let Some(leader) = net.leader() else {
            return Ok(());
        };
        let has: BTreeSet<u32> = written(&net, leader);
        let lost: Vec<u32> = acknowledged.difference(&has).copied().collect();
        if lost.is_empty() {
            return Ok(());
        }
        let words = format!("leader {leader} lacks the acknowledged writes {lost:?}");
        Err(self.violated(Invariant::I11, words))
    }

    /// More destroyed disks than a committed set of voters can lose: what was only there is lost.
    fn note_destroyed(&mut self) {
        let over = self.destroyed().any(|(gone, of)| gone > (of - 1) / 2);
        self.spent |= over;
    }

    /// For each committed set of voters: how many of their disks are destroyed, and how many there are.
    pub(crate) fn destroyed(&self) -> impl Iterator<Item = (usize, usize)> {
        let stores: BTreeSet<u32> = self.disks.values().map(|disk| disk.store).collect();
        let committed = self.committed.iter();
        committed.flat_map(move |(_, members)| {
            let gone = |id: &&Id| {
                let seat = members.seats.get(id);
                seat.is_some_and(|seat| !stores.contains(&seat.store))
            };
            let sets = members.configs.iter();
            let counts = sets.map(|set| (set.iter().filter(gone).count(), set.len()));
            counts.collect::<Vec<_>>()
        })
    }

    /// What a plan must not hold, whatever becomes of it.
    pub(crate) fn check_plan(&self, operator: usize, seen: &Observed, plan: &Plan) -> Holds {
        let look = &self.operators[operator].look;
        let quiet = plan
            .steps
            .iter()
            .all(|step| matches!(step, Step::SyncServices { .. }));
        if look.wish.as_ref().is_some_and(|wish| wish.paused) && !quiet {
            let steps: Vec<String> = plan.steps.iter().map(Step::name).collect();
            return Err(self.violated(Invariant::I12, format!("paused, and planned {steps:?}")));
        }
        for step in &plan.steps {
            match step {
                Step::ChangeVoters { voters, .. } if voters.len().is_multiple_of(2) => {
                    return Err(self.violated(Invariant::I2, format!("proposed {voters:?}")));
                }
                Step::Restart { id, evict: false } => {
                    let pod = seen.members.get(id).and_then(|member| member.pod.as_ref());
                    if pod.is_some_and(|pod| pod.ready) {
                        return Err(self.violated(
                            Invariant::I13,
                            format!("deletes the pod of {id}, which is Ready"),
                        ));
                    }
                }
                _ => {}
            }
        }
        let kinds: BTreeSet<&str> = plan.steps.iter().filter_map(disruption).collect();
        if kinds.len() > 1 {
            return Err(self.violated(Invariant::I10, format!("at once: {kinds:?}")));
        }
        Ok(())
    }

    /// What must hold before a write.
    pub(crate) fn check_act(&mut self, act: &Act, look: &Look) -> Holds {
        let working = |id: &Id| look.seen.pods.get(id).is_some_and(|(_, ready, _)| *ready);
        let stops = match act {
            Act::Restart { id, uid, .. } => self
                .kube
                .pods
                .get(id)
                .filter(|pod| pod.uid == *uid)
                .map(|_| *id),
            Act::ApplySet {
                id,
                running: false,
                seen,
            } => {
                let set = self.kube.sets.get(id).filter(|set| set.running);
                set.filter(|set| *seen == Some((set.uid, true)))
                    .map(|_| *id)
            }
            Act::DeleteSet { id, uid } => self
                .kube
                .sets
                .get(id)
                .filter(|set| set.uid == *uid)
                .map(|_| *id),
            _ => None,
        };
        let worse = match act {
            Act::Change { .. }
            | Act::DeleteClaim { .. }
            | Act::MarkRetired { .. }
            | Act::DeleteSet { .. } => true,
            _ => stops.as_ref().is_some_and(working),
        };
        // Asleep is what was asked for: nothing needs to work meanwhile.
        let asleep = look.wish.as_ref().is_some_and(|wish| wish.hibernated);
        if worse && !look.quorum && !asleep {
            return Err(self.violated(
                Invariant::I9,
                format!("{act:?} while no leader has a quorum"),
            ));
        }
        self.check_objects(act)?;
        self.check_upgrade(act)?;
        if let Act::DeleteClaim { id, .. } = act {
            self.check_deletion(*id)?;
        }
        match (stops, act) {
            // An eviction is checked once the budget has let it through.
            (_, Act::Restart { .. }) => Ok(()),
            // Nothing but the lease keeps one operator from fencing while another restarts.
            (Some(_), _) if look.stops != self.stops => Ok(()),
            (Some(id), _) => self.check_stop(id, look),
            _ => Ok(()),
        }
    }

    fn check_objects(&self, act: &Act) -> Holds {
        if self.broken != crate::breakage::Breakage::NoPreconditions {
            return Ok(());
        }
        let (seen, there) = match act {
            Act::Restart { id, uid, .. } => (uid, self.kube.pods.get(id).map(|is| is.uid)),
            Act::DeleteSet { id, uid } => (uid, self.kube.sets.get(id).map(|is| is.uid)),
            Act::DeleteClaim { id, uid } | Act::MarkRetired { id, uid, .. } => {
                (uid, self.kube.claims.get(id).map(|is| is.uid))
            }
            _ => return Ok(()),
        };
        match there {
            Some(other) if other != *seen => {
                Err(self.violated(Invariant::I8, format!("{act:?} hits object {other}")))
            }
            _ => Ok(()),
        }
    }

    /// A pod that differs from what is asked for by the operator's version alone stays.
    fn check_upgrade(&self, act: &Act) -> Holds {
        let Act::Restart { id, .. } = act else {
            return Ok(());
        };
        let (Some(pod), Some(set)) = (self.kube.pods.get(id), self.kube.sets.get(id)) else {
            return Ok(());
        };
        if pod.template.asked != set.template.asked
            || pod.template.operator == set.template.operator
        {
            return Ok(());
        }
        let words = format!(
            "restarts {id} for operator version {} alone",
            set.template.operator
        );
        Err(self.violated(Invariant::I15, words))
    }

    fn check_deletion(&self, id: Id) -> Holds {
        let Some(claim) = self.kube.claims.get(&id) else {
            return Ok(());
        };
        let member = self
            .committed
            .as_ref()
            .is_some_and(|(_, now)| now.seats.contains_key(&id));
        if member {
            return Err(self.violated(
                Invariant::I7,
                format!("deletes the volume of {id}, a member"),
            ));
        }
        match claim.retired {
            Some(at) if self.now - at < KEEP_SECONDS => Err(self.violated(
                Invariant::I7,
                format!("deletes the volume of {id} after {} s", self.now - at),
            )),
            _ => Ok(()),
        }
    }

    /// A voter that works is about to stop. What happened since the look cannot be held against it.
    pub(crate) fn check_stop(&mut self, id: Id, look: &Look) -> Holds {
        let asleep = look.wish.as_ref().is_some_and(|wish| wish.hibernated);
        if look.events != self.events || asleep {
            return Ok(());
        }
        let net = self.net();
        let Some(leader) = net.leader() else {
            return Ok(());
        };
        let Some((_, members)) = net.disk(leader).and_then(|disk| disk.members()) else {
            return Ok(());
        };
        let works = |id: Id| net.talk(leader, id) && net.lag(leader, id) <= 1;
        let alone = members.voters().len() == 1;
        if alone || !members.voters().contains(&id) || !(id == leader || works(id)) {
            return Ok(());
        }
        let rest = members.quorum(|other| other != id && (other == leader || works(other)));
        if rest {
            return Ok(());
        }
        let words = format!(
            "stops {id}, without which {:?} have no quorum that works",
            members.configs
        );
        Err(self.violated(Invariant::I4, words))
    }
}

/// What of a step takes something that works away, by the kind of operation: one kind at a time.
fn disruption(step: &Step) -> Option<&'static str> {
    match step {
        Step::ChangeVoters { .. }
        | Step::AddLearner { .. }
        | Step::RemoveLearner { .. }
        | Step::Enlist { .. } => Some("members"),
        Step::Restart { evict: true, .. } => Some("rollout"),
        Step::TransferLeader { .. } => Some("leader"),
        // Syncs, latches, the birth, what is broken or out already.
        Step::Reserve { .. }
        | Step::SyncServices { .. }
        | Step::CreateVolume(_)
        | Step::ApplyMember { .. }
        | Step::Latch { .. }
        | Step::Initialize { .. }
        | Step::Confirm { .. }
        | Step::Retire { .. }
        | Step::DeleteVolume { .. }
        | Step::Restart { evict: false, .. } => None,
    }
}

fn written(net: &Net<'_>, leader: Id) -> BTreeSet<u32> {
    let log = net.disk(leader).map(|disk| disk.log.as_slice());
    let entries = log.unwrap_or_default().iter();
    let writes = entries.filter_map(|entry| match &entry.what {
        crate::raft::What::Write(write) => Some(*write),
        _ => None,
    });
    writes.collect()
}
