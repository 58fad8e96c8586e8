//! Goal: a new template reaches one pod at a time, behind its gates, the leader last; a bad one stops after
//! the first. Method: one situation a test.

use super::*;
use crate::observed::Set;
use crate::spec::{Rollout, Spec};

/// Members whose pods go for good.
fn stopped(plan: &Plan) -> Vec<u64> {
    let stops = plan.steps.iter().filter_map(|step| match step {
        Step::ApplyMember {
            member,
            running: false,
        } => Some(member.id.0),
        _ => None,
    });
    stops.collect()
}

fn evict(id: u64) -> Vec<Step> {
    vec![Step::Restart {
        id: MemberId(id),
        evict: true,
    }]
}

fn old(members: i32, ids: &[u64]) -> Seen {
    let mut seen = Seen::running(members);
    for id in ids {
        seen.pod(*id).up_to_date = false;
    }
    seen
}

fn decide(seen: &Seen, spec: &Spec) -> Plan {
    plan(&seen.observed, spec, NOW)
}

#[test]
fn followers_go_zone_by_zone_and_the_leader_last() {
    let mut seen = old(5, &[1, 2, 3, 4, 5]);
    // Zones: a holds the leader m1 and m4, b holds m2 and m5, c holds m3.
    for id in [4, 2, 5, 3] {
        assert_eq!(acts(&decide(&seen, &spec(5))), evict(id));
        seen.pod(id).up_to_date = true;
    }
    let transfer = Step::TransferLeader {
        via: MemberId(1),
        to: MemberId(2),
    };
    assert_eq!(acts(&decide(&seen, &spec(5))), [transfer]);
    let mut preferred = spec(5);
    preferred.leader_zones = vec![Zone::new("zone-c")];
    let transfer = Step::TransferLeader {
        via: MemberId(1),
        to: MemberId(3),
    };
    assert_eq!(acts(&decide(&seen, &preferred)), [transfer]);
}

#[test]
fn the_next_waits_until_the_last_serves() {
    let mut seen = old(3, &[1, 3]);
    seen.pod(2).ready = false;
    let plan = decide(&seen, &spec(3));
    assert_eq!(
        (acts(&plan), gate(&plan)),
        (vec![], Some(Gate::MembersReady))
    );
    assert_eq!(plan.blocked, []);
    seen.pod(2).created = Some(UnixSeconds(
        NOW.0 - crate::limits::ROLLOUT_DEADLINE_SECONDS - 1,
    ));
    assert_eq!(
        reason(&decide(&seen, &spec(3))),
        BlockedReason::RolloutStuck
    );
}

#[test]
fn a_bad_version_stops_after_one_and_the_good_one_mends_it() {
    let mut seen = old(3, &[1, 3]);
    seen.dies(2);
    let pod = seen.pod(2);
    pod.created = Some(UnixSeconds(
        NOW.0 - crate::limits::ROLLOUT_PATIENCE_SECONDS - 1,
    ));
    pod.problem = Some(PodProblem {
        unschedulable_since: None,
        message: "container kvorum waits: CrashLoopBackOff".to_owned(),
    });
    let stuck = decide(&seen, &spec(3));
    assert_eq!(acts(&stuck), []);
    assert_eq!(
        stuck.blocked[0].message,
        "m2 does not become healthy on the newest template: container kvorum waits: CrashLoopBackOff; the other members keep theirs: correct the spec, or set it back to what it was"
    );
    // Set back: the others have the newest template again, and only the broken one does not.
    (seen.pod(1).up_to_date, seen.pod(3).up_to_date) = (true, true);
    seen.pod(2).up_to_date = false;
    let mended = vec![Step::Restart {
        id: MemberId(2),
        evict: false,
    }];
    assert_eq!(acts(&decide(&seen, &spec(3))), mended);
}

#[test]
fn a_healthy_one_stays_while_another_is_down() {
    let mut seen = old(3, &[1, 2]);
    seen.dies(3);
    let plan = decide(&seen, &spec(3));
    assert_eq!(
        (acts(&plan), gate(&plan)),
        (vec![], Some(Gate::MembersReady))
    );
    seen.observed.members.remove(&MemberId(3));
    let plan = decide(&seen, &spec(3));
    assert_eq!(
        (acts(&plan), gate(&plan)),
        (vec![], Some(Gate::MembersReady))
    );
    seen.suspected(3, crate::observed::Loss::Unreachable, 200);
    let plan = decide(&seen, &spec(3));
    assert_eq!((acts(&plan), gate(&plan)), (vec![], Some(Gate::Quorum)));
}

