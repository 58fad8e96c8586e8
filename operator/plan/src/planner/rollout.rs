//! Giving pods their newest template: the broken first, then followers zone by zone, the leader last and
//! only after it has handed over. One at a time, and none after one that did not come up.

use super::loss::Losses;
use super::roster::{Roster, Standing};
use crate::MemberId;
use crate::limits::{ROLLOUT_DEADLINE_SECONDS, ROLLOUT_PATIENCE_SECONDS};
use crate::observed::{Pod, UnixSeconds};
use crate::operation::{Gate, Gated, Operation, OperationKind};
use crate::spec::{Rollout, Spec};
use crate::steps::{Blocked, BlockedReason, Step};

/// What a rollout comes to in this look.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) steps: Vec<Step>,
    pub(super) operation: Option<Operation>,
    pub(super) blocked: Vec<Blocked>,
}

impl Progress {
    fn of(member: MemberId) -> Self {
        Self {
            operation: Some(Operation::of(OperationKind::Rollout, member, None)),
            ..Self::default()
        }
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    fn gate(mut self, gate: Gate, message: impl Into<String>) -> Self {
        if let Some(operation) = &mut self.operation {
            operation.gate = Some(Gated::new(gate, message));
        }
        self
    }

    fn stop(mut self, reason: BlockedReason, message: String) -> Self {
        self.blocked.push(Blocked::new(reason, message));
        self
    }
}

/// The next pod to be made anew, or what that waits for.
pub(super) fn decide(
    roster: &Roster<'_>,
    spec: &Spec,
    losses: &Losses,
    now: UnixSeconds,
) -> Progress {
    let mut order: Vec<(MemberId, &Pod)> = in_service(roster)
        .filter_map(|id| Some((id, roster.pod(id)?)))
        .filter(|(id, _)| !roster.leaving(*id))
        .collect();
    let Some((first, _)) = order.iter().find(|(_, pod)| !pod.up_to_date).copied() else {
        return Progress::default();
    };
    if spec.rollout == Rollout::OnDemand {
        return Progress::default();
    }
    if let Some(id) = broken(roster, spec).first() {
        return Progress::of(*id).step(Step::Restart {
            id: *id,
            evict: false,
        });
    }
    // One that fails on the new template is the last: the rest keep what they have.
    let failing = order
        .iter()
        .find(|(id, pod)| pod.up_to_date && !roster.serves(*id));
    if let Some((id, pod)) = failing {
        return not_yet(*id, pod, first, now);
    }
    if let Some(id) = between_pods(roster, spec, losses, now) {
        let message = format!("{id} has no pod at the moment");
        return Progress::of(first).gate(Gate::MembersReady, message);
    }
    order.retain(|(_, pod)| !pod.up_to_date);
    order.sort_by_key(|(id, _)| rank(roster, *id));
    match order.first() {
        Some((id, pod)) => healthy_one(roster, spec, *id, pod.ready),
        None => Progress::default(),
    }
}

/// Pods of an older template that do not work: they take no votes along, and the new template may be what
/// mends them.
pub(super) fn broken(roster: &Roster<'_>, spec: &Spec) -> Vec<MemberId> {
    if spec.rollout == Rollout::OnDemand {
        return Vec::new();
    }
    let is_broken = |id: &MemberId| {
        let answers = roster.report(*id).is_some();
        roster.pod(*id).is_some_and(|pod| {
            let works = pod.ready || (pod.problem.is_none() && answers);
            !pod.up_to_date && !pod.terminating && !works
        })
    };
    in_service(roster).filter(is_broken).collect()
}

/// Voters and learners, and where nobody leads everyone with a volume that was not retired.
fn in_service<'a, 'o>(roster: &'a Roster<'o>) -> impl Iterator<Item = MemberId> + use<'a, 'o> {
    roster.ids().into_iter().filter(|id| {
        !roster.retired(*id)
            && matches!(
                roster.standing(*id),
                Standing::Voter | Standing::Learner | Standing::Unknown
            )
    })
}

/// A member that lost its pod a moment ago: by us, or by a drain. One that stays without is another matter.
fn between_pods(
    roster: &Roster<'_>,
    spec: &Spec,
    losses: &Losses,
    now: UnixSeconds,
) -> Option<MemberId> {
    in_service(roster).find(|id| {
        let away = roster.pod(*id).is_none_or(|pod| pod.terminating);
        let since = losses.suspicions.get(id).map_or(now, |is| is.since);
        away && !spec.fenced.contains(id) && now.0 - since.0 <= ROLLOUT_DEADLINE_SECONDS
    })
}

/// Learners, followers zone by zone, the leader.
fn rank(roster: &Roster<'_>, id: MemberId) -> (u8, Option<crate::Zone>, MemberId) {
    let leads = roster.authority.is_some_and(|is| is.leader == id);
    let class = match roster.standing(id) {
        _ if leads => 2,
        Standing::Learner => 0,
        _ => 1,
    };
    (class, roster.zone(id), id)
}

/// A member of the newest template does not serve: wait for it, and then stop.
fn not_yet(id: MemberId, pod: &Pod, next: MemberId, now: UnixSeconds) -> Progress {
    let problem = pod.problem.as_ref().map(|problem| &problem.message);
    let age = pod.created.map_or(0, |created| now.0 - created.0);
    let patience = if problem.is_some() {
        ROLLOUT_PATIENCE_SECONDS
    } else {
        ROLLOUT_DEADLINE_SECONDS
    };
    let words = problem.map_or("it is not ready yet", String::as_str);
    let progress = Progress::of(next).gate(Gate::MembersReady, format!("{id}: {words}"));
    if age <= patience {
        return progress;
    }
    progress.stop(
            BlockedReason::RolloutStuck,
            format!(
                "{id} does not become healthy on the newest template: {words}; the other members keep theirs: correct the spec, or set it back to what it was"
            ),
        )
}

/// A member that serves gives way only if the rest are a quorum without it.
fn healthy_one(roster: &Roster<'_>, spec: &Spec, id: MemberId, ready: bool) -> Progress {
    let progress = Progress::of(id);
    let Some(authority) = roster.authority else {
        return progress.gate(Gate::Quorum, "no leader was confirmed by a quorum just now");
    };
    if authority.membership.joint {
        return progress.gate(Gate::Uniform, "a membership change is half done");
    }
    let restart = Step::Restart { id, evict: ready };
    let voters: Vec<MemberId> = authority.membership.voters().collect();
    if !voters.contains(&id) {
        return progress.step(restart);
    }
    // A single member is restarted with a short break: there is no other way.
    if voters.len() > 1 && !roster.quorum_without(&voters, Some(id)) {
        let message = format!("without {id}, too few voters would be up to date");
        return progress.gate(Gate::Quorum, message);
    }
    if authority.leader != id || voters.len() == 1 {
        return progress.step(restart);
    }
    if spec.rollout == Rollout::PauseBeforeLeader {
        let message = format!(
            "only the leader {id} is left: set spec.updates.strategy to Automatic, or delete its pod"
        );
        return progress.gate(Gate::Approval, message);
    }
    let preferred = |id: &MemberId| spec.leader_rank(roster.zone(*id).as_ref());
    let heirs = voters.iter().filter(|heir| **heir != id);
    let heirs = heirs.filter(|heir| roster.serves(**heir));
    match heirs.min_by_key(|heir| (preferred(heir), **heir)) {
        Some(to) => progress.step(Step::TransferLeader { via: id, to: *to }),
        None => progress.gate(Gate::Quorum, "nobody is up to date enough to lead"),
    }
}
