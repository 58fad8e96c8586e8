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
mod change;
mod conflict;
mod joiners;
mod life;
mod loss;
mod power;
mod reserve;
mod retire;
mod rollout;
mod roster;
mod trouble;

use std::collections::BTreeMap;

use crate::observed::{Observed, Reservation, Stage, UnixSeconds};
use crate::quorum::quorum;
use crate::spec::Spec;
use crate::steps::{Blocked, Phase, Plan, Recheck, Step};

/// Decides what to do next.
#[must_use]
pub fn plan(observed: &Observed, spec: &Spec, now: UnixSeconds) -> Plan {
    if let Some(conflict) = conflict::identity_conflict(observed) {
        return stopped(observed, Phase::Frozen, None, Some(conflict));
    }
    let known = reserve::reservation(observed, spec);
    if observed.deleting {
        return stopped(observed, Phase::Deleting, known, None);
    }
    if spec.paused {
        return stopped(observed, Phase::Paused, known, None);
    }
    if !observed.foreign.is_empty() {
        return stopped(
            observed,
            Phase::Blocked,
            known,
            Some(trouble::name_taken(observed)),
        );
    }
    let reservation = match known {
        Some(reservation) => reservation,
        None => match reserve::reserve(observed, spec) {
            Ok(reservation) => reservation,
            Err(reason) => return stopped(observed, Phase::Blocked, None, Some(reason)),
        },
    };
    let stage = stage(observed);
    let mut steps = Vec::new();
    if observed.record.is_none() || observed.status.cluster_id.is_none() {
        steps.push(Step::Reserve {
            reservation: reservation.clone(),
            stage,
        });
    }
    match stage {
        Stage::Bootstrapped => life::decide(observed, spec, reservation, steps, now),
        Stage::Reserved | Stage::Initializing => {
            being_born(observed, spec, reservation, stage, steps, now)
        }
    }
}

/// Birth: the members that were reserved, whatever the spec says meanwhile.
fn being_born(
    observed: &Observed,
    spec: &Spec,
    reservation: Reservation,
    stage: Stage,
    mut steps: Vec<Step>,
    now: UnixSeconds,
) -> Plan {
    let (objects, mut reasons) = objects(observed, spec, &reservation, stage);
    steps.extend(objects);
    let mut waiting = Vec::new();
    match birth::initialize(observed, &reservation, stage) {
        Ok(last) => steps.extend(last),
        Err(missing) => waiting = missing,
    }
    reasons.extend(trouble::not_starting(observed, &waiting, now));
    reasons.extend(trouble::unschedulable(observed, now));
    Plan {
        recheck: if reasons.is_empty() {
            Recheck::Soon
        } else {
            Recheck::Watchful
        },
        phase: Phase::Bootstrapping,
        reservation: Some(reservation),
        steps,
        blocked: reasons,
        waiting,
        operation: None,
        suspicions: BTreeMap::new(),
    }
}

/// The objects of a newborn cluster: what is missing is created, what is there is kept as it should be.
fn objects(
    observed: &Observed,
    spec: &Spec,
    reservation: &Reservation,
    stage: Stage,
) -> (Vec<Step>, Vec<Blocked>) {
    let members = reservation.size.members();
    let mut steps = vec![Step::SyncServices {
        at_least: pods_to_keep(members, members),
    }];
    let mut members = Vec::new();
    let mut reasons = Vec::new();
    let apply = |member| Step::ApplyMember {
        member,
        running: true,
    };
    for member in reservation.members() {
        match observed.volumes.get(&member.id) {
            None if stage == Stage::Reserved => match reserve::storage_class(observed, spec) {
                Ok(()) => {
                    steps.push(Step::CreateVolume(member.clone()));
                    members.push(apply(member));
                }
                Err(reason) => reasons.push(reason),
            },
            // Never a fresh disk under an ID that may have voted.
            None => reasons.push(trouble::volume_lost(member.id, "is gone")),
            Some(volume) => {
                if volume.terminating && stage != Stage::Reserved {
                    reasons.push(trouble::volume_lost(member.id, "is being deleted"));
                }
                members.push(apply(member));
            }
        }
    }
    steps.extend(members);
    reasons.dedup();
    (steps, reasons)
}

/// How many of `pods` must stay available so that a quorum of `voters` does, whichever go; none for a
/// single member, whose every drain would hang.
fn pods_to_keep(pods: usize, voters: usize) -> Option<usize> {
    let spare = voters.saturating_sub(quorum(voters));
    (pods > 1).then(|| pods.saturating_sub(spare))
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

fn stopped(
    observed: &Observed,
    phase: Phase,
    reservation: Option<Reservation>,
    reason: Option<Blocked>,
) -> Plan {
    Plan {
        phase,
        reservation,
        steps: Vec::new(),
        blocked: reason.into_iter().collect(),
        waiting: Vec::new(),
        operation: None,
        suspicions: observed.status.suspicions.clone(),
        recheck: Recheck::Watchful,
    }
}

#[cfg(test)]
mod tests;
