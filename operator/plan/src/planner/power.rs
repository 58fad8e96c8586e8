//! Which members have a pod: all of them, but those of a cluster that sleeps and those that are fenced.

use super::roster::{Roster, Standing};
use crate::MemberId;
use crate::operation::{Gate, Gated, Operation, OperationKind};
use crate::spec::Spec;
use crate::steps::{Plan, Step};

/// Members whose pods go now, each behind its gate.
pub(super) fn stopping(roster: &Roster<'_>, spec: &Spec, plan: &mut Plan) -> Vec<MemberId> {
    let awake = kept(roster).filter(|id| sleeps(spec, *id) && !roster.stopped(*id));
    let awake: Vec<MemberId> = awake.collect();
    let Some(first) = awake.first().copied() else {
        return awake;
    };
    let leader = roster.authority.map(|authority| authority.leader);
    if spec.hibernated {
        plan.operation = Some(Operation::of(OperationKind::Hibernate, first, None));
        let followers = awake.iter().copied().filter(|id| Some(*id) != leader);
        let followers: Vec<MemberId> = followers.collect();
        // Followers first: no election is worth holding.
        return if followers.is_empty() {
            awake
        } else {
            followers
        };
    }
    if roster.authority.is_some_and(|is| is.membership.joint) {
        let gate = Gated::new(Gate::Uniform, "a membership change is half done");
        plan.operation = Some(Operation::of(OperationKind::Fence, first, Some(gate)));
        return Vec::new();
    }
    let voters: Vec<MemberId> = roster.with_standing(Standing::Voter).collect();
    let no_vote = roster.authority.is_some() && !voters.contains(&first);
    if no_vote || (!voters.is_empty() && roster.quorum_without(&voters, Some(first))) {
        return vec![first];
    }
    let message = format!("without {first}, too few voters would be up to date");
    let gate = Gated::new(Gate::Quorum, message);
    plan.operation = Some(Operation::of(OperationKind::Fence, first, Some(gate)));
    Vec::new()
}

/// Every member's StatefulSet as it should be.
pub(super) fn steps(roster: &Roster<'_>, spec: &Spec, stopping: &[MemberId]) -> Vec<Step> {
    kept(roster)
        .map(|id| Step::ApplyMember {
            member: roster.assigned(id),
            running: !sleeps(spec, id) || !(roster.stopped(id) || stopping.contains(&id)),
        })
        .collect()
}

/// Members with a volume that are not on their way out.
fn kept<'a, 'o>(roster: &'a Roster<'o>) -> impl Iterator<Item = MemberId> + use<'a, 'o> {
    roster.ids().into_iter().filter(|id| {
        let out = roster.standing(*id) == Standing::Removed || roster.retired(*id);
        !out && roster.volume(*id).is_some()
    })
}

fn sleeps(spec: &Spec, id: MemberId) -> bool {
    spec.hibernated || spec.fenced.contains(&id)
}