#[test]
fn broken_pods_are_mended_even_without_quorum() {
    let mut seen = old(3, &[1, 2, 3]);
    for id in [1, 2] {
        seen.dies(id + 1);
    }
    seen.observed
        .members
        .get_mut(&MemberId(1))
        .unwrap()
        .report
        .as_mut()
        .unwrap()
        .confirmed = false;
    let plan = decide(&seen, &spec(3));
    let delete = |id| Step::Restart {
        id: MemberId(id),
        evict: false,
    };
    assert_eq!(
        (plan.phase, acts(&plan)),
        (Phase::QuorumLost, vec![delete(2), delete(3)])
    );
}

#[test]
fn strategies_leave_pods_to_people() {
    let mut on_demand = spec(3);
    on_demand.rollout = Rollout::OnDemand;
    let seen = old(3, &[1, 2, 3]);
    assert_eq!(acts(&decide(&seen, &on_demand)), []);
    let mut pause = spec(3);
    pause.rollout = Rollout::PauseBeforeLeader;
    assert_eq!(acts(&decide(&seen, &pause)), evict(2));
    let plan = decide(&old(3, &[1]), &pause);
    assert_eq!((acts(&plan), gate(&plan)), (vec![], Some(Gate::Approval)));
}

#[test]
fn a_single_member_restarts_with_a_break() {
    assert_eq!(acts(&decide(&old(1, &[1]), &spec(1))), evict(1));
}

#[test]
fn members_come_before_templates() {
    let seen = old(3, &[1, 2, 3]);
    let plan = decide(&seen, &spec(5));
    assert_eq!(plan.operation.unwrap().kind, OperationKind::Scale);
}

#[test]
fn the_leader_goes_home_while_all_is_well() {
    let mut seen = Seen::running(3);
    let mut home = spec(3);
    home.leader_zones = vec![Zone::new("zone-x"), Zone::new("zone-b")];
    let transfer = Step::TransferLeader {
        via: MemberId(1),
        to: MemberId(2),
    };
    assert_eq!(acts(&decide(&seen, &home)), [transfer]);
    seen.pod(3).ready = false;
    assert_eq!(acts(&decide(&seen, &home)), []);
}

#[test]
fn hibernation_stops_followers_first_and_a_fence_needs_a_quorum() {
    let seen = Seen::running(3);
    let mut asleep = spec(3);
    asleep.hibernated = true;
    let plan = decide(&seen, &asleep);
    assert_eq!(
        (plan.phase, stopped(&plan)),
        (Phase::Hibernated, vec![2, 3])
    );
    let mut fenced = spec(3);
    fenced.fenced = vec![MemberId(2), MemberId(3)];
    assert_eq!(stopped(&decide(&seen, &fenced)), [2]);
    let mut one_down = Seen::running(3);
    one_down.answers(3, Life::Leader);
    one_down.answers(1, Life::Follower);
    one_down.dies(1);
    let plan = decide(&one_down, &fenced);
    assert_eq!((stopped(&plan), gate(&plan)), (vec![], Some(Gate::Quorum)));
}

#[test]
fn nothing_else_is_stopped_while_a_fenced_pod_goes() {
    let mut seen = Seen::running(3);
    (1..=3).for_each(|id| seen.pod(id).up_to_date = false);
    let mut fenced = spec(3);
    fenced.fenced = vec![MemberId(2)];
    let first = decide(&seen, &fenced);
    assert_eq!(stopped(&first), [2]);
    assert!(
        !names(&first).iter().any(|step| step.starts_with("restart")),
        "{first:?}"
    );
    // Its pod still answers, and counts for nobody's quorum.
    let member = seen.observed.members.get_mut(&MemberId(2)).unwrap();
    member.set = Some(Set::default());
    let next = decide(&seen, &fenced);
    assert_eq!(gate(&next), Some(Gate::Quorum));
    assert!(
        !names(&next).iter().any(|step| step.starts_with("restart")),
        "{next:?}"
    );
    fenced.fenced.push(MemberId(3));
    assert_eq!(stopped(&decide(&seen, &fenced)), [2], "3 stays");
}

#[test]
fn nobody_is_fenced_half_way_between_two_sets_of_voters() {
    let mut seen = Seen::running(5);
    seen.membership().joint = true;
    let mut fenced = spec(5);
    fenced.fenced = vec![MemberId(1)];
    let plan = decide(&seen, &fenced);
    assert_eq!((stopped(&plan), gate(&plan)), (vec![], Some(Gate::Uniform)));
}
