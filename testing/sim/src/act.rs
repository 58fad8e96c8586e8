//! An operator: it looks, plans with the real planner, and writes step by step as the real one does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kvorum_plan::observed::{Observed, Reservation};
use kvorum_plan::{MemberId, Plan, Step, Zone};

use crate::invariants::Violation;
use crate::kube::{Kube, Pod};
use crate::raft::calls::Change;
use crate::raft::{Id, Seat, ZoneNo};
use crate::view::{stage_number, store_number};
use crate::wish::{Wish, zone_number};
use crate::world::World;

mod writes;

/// One write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Identity into the status.
    Reserve,
    /// Stage into the record.
    Record(u8),
    /// The disruption budget.
    Services(Option<usize>),
    /// A volume claim, where there is none.
    CreateClaim {
        /// Whose.
        id: Id,
        /// Where.
        zone: ZoneNo,
        /// How far the cluster is.
        stage: u8,
        /// It stands for a lost one.
        replaces: bool,
    },
    /// A StatefulSet as it should be.
    ApplySet {
        /// Whose.
        id: Id,
        /// With a pod.
        running: bool,
        /// What was seen: one that is to stop must still be so.
        seen: Option<(u32, bool)>,
    },
    /// Stage and store onto a claim.
    LatchClaim {
        /// Whose.
        id: Id,
        /// The claim that was seen.
        uid: u32,
        /// How far.
        stage: u8,
        /// The store, if known.
        store: Option<u32>,
    },
    /// Forms the cluster.
    Initialize {
        /// Who is asked.
        via: Id,
        /// All voters with their stores.
        seats: BTreeMap<Id, Seat>,
    },
    /// Reads through quorum.
    Confirm(Id),
    /// Has an ID allotted, and then a claim made.
    Allocate {
        /// Who is asked.
        via: Id,
        /// For what.
        key: String,
        /// Where the new member lives.
        zone: ZoneNo,
        /// It stands for a lost one.
        replaces: bool,
    },
    /// A change of the membership.
    Change {
        /// Who is asked.
        via: Id,
        /// The membership that it was planned by.
        expected: (u64, u64),
        /// Which.
        change: Change,
    },
    /// Hands leadership over.
    Transfer {
        /// Who is asked.
        via: Id,
        /// Who shall lead.
        to: Id,
    },
    /// Marks a claim.
    MarkRetired {
        /// Whose.
        id: Id,
        /// The claim that was seen.
        uid: u32,
        /// With this time.
        at: i64,
    },
    /// Deletes a StatefulSet.
    DeleteSet {
        /// Whose.
        id: Id,
        /// The one that was seen.
        uid: u32,
    },
    /// Deletes a claim.
    DeleteClaim {
        /// Whose.
        id: Id,
        /// The one that was seen.
        uid: u32,
    },
    /// Has a pod made anew.
    Restart {
        /// Whose.
        id: Id,
        /// The one that was seen.
        uid: u32,
        /// By eviction.
        evict: bool,
    },
    /// Writes the status.
    Publish {
        /// The latch.
        bootstrapped: bool,
        /// Losses.
        suspicions: BTreeMap<Id, (&'static str, i64)>,
        /// Times of replacements.
        replacements: Vec<i64>,
    },
}

/// What of a pod a change of its resource version shows: it is up, ready, placed.
pub type Version = (bool, bool, bool);

/// A pod's version.
#[must_use]
pub fn version(pod: &Pod) -> Version {
    (pod.up, pod.ready, pod.node.is_some())
}

/// The objects that were seen, by UID.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seen {
    /// Claims.
    pub claims: BTreeMap<Id, u32>,
    /// StatefulSets, and whether they wanted a pod.
    pub sets: BTreeMap<Id, (u32, bool)>,
    /// Pods, whether they looked ready, and what they were like.
    pub pods: BTreeMap<Id, (u32, bool, Version)>,
}

