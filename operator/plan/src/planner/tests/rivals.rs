//! Goal: the defects D1 to D18 that other operators had are none of ours. Method: each situation by its
//! number. D9 stands with the rules, D4 with the status, D3, D15 and D17 with the builders.

use super::*;
use crate::observed::Loss;
use crate::placement::{Holder, target};

fn restarts(plan: &Plan) -> Vec<&Step> {
    let restart = |step: &&Step| matches!(step, Step::Restart { .. });
    plan.steps.iter().filter(restart).collect()
}

fn enlists(plan: &Plan) -> usize {
    let enlist = |step: &&Step| matches!(step, Step::Enlist { .. });
    plan.steps.iter().filter(enlist).count()
}

fn applied(plan: &Plan) -> Vec<String> {
    let names = names(plan).into_iter();
    names.filter(|name| name.starts_with("member-")).collect()
}

#[test]
fn d1_templates_are_applied_at_every_look_not_only_when_the_size_changes() {
    let plan = plan(&Seen::running(3).observed, &spec(3), NOW);
    assert_eq!(applied(&plan), ["member-m1", "member-m2", "member-m3"]);
}

#[test]
fn d2_one_unhealthy_member_stops_nothing() {
    let mut seen = Seen::running(3);
    seen.dies(3);
    seen.pod(3).up_to_date = false;
    let plan = plan(&seen.observed, &spec(3), NOW);
    assert_eq!(applied(&plan).len(), 3);
    assert_eq!(
        restarts(&plan).len(),
        1,
        "the broken one gets the new template"
    );
}

#[test]
fn d5_the_victim_is_chosen_by_number_and_the_leader_hands_over() {
    let holder = |id, leads| Holder {
        member: Assigned {
            id: MemberId(id),
            zone: Some(Zone::new("zone-a")),
        },
        must_leave: false,
        healthy: true,
        leads,
    };
    let zones = [Zone::new("zone-a")];
    let next = target(
        &[holder(2, false), holder(9, false), holder(10, false)],
        1,
        &zones,
        false,
    );
    assert_eq!(next.keep, [MemberId(2)].into(), "10 before 9 before 2");
    let next = target(
        &[holder(2, false), holder(9, false), holder(10, true)],
        1,
        &zones,
        false,
    );
    assert_eq!(
        next.keep,
        [MemberId(10)].into(),
        "the leader stays if it may"
    );
}

#[test]
fn d6_nothing_is_waited_for_inside_a_look() {
    let mut seen = Seen::running(3);
    seen.joins(4, "zone-a");
    seen.observed.members.get_mut(&MemberId(4)).unwrap().report = None;
    seen.joins(5, "zone-b");
    seen.observed.members.get_mut(&MemberId(5)).unwrap().report = None;
    let plan = plan(&seen.observed, &spec(5), NOW);
    assert_eq!(gate(&plan), Some(Gate::MemberUp));
    assert_eq!(
        plan.recheck,
        Recheck::Soon,
        "another look, not a longer one"
    );
}

#[test]
fn d7_a_single_member_on_an_empty_disk_is_not_initialized_again() {
    let mut seen = Seen::running(1);
    seen.answers(1, Life::Waiting);
    seen.wipe(1);
    let plan = plan(&seen.observed, &spec(1), NOW);
    assert!(!names(&plan).contains(&"initialize".to_owned()));
    let reasons: Vec<_> = plan.blocked.iter().map(|blocked| blocked.reason).collect();
    assert!(reasons.contains(&BlockedReason::DataLost), "{reasons:?}");
}

#[test]
fn d8_a_pod_that_is_away_for_a_moment_shrinks_nothing() {
    let mut seen = Seen::running(3);
    seen.dies(3);
    seen.observed.members.get_mut(&MemberId(3)).unwrap().pod = None;
    let plan = plan(&seen.observed, &spec(3), NOW);
    assert_eq!(
        names(&plan),
        ["services", "member-m1", "member-m2", "member-m3"]
    );
}

#[test]
fn d10_members_join_without_a_vote_and_a_lost_quorum_is_not_the_end() {
    let mut seen = Seen::running(1);
    seen.joins(2, "zone-b");
    seen.joins(3, "zone-c");
    let growing = plan(&seen.observed, &spec(3), NOW);
    assert_eq!(names(&growing).last().unwrap(), "add-m2");
    let mut lost = Seen::running(3);
    let healthy = lost.observed.members.clone();
    lost.observed.members.clear();
    assert_eq!(plan(&lost.observed, &spec(3), NOW).phase, Phase::QuorumLost);
    lost.observed.members = healthy;
    let back = plan(&lost.observed, &spec(3), NOW);
    assert_eq!((back.phase, back.blocked), (Phase::Running, vec![]));
}

#[test]
fn d11_no_member_is_stopped_without_a_quorum_of_the_rest() {
    let mut seen = Seen::running(3);
    (1..=3).for_each(|id| seen.pod(id).up_to_date = false);
    let seat = seen.membership().seats.get_mut(&MemberId(3)).unwrap();
    seat.lag = Some(crate::limits::LAG_ENTRIES_MAX + 1);
    let plan = plan(&seen.observed, &spec(3), NOW);
    assert_eq!(restarts(&plan), Vec::<&Step>::new());
    let gate = plan.operation.unwrap().gate.unwrap();
    assert_eq!(gate.gate, Gate::Quorum);
}

#[test]
fn d12_failover_has_a_limit() {
    let mut seen = Seen::running(3);
    seen.observed.volumes.remove(&MemberId(3));
    seen.suspected(3, Loss::VolumeGone, 60);
    seen.observed.status.replacements = vec![NOW; 3];
    assert_eq!(enlists(&plan(&seen.observed, &spec(3), NOW)), 0);
}

#[test]
fn d13_a_deleted_volume_is_replaced_under_a_new_id() {
    let mut seen = Seen::running(3);
    seen.observed.volumes.remove(&MemberId(3));
    seen.suspected(3, Loss::VolumeGone, 60);
    let plan = plan(&seen.observed, &spec(3), NOW);
    assert_eq!(enlists(&plan), 1);
    assert!(
        !names(&plan).contains(&"volume-m3".to_owned()),
        "never under the old one"
    );
}

#[test]
fn d14_an_old_volume_that_terminates_is_not_waited_for() {
    let mut seen = Seen::running(3);
    seen.observed
        .volumes
        .get_mut(&MemberId(3))
        .unwrap()
        .terminating = true;
    seen.suspected(3, Loss::VolumeGoing, 60);
    let plan = plan(&seen.observed, &spec(3), NOW);
    assert_eq!(enlists(&plan), 1);
    assert_eq!(plan.operation.unwrap().kind, OperationKind::Replace);
}

#[test]
fn d16_a_pod_stuck_on_a_dead_node_is_left_alone_and_replaced() {
    let mut seen = Seen::running(3);
    seen.dies(3);
    (seen.pod(3).terminating, seen.pod(3).up_to_date) = (true, false);
    seen.suspected(3, Loss::Unreachable, 1800);
    let plan = plan(&seen.observed, &spec(3), NOW);
    assert_eq!(
        enlists(&plan),
        1,
        "the new member needs nothing of the old one"
    );
    assert_eq!(
        restarts(&plan),
        Vec::<&Step>::new(),
        "and nothing is forced"
    );
}

#[test]
fn d18_a_cluster_shrinks() {
    let plan = plan(&Seen::running(5).observed, &spec(3), NOW);
    assert_eq!(names(&plan).last().unwrap(), "voters");
}
