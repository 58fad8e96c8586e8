//! Planners and shells that are broken on purpose: each must be caught by the rule that it breaks, or that
//! rule's check is worth nothing.

use std::collections::BTreeSet;

use kvorum_plan::observed::{Life, Observed, Stage};
use kvorum_plan::placement::Assigned;
use kvorum_plan::spec::Spec;
use kvorum_plan::steps::Phase;
use kvorum_plan::{MemberId, Plan, Step, Zone};

/// What is broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Breakage {
    /// Nothing.
    #[default]
    None,
    /// The latches are not looked at: a cluster whose disks are all empty is formed again.
    LatchesForgotten,
    /// The last voter of a proposed set is dropped.
    EvenVoters,
    /// Whoever asks for a change does not say by which membership.
    ExpectedIgnored,
    /// A member is fenced without asking whether the rest are a quorum.
    NoQuorumGate,
    /// A member is taken for one of another zone.
    ZonesMistaken,
    /// A lost volume is made anew under the old ID.
    IdReused,
    /// Volumes of members that left are deleted at once.
    NoRetention,
    /// Objects are deleted by name, whoever they are by now.
    NoPreconditions,
    /// A cluster without quorum has its pods made anew, to see whether it helps.
    RestartsWithoutQuorum,
    /// Every try asks for a new ID.
    KeysForgotten,
    /// Members take any directory for the one they knew.
    StoresUnchecked,
    /// The pause is not looked at.
    PauseIgnored,
    /// Pods are deleted instead of evicted.
    NoEviction,
    /// Members that wait are never added.
    NeverAdds,
    /// What only a new operator would change is applied at once.
    OperatorChangesAtOnce,
}

impl Breakage {
    /// Falsifies what the planner is told.
    pub(crate) fn before(self, seen: &mut Observed, spec: &mut Spec) {
        match self {
            Self::LatchesForgotten => {
                seen.status.bootstrapped = false;
                seen.record = None;
                for volume in seen.volumes.values_mut() {
                    volume.stage = Stage::Reserved;
                    volume.store_uuid = None;
                }
            }
            Self::ZonesMistaken => mistake(seen),
            Self::NoRetention => spec.keep_replaced_seconds = 0,
            Self::PauseIgnored => spec.paused = false,
            _ => {}
        }
    }

    /// Falsifies the plan.
    pub(crate) fn after(self, plan: &mut Plan, seen: &Observed, now: i64) {
        match self {
            Self::EvenVoters => {
                for step in &mut plan.steps {
                    if let Step::ChangeVoters { voters, .. } = step {
                        voters.pop();
                    }
                }
            }
            Self::NoQuorumGate => {
                let gated = plan.operation.as_ref().is_some_and(|is| is.gate.is_some());
                let member = plan
                    .operation
                    .as_ref()
                    .and_then(|is| is.member)
                    .filter(|_| gated);
                for step in &mut plan.steps {
                    if let Step::ApplyMember {
                        member: whose,
                        running,
                    } = step
                        && Some(whose.id) == member
                    {
                        *running = false;
                    }
                }
            }
            Self::IdReused => reuse(plan, seen),
            Self::RestartsWithoutQuorum if plan.phase == Phase::QuorumLost => {
                let ready = |id: &&MemberId| {
                    let pod = seen.members.get(id).and_then(|member| member.pod.as_ref());
                    pod.is_some_and(|pod| pod.ready)
                };
                let ids: Vec<MemberId> = seen.members.keys().filter(ready).copied().collect();
                plan.steps
                    .extend(ids.into_iter().map(|id| Step::Restart { id, evict: true }));
            }
            Self::KeysForgotten => {
                for step in &mut plan.steps {
                    if let Step::Enlist { key, .. } = step {
                        key.push_str(&format!("@{now}"));
                    }
                }
            }
            Self::NoEviction => {
                for step in &mut plan.steps {
                    if let Step::Restart { evict, .. } = step {
                        *evict = false;
                    }
                }
            }
            Self::NeverAdds => plan
                .steps
                .retain(|step| !matches!(step, Step::AddLearner { .. })),
            _ => {}
        }
    }
}

/// A volume that is not there comes back empty.
fn reuse(plan: &mut Plan, seen: &Observed) {
    let reports = seen
        .members
        .values()
        .filter_map(|member| member.report.as_ref());
    let mut seats = BTreeSet::new();
    for report in reports.filter(|report| report.life == Life::Leader) {
        seats.extend(report.membership.seats.keys().copied());
    }
    for id in seats
        .into_iter()
        .filter(|id| !seen.volumes.contains_key(id))
    {
        let zone = Some(Zone::new("zone-a"));
        plan.steps
            .insert(0, Step::CreateVolume(Assigned { id, zone }));
    }
}

/// The first member is taken for one of another zone.
fn mistake(seen: &mut Observed) {
    let elsewhere = Some(Zone::new("zone-b"));
    let first = MemberId(1);
    if let Some(volume) = seen.volumes.get_mut(&first) {
        volume.zone.clone_from(&elsewhere);
    }
    let members = seen.members.values_mut();
    for report in members.filter_map(|member| member.report.as_mut()) {
        if let Some(seat) = report.membership.seats.get_mut(&first) {
            seat.zone.clone_from(&elsewhere);
        }
    }
}