impl Seen {
    /// What is there, by UID, and which pods looked ready.
    #[must_use]
    pub fn of(kube: &Kube, ready: impl Fn(Id) -> bool) -> Self {
        let pods = kube.pods.iter();
        Self {
            claims: kube.claims.iter().map(|(id, is)| (*id, is.uid)).collect(),
            sets: kube
                .sets
                .iter()
                .map(|(id, is)| (*id, (is.uid, is.running)))
                .collect(),
            pods: pods
                .map(|(id, is)| (*id, (is.uid, ready(*id), version(is))))
                .collect(),
        }
    }
}

/// What a row of writes was planned by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Look {
    /// The objects.
    pub seen: Seen,
    /// The spec.
    pub wish: Option<Wish>,
    /// Outside events until then.
    pub events: u32,
    /// Pods that operators had stopped until then.
    pub stops: u32,
    /// A quorum could have confirmed a leader.
    pub quorum: bool,
    /// The leader's membership.
    pub membership: Option<(u64, u64)>,
}

impl World {
    /// An operator looks and plans; what it was about to write is dropped.
    ///
    /// # Errors
    /// If the plan itself breaks a rule.
    pub fn look(&mut self, operator: usize) -> Result<(), Violation> {
        let mut observed = self.view(operator);
        let quorum = self.net().leader().is_some();
        let wish = self.wish.clone();
        let look = &mut self.operators[operator].look;
        look.wish = Some(wish);
        look.events = self.events;
        look.stops = self.stops;
        look.quorum = quorum;
        let mut spec = self.wish.spec();
        self.broken.before(&mut observed, &mut spec);
        let now = kvorum_plan::observed::UnixSeconds(self.now);
        let mut plan = kvorum_plan::plan(&observed, &spec, now);
        self.broken.after(&mut plan, &observed, self.now);
        self.check_plan(operator, &observed, &plan)?;
        let pending = flatten(&plan, &observed, &self.operators[operator].look.seen);
        self.operators[operator].pending = pending;
        self.operators[operator].look.membership = leaders_word(&observed);
        Ok(())
    }

    /// The plan that a look would come to now, for those who only want to know.
    #[must_use]
    pub fn plan_now(&self) -> Plan {
        let mut world = self.clone();
        let observed = world.view(0);
        let now = kvorum_plan::observed::UnixSeconds(world.now);
        kvorum_plan::plan(&observed, &world.wish.spec(), now)
    }
}

/// The membership of the leader that a quorum confirmed.
fn leaders_word(observed: &Observed) -> Option<(u64, u64)> {
    let reports = observed
        .members
        .values()
        .filter_map(|member| member.report.as_ref());
    let leaders = reports.filter(|report| report.confirmed && report.leader.is_some());
    let leaders = leaders.filter(|report| report.life == kvorum_plan::observed::Life::Leader);
    leaders
        .max_by_key(|report| report.term)
        .map(|report| report.membership.log)
}

/// A plan as single writes, each carrying what it was decided on.
fn flatten(plan: &Plan, observed: &Observed, seen: &Seen) -> VecDeque<Act> {
    let Some(reservation) = &plan.reservation else {
        return VecDeque::new();
    };
    let mut acts: VecDeque<Act> = VecDeque::new();
    for step in &plan.steps {
        acts.extend(writes_of(step, reservation, observed, seen));
    }
    let latched = plan.steps.iter().any(|step| {
        matches!(step, Step::Latch { stage, .. } | Step::Reserve { stage, .. } if stage_number(*stage) == 2)
    });
    let replacements = observed.status.replacements.iter().map(|at| at.0).collect();
    let suspicions = plan.suspicions.iter();
    let publish = Act::Publish {
        bootstrapped: observed.status.bootstrapped || latched,
        suspicions: suspicions
            .map(|(id, is)| (id.0, (is.loss.as_str(), is.since.0)))
            .collect(),
        replacements,
    };
    acts.push_back(publish);
    acts
}

fn number(zone: Option<&Zone>) -> ZoneNo {
    zone.map_or(0, zone_number)
}

