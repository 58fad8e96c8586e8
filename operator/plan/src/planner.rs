//! The decision: from what is seen and what is asked to the next steps. Pure.
//!
//! The rules are tried in order of priority and the first that applies decides:
//! identity conflict, deletion, pause, a name that is taken, birth, life. Nothing is remembered between
//! two calls: every step is derived from what is seen, so a crash between any two steps converges.
//!
//! Birth runs Reserve -> Create -> Initialize -> Confirm with three latches (status, record object, volume
//! annotations). The rule that keeps it safe: `Initialize` is only planned while no latch says that the
//! cluster was alive and every member answers that its store is empty and the very one that was recorded.

mod birth;
mod conflict;
mod reserve;
mod trouble;

use crate::observed::{Observed, Reservation, Stage, UnixSeconds};
use crate::spec::Spec;
use crate::steps::{Blocked, Phase, Plan, Recheck, Step};

/// Decides what to do next.
#[must_use]
pub fn plan(observed: &Observed, spec: &Spec, now: UnixSeconds) -> Plan {
    if let Some(conflict) = conflict::identity_conflict(observed) {
        return stopped(Phase::Frozen, None, Some(conflict));
    }
    let known = reserve::reservation(observed, spec);
    if observed.deleting {
        return stopped(Phase::Deleting, known, None);
    }
    if spec.paused {
        return stopped(Phase::Paused, known, None);
    }
    if !observed.foreign.is_empty() {
        return stopped(Phase::Blocked, known, Some(trouble::name_taken(observed)));
    }
    let reservation = match known {
        Some(reservation) => reservation,
        None => match reserve::reserve(observed, spec) {
            Ok(reservation) => reservation,
            Err(reason) => return stopped(Phase::Blocked, None, Some(reason)),
        },
    };
    if reservation.size != spec.size {
        let reason = trouble::size_mismatch(&reservation, spec);
        return stopped(Phase::Blocked, Some(reservation), Some(reason));
    }
    live(observed, spec, reservation, now)
}

/// Birth and life of a cluster whose identity is known.
fn live(observed: &Observed, spec: &Spec, reservation: Reservation, now: UnixSeconds) -> Plan {
    let stage = stage(observed);
    let (mut steps, mut reasons) = objects(observed, spec, &reservation, stage);
    let mut waiting = Vec::new();
    if stage == Stage::Bootstrapped {
        reasons.extend(trouble::data_lost(observed, &reservation));
        steps.extend(birth::finish_latches(observed, &reservation));
    } else {
        match birth::initialize(observed, &reservation, stage) {
            Ok(last) => steps.extend(last),
            Err(missing) => waiting = missing,
        }
        reasons.extend(trouble::not_starting(observed, &waiting, now));
    }
    reasons.extend(trouble::unschedulable(observed, now));
    let phase = match stage {
        Stage::Bootstrapped => Phase::Running,
        Stage::Reserved | Stage::Initializing => Phase::Bootstrapping,
    };
    Plan {
        recheck: match phase {
            Phase::Bootstrapping if reasons.is_empty() => Recheck::Soon,
            Phase::Running if reasons.is_empty() && all_live(observed, &reservation) => {
                Recheck::Calm
            }
            _ => Recheck::Watchful,
        },
        phase,
        reservation: Some(reservation),
        steps,
        blocked: reasons,
        waiting,
    }
}

/// The objects of a cluster: what is missing is created, what is there is kept as it should be.
fn objects(
    observed: &Observed,
    spec: &Spec,
    reservation: &Reservation,
    stage: Stage,
) -> (Vec<Step>, Vec<Blocked>) {
    let mut steps = Vec::new();
    if observed.record.is_none() || observed.status.cluster_id.is_none() {
        steps.push(Step::Reserve {
            reservation: reservation.clone(),
            stage,
        });
    }
    steps.push(Step::SyncServices);
    let mut members = Vec::new();
    let mut reasons = Vec::new();
    for member in reservation.members() {
        match observed.volumes.get(&member.id) {
            None if stage == Stage::Reserved => match reserve::storage_class(observed, spec) {
                Ok(()) => {
                    steps.push(Step::CreateVolume(member.clone()));
                    members.push(Step::ApplyMember(member));
                }
                Err(reason) => reasons.push(reason),
            },
            // Never a fresh disk under an ID that may have voted.
            None => reasons.push(trouble::volume_lost(member.id, "is gone")),
            Some(volume) => {
                if volume.terminating && stage != Stage::Reserved {
                    reasons.push(trouble::volume_lost(member.id, "is being deleted"));
                }
                members.push(Step::ApplyMember(member));
            }
        }
    }
    steps.extend(members);
    reasons.dedup();
    (steps, reasons)
}

/// The furthest stage that any record shows.
fn stage(observed: &Observed) -> Stage {
    let status = observed.status.bootstrapped.then_some(Stage::Bootstrapped);
    let record = observed.record.as_ref().map(|record| record.stage);
    let volumes = observed.volumes.values().map(|volume| volume.stage);
    volumes
        .chain(status)
        .chain(record)
        .max()
        .unwrap_or(Stage::Reserved)
}

fn all_live(observed: &Observed, reservation: &Reservation) -> bool {
    reservation.size.first_ids().all(|id| {
        observed.members.get(&id).is_some_and(|member| {
            let ready = member.report.as_ref().is_some_and(|report| report.ready);
            ready && member.pod.as_ref().is_some_and(|pod| pod.ready)
        })
    })
}

fn stopped(phase: Phase, reservation: Option<Reservation>, reason: Option<Blocked>) -> Plan {
    Plan {
        phase,
        reservation,
        steps: Vec::new(),
        blocked: reason.into_iter().collect(),
        waiting: Vec::new(),
        recheck: Recheck::Watchful,
    }
}

#[cfg(test)]
mod tests;
