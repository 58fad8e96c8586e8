//! A cluster that lives: what is decided at each look, most urgent first.
//!
//! Objects that are missing come back, whatever else is wrong. Then one thing at a time: members that were
//! removed are retired; a lost member is replaced, or the members become those that are asked for; pods get
//! their newest template; the leader goes where it is wanted. While quorum is lost only the first of these
//! is done, and broken pods get their newest template.

use super::change;
use super::loss;
use super::retire;
use super::rollout;
use super::roster::Roster;
use super::{birth, power, trouble};
use crate::MemberId;
use crate::assess::Assessment;
use crate::observed::{Loss, Observed, Reservation, UnixSeconds};
use crate::operation::{Gate, Gated, Operation, OperationKind};
use crate::spec::Spec;
use crate::steps::{Phase, Plan, Recheck, Step};

/// Decides for a cluster that was born.
pub(super) fn decide(
    observed: &Observed,
    spec: &Spec,
    reservation: Reservation,
    mut steps: Vec<Step>,
    now: UnixSeconds,
) -> Plan {
    let roster = Roster::of(observed);
    let losses = loss::judge(&roster, spec, now);
    let assessment = Assessment::of(observed, &reservation);
    let voters = assessment.tolerance.voters;
    steps.push(Step::SyncServices {
        at_least: super::pods_to_keep(assessment.members.len(), voters),
    });
    let mut plan = Plan {
        phase: Phase::Running,
        reservation: Some(reservation.clone()),
        steps,
        blocked: losses.blocked.clone(),
        waiting: losses
            .gated
            .iter()
            .map(|(_, gated)| gated.message.clone())
            .collect(),
        operation: None,
        suspicions: losses.suspicions.clone(),
        recheck: Recheck::Calm,
    };
    let stopping = power::stopping(&roster, spec, &mut plan);
    plan.steps.extend(power::steps(&roster, spec, &stopping));
    plan.steps.extend(birth::finish_latches(observed, &roster));
    plan.blocked.extend(trouble::data_lost(&roster));
    plan.blocked.extend(trouble::unschedulable(observed, now));
    if spec.hibernated {
        plan.phase = Phase::Hibernated;
        plan.recheck = if stopping.is_empty() {
            Recheck::Calm
        } else {
            Recheck::Watchful
        };
        return plan;
    }
    if let Some(outage) = trouble::quorum_lost(&roster, &assessment, now) {
        plan.phase = Phase::QuorumLost;
        if outage.comes_up {
            plan.waiting.push(outage.reason.message);
        } else {
            plan.blocked.insert(0, outage.reason);
        }
        plan.steps.extend(mend(&roster, spec));
    } else if let Some(first) = stopping.first() {
        // A pod goes by this very plan: whatever else takes one away waits for the next look.
        plan.operation = Some(Operation::of(OperationKind::Fence, *first, None));
    } else {
        one_thing(&roster, spec, &reservation, &losses, &mut plan, now);
    }
    let unsettled = |id: &MemberId| roster.member(*id)?.set.filter(|set| set.unsettled);
    if let Some(id) = roster.ids().iter().find(|id| unsettled(id).is_some()) {
        let message = format!("{id}: Kubernetes has not looked at its newest template yet");
        plan.waiting.push(message);
    }
    plan.recheck = pace(&plan, &assessment);
    plan
}

/// The one thing that is done now, if anything is to be done.
fn one_thing(
    roster: &Roster<'_>,
    spec: &Spec,
    reservation: &Reservation,
    losses: &loss::Losses,
    plan: &mut Plan,
    now: UnixSeconds,
) {
    let change = change::decide(roster, spec, reservation, losses, now);
    plan.steps
        .extend(retire::steps(roster, &change.unwanted, spec, now));
    plan.blocked.extend(change.blocked);
    if change.operation.is_some() {
        plan.steps.extend(change.steps);
        plan.operation = change.operation;
        // Broken pods are mended beside it: they may be what it waits for.
        if plan
            .operation
            .as_ref()
            .is_some_and(|operation| operation.gate.is_some())
        {
            plan.steps.extend(mend(roster, spec));
        }
        return;
    }
    let rollout = rollout::decide(roster, spec, losses, now);
    plan.blocked.extend(rollout.blocked);
    if rollout.operation.is_some() {
        plan.steps.extend(rollout.steps);
        plan.operation = rollout.operation;
        return;
    }
    if let Some((step, operation)) = leader_home(roster, spec) {
        plan.steps.push(step);
        plan.operation = Some(operation);
        return;
    }
    // A member that nobody hears of for a moment restarts, most likely: that is no operation.
    let grave = |(id, gated): &&(MemberId, Gated)| {
        let silent = losses.suspicions.get(id).map(|is| is.loss) == Some(Loss::Unreachable);
        !silent || gated.gate != Gate::TwoProofs
    };
    let awaited = losses
        .gated
        .iter()
        .find(grave)
        .map(|(id, gated)| Operation::of(OperationKind::Replace, *id, Some(gated.clone())));
    plan.operation = plan.operation.take().or(awaited);
}

/// Broken pods get their newest template.
fn mend(roster: &Roster<'_>, spec: &Spec) -> Vec<Step> {
    let broken = rollout::broken(roster, spec).into_iter();
    broken
        .map(|id| Step::Restart { id, evict: false })
        .collect()
}

/// Moves the leader to the best of the zones it is wanted in, while everyone is well.
fn leader_home(roster: &Roster<'_>, spec: &Spec) -> Option<(Step, Operation)> {
    let authority = roster.authority?;
    let voters: Vec<MemberId> = authority.membership.voters().collect();
    if authority.membership.joint || !voters.iter().all(|id| roster.serves(*id)) {
        return None;
    }
    let rank = |id: MemberId| spec.leader_rank(roster.zone(id).as_ref());
    let (best, to) = voters.iter().map(|id| (rank(*id), *id)).min()?;
    let step = Step::TransferLeader {
        via: authority.leader,
        to,
    };
    let operation = Operation::of(OperationKind::MoveLeader, to, None);
    (best < rank(authority.leader)).then_some((step, operation))
}

/// How soon to look again.
fn pace(plan: &Plan, assessment: &Assessment) -> Recheck {
    let gate = plan.operation.as_ref().map(|operation| &operation.gate);
    let slow = |gate: &Gated| {
        matches!(
            gate.gate,
            Gate::TwoProofs | Gate::ZoneDown | Gate::Budget | Gate::Approval
        )
    };
    match gate {
        // A pod that starts or a log that fills sends no event that we hear of.
        Some(None) => Recheck::Soon,
        Some(Some(gated)) if !slow(gated) && plan.blocked.is_empty() => Recheck::Soon,
        Some(Some(_)) => Recheck::Watchful,
        None if plan.blocked.is_empty() && plan.waiting.is_empty() && assessment.all_ready() => {
            Recheck::Calm
        }
        None => Recheck::Watchful,
    }
}