/// The writes of a step. Every kind is named: a new one must be thought about here and in the checks.
fn writes_of(step: &Step, reservation: &Reservation, observed: &Observed, seen: &Seen) -> Vec<Act> {
    match step {
        Step::Reserve { stage, .. } => vec![Act::Reserve, Act::Record(stage_number(*stage))],
        Step::SyncServices { at_least } => vec![Act::Services(*at_least)],
        Step::CreateVolume(member) => vec![Act::CreateClaim {
            id: member.id.0,
            zone: number(member.zone.as_ref()),
            stage: 0,
            replaces: false,
        }],
        Step::ApplyMember { member, running } => vec![Act::ApplySet {
            id: member.id.0,
            running: *running,
            seen: seen.sets.get(&member.id.0).copied(),
        }],
        Step::Latch { stage, stores } => latch(stage_number(*stage), stores, observed, seen),
        Step::Initialize { via, stores } => {
            let members = reservation.members();
            let seat = |(id, store): (&MemberId, &String)| {
                let member = members.iter().find(|member| member.id == *id);
                let zone = number(member.and_then(|member| member.zone.as_ref()));
                let store = store_number(store);
                (id.0, Seat { zone, store })
            };
            vec![Act::Initialize {
                via: via.0,
                seats: stores.iter().map(seat).collect(),
            }]
        }
        Step::Confirm { via } => vec![Act::Confirm(via.0)],
        Step::Enlist {
            via,
            key,
            zone,
            replaces,
        } => vec![Act::Allocate {
            via: via.0,
            key: key.clone(),
            zone: number(zone.as_ref()),
            replaces: *replaces,
        }],
        Step::AddLearner { .. } | Step::RemoveLearner { .. } | Step::ChangeVoters { .. } => {
            change(step).into_iter().collect()
        }
        Step::TransferLeader { via, to } => vec![Act::Transfer {
            via: via.0,
            to: to.0,
        }],
        Step::Retire { id, at } => retire(id.0, at.map(|at| at.0), seen),
        Step::DeleteVolume { id } => {
            let uid = seen.claims.get(&id.0).copied();
            uid.map(|uid| Act::DeleteClaim { id: id.0, uid })
                .into_iter()
                .collect()
        }
        Step::Restart { id, evict } => {
            let pod = seen.pods.get(&id.0).copied();
            let restart = |(uid, _, _)| Act::Restart {
                id: id.0,
                uid,
                evict: *evict,
            };
            pod.map(restart).into_iter().collect()
        }
    }
}

fn latch(
    stage: u8,
    stores: &BTreeMap<MemberId, String>,
    observed: &Observed,
    seen: &Seen,
) -> Vec<Act> {
    let kept = observed
        .volumes
        .iter()
        .filter(|(_, volume)| volume.retired.is_none());
    let claims = kept.filter_map(|(id, _)| {
        Some(Act::LatchClaim {
            id: id.0,
            uid: *seen.claims.get(&id.0)?,
            stage,
            store: stores.get(id).map(|store| store_number(store)),
        })
    });
    claims.chain([Act::Record(stage)]).collect()
}

fn change(step: &Step) -> Option<Act> {
    let (via, expected, change) = match step {
        Step::AddLearner {
            via,
            expected,
            member,
            store_uuid,
        } => {
            let seat = Seat {
                zone: number(member.zone.as_ref()),
                store: store_number(store_uuid),
            };
            (via, expected, Change::AddLearner(member.id.0, seat))
        }
        Step::RemoveLearner { via, expected, id } => (via, expected, Change::RemoveLearner(id.0)),
        Step::ChangeVoters {
            via,
            expected,
            voters,
        } => {
            let voters: BTreeSet<Id> = voters.iter().map(|id| id.0).collect();
            (via, expected, Change::ChangeVoters(voters))
        }
        _ => return None,
    };
    Some(Act::Change {
        via: via.0,
        expected: *expected,
        change,
    })
}

fn retire(id: Id, at: Option<i64>, seen: &Seen) -> Vec<Act> {
    let claim = seen.claims.get(&id).copied().zip(at);
    let mark = claim.map(|(uid, at)| Act::MarkRetired { id, uid, at });
    let set = seen
        .sets
        .get(&id)
        .map(|(uid, _)| Act::DeleteSet { id, uid: *uid });
    mark.into_iter().chain(set).collect()
}
