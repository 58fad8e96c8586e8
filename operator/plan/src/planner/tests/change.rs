//! Goal: every move of members goes new learners, one change to the final odd set, retirement; each behind
//! its gate; and a new wish midway is honoured. Method: one situation a test, whole steps.

use super::*;
use crate::observed::{Seat, Set, Volume};
use crate::spec::{Rebalance, Spec};

/// The steps that move members, without records of what has become of them.
fn moves(plan: &Plan) -> Vec<Step> {
    let mut moves = acts(plan);
    moves.retain(|step| !matches!(step, Step::Latch { .. }));
    moves
}

fn decide(seen: &Seen, spec: &Spec) -> (Vec<Step>, Option<OperationKind>, Option<Gate>) {
    let plan = plan(&seen.observed, spec, NOW);
    let kind = plan.operation.as_ref().map(|operation| operation.kind);
    (moves(&plan), kind, gate(&plan))
}

fn enlist(key: &str, zone: &str) -> Step {
    Step::Enlist {
        via: MemberId(1),
        key: key.to_owned(),
        zone: Some(Zone::new(zone)),
        replaces: false,
    }
}

fn voters(log: (u64, u64), ids: &[u64]) -> Step {
    Step::ChangeVoters {
        via: MemberId(1),
        expected: log,
        voters: ids.iter().map(|id| MemberId(*id)).collect(),
    }
}

const SCALE: Option<OperationKind> = Some(OperationKind::Scale);

#[test]
fn three_to_five_is_two_learners_and_one_change() {
    let mut seen = Seen::running(3);
    let five = spec(5);
    let first = vec![enlist("after-m3", "zone-a")];
    assert_eq!(decide(&seen, &five), (first, SCALE, None));
    seen.joins(4, "zone-a");
    assert_eq!(
        decide(&seen, &five),
        (vec![enlist("after-m4", "zone-b")], SCALE, None),
        "one after the other, each by a key of its own"
    );
    seen.joins(5, "zone-b");
    let add = Step::AddLearner {
        via: MemberId(1),
        expected: (1, 1),
        member: Assigned {
            id: MemberId(4),
            zone: Some(Zone::new("zone-a")),
        },
        store_uuid: "store-4".to_owned(),
    };
    assert_eq!(decide(&seen, &five), (vec![add], SCALE, None));
    seen.learns(4, "zone-a");
    seen.observed.members.get_mut(&MemberId(5)).unwrap().report = None;
    assert_eq!(decide(&seen, &five), (vec![], SCALE, Some(Gate::MemberUp)));
    seen.learns(5, "zone-b");
    seen.membership().seats.get_mut(&MemberId(5)).unwrap().lag = Some(120_000);
    assert_eq!(decide(&seen, &five), (vec![], SCALE, Some(Gate::CaughtUp)));
    seen.membership().seats.get_mut(&MemberId(5)).unwrap().lag = Some(3);
    let change = voters((1, 3), &[1, 2, 3, 4, 5]);
    assert_eq!(decide(&seen, &five), (vec![change], SCALE, None));
}

#[test]
fn one_to_three_spreads_over_zones_that_birth_did_not_need() {
    let mut seen = Seen::running(1);
    assert_eq!(decide(&seen, &spec(3)).0, [enlist("after-m1", "zone-b")]);
    seen.joins(2, "zone-b");
    assert_eq!(decide(&seen, &spec(3)).0, [enlist("after-m2", "zone-c")]);
}

#[test]
fn five_to_three_is_one_change_and_keeps_every_zone() {
    let seen = Seen::running(5);
    // Round the zones: a b c a b.
    assert_eq!(decide(&seen, &spec(3)).0, [voters((1, 1), &[1, 2, 3])]);
}

#[test]
fn the_leader_hands_over_before_it_leaves() {
    let mut seen = Seen::running(5);
    let mut three = spec(3);
    three.drain_zones = vec![Zone::new("zone-a")];
    // Zone a holds the leader m1 and m4; b holds m2 and m5; c holds m3: two of three would be in b.
    seen.observed.world.zones.insert(Zone::new("zone-d"), 3);
    seen.learns(6, "zone-d");
    let step = Step::TransferLeader {
        via: MemberId(1),
        to: MemberId(2),
    };
    assert_eq!(decide(&seen, &three).0, [step]);
    seen.dies(2);
    let step = Step::TransferLeader {
        via: MemberId(1),
        to: MemberId(3),
    };
    assert_eq!(decide(&seen, &three).0, [step], "to one that is well");
}

#[test]
fn dead_members_leave_first_and_no_zone_gains_a_quorum_by_it() {
    let mut seen = Seen::running(5);
    seen.dies(2);
    assert_eq!(decide(&seen, &spec(3)).0, [voters((1, 1), &[1, 3, 5])]);
    seen.dies(3);
    assert_eq!(
        decide(&seen, &spec(3)).0,
        [voters((1, 1), &[1, 3, 5])],
        "zone c keeps its member"
    );
}

#[test]
fn a_wish_that_is_taken_back_is_undone() {
    let mut seen = Seen::running(3);
    seen.learns(4, "zone-a");
    seen.joins(5, "zone-b");
    let (steps, ..) = decide(&seen, &spec(3));
    let remove = Step::RemoveLearner {
        via: MemberId(1),
        expected: (1, 2),
        id: MemberId(4),
    };
    let retire = |id| Step::Retire {
        id: MemberId(id),
        at: Some(NOW),
    };
    assert_eq!(steps, [retire(5), remove]);
    seen.removed(4);
    assert_eq!(decide(&seen, &spec(3)).0, [retire(4), retire(5)]);
}

#[test]
fn what_was_retired_goes_after_its_time_and_not_with_its_pod() {
    let mut seen = Seen::running(3);
    seen.learns(4, "zone-a");
    seen.removed(4);
    let id = MemberId(4);
    let retired = |seen: &mut Seen, seconds: i64| {
        let volume = seen.observed.volumes.get_mut(&id).unwrap();
        volume.retired = Some(UnixSeconds(NOW.0 - seconds));
    };
    retired(&mut seen, 10);
    let again = Step::Retire { id, at: None };
    assert_eq!(
        decide(&seen, &spec(3)).0,
        [again],
        "its StatefulSet is still there"
    );
    seen.observed.members.get_mut(&id).unwrap().set = None;
    retired(&mut seen, 3600);
    assert_eq!(decide(&seen, &spec(3)).0, [], "its pod is still there");
    seen.observed.members.remove(&id);
    assert_eq!(decide(&seen, &spec(3)).0, [Step::DeleteVolume { id }]);
    retired(&mut seen, 3599);
    assert_eq!(decide(&seen, &spec(3)).0, []);
    retired(&mut seen, 3600);
    seen.observed
        .members
        .get_mut(&MemberId(1))
        .unwrap()
        .report
        .as_mut()
        .unwrap()
        .confirmed = false;
    assert_eq!(
        decide(&seen, &spec(3)).0,
        [],
        "never without a read through quorum"
    );
}

#[test]
fn a_half_done_change_is_waited_for() {
    let mut seen = Seen::running(3);
    seen.membership().joint = true;
    assert_eq!(
        decide(&seen, &spec(5)),
        (vec![], SCALE, Some(Gate::Uniform))
    );
}

#[test]
fn no_change_without_a_quorum_that_is_heard_of() {
    let mut seen = Seen::running(3);
    seen.dies(2);
    seen.dies(3);
    assert_eq!(decide(&seen, &spec(5)), (vec![], SCALE, Some(Gate::Quorum)));
}

#[test]
fn draining_moves_members_to_the_emptiest_zone() {
    let mut seen = Seen::running(3);
    let mut drained = spec(3);
    drained.drain_zones = vec![Zone::new("zone-c")];
    seen.observed.world.zones.insert(Zone::new("zone-d"), 3);
    let drain = Some(OperationKind::Drain);
    let step = enlist("after-m3", "zone-d");
    assert_eq!(decide(&seen, &drained), (vec![step], drain, None));
    seen.learns(4, "zone-d");
    assert_eq!(
        decide(&seen, &drained),
        (vec![voters((1, 2), &[1, 2, 4])], drain, None)
    );
}

#[test]
fn draining_never_gives_a_zone_a_quorum() {
    let seen = Seen::running(3);
    let mut drained = spec(3);
    drained.drain_zones = vec![Zone::new("zone-c")];
    let plan = plan(&seen.observed, &drained, NOW);
    assert_eq!(moves(&plan), []);
    assert_eq!(reason(&plan), BlockedReason::ZoneQuorum);
    assert!(
        plan.blocked[0]
            .message
            .starts_with("2 of 3 voters would be in one zone")
    );
}

#[test]
fn members_move_for_an_even_spread_only_if_asked() {
    let mut seen = Seen::running(3);
    let zone_of = |seen: &mut Seen, id, zone: &str| {
        seen.observed.volumes.get_mut(&MemberId(id)).unwrap().zone = Some(Zone::new(zone));
    };
    zone_of(&mut seen, 3, "zone-a");
    assert_eq!(decide(&seen, &spec(3)), (vec![], None, None));
    let mut auto = spec(3);
    auto.rebalance = Rebalance::Auto;
    let (steps, kind, _) = decide(&seen, &auto);
    assert_eq!(steps, [enlist("after-m3", "zone-c")]);
    assert_eq!(kind, Some(OperationKind::Rebalance));
    seen.learns(4, "zone-c");
    assert_eq!(decide(&seen, &auto).0, [voters((1, 2), &[1, 2, 4])]);
}

#[test]
fn a_single_member_moves_too() {
    let mut seen = Seen::running(1);
    let mut drained = spec(1);
    drained.drain_zones = vec![Zone::new("zone-a")];
    seen.learns(2, "zone-b");
    assert_eq!(decide(&seen, &drained).0, [voters((1, 2), &[2])]);
}

#[test]
fn a_new_member_without_a_place_is_said() {
    let mut seen = Seen::running(3);
    seen.observed.world.zones.remove(&Zone::new("zone-b"));
    let mut seats: Vec<&mut Seat> = seen.membership().seats.values_mut().collect();
    assert_eq!(seats.len(), 3);
    seats.clear();
    seen.observed.volumes.remove(&MemberId(2));
    seen.suspected(2, crate::observed::Loss::VolumeGone, 60);
    let plan = plan(&seen.observed, &spec(3), NOW);
    assert_eq!(moves(&plan), []);
    assert_eq!(reason(&plan), BlockedReason::NotEnoughZones);
}

#[test]
fn a_new_member_that_was_dismissed_is_never_asked_for_again() {
    let mut seen = Seen::running(3);
    seen.joins(4, "zone-a");
    let volume = seen.observed.volumes.get_mut(&MemberId(4)).unwrap();
    volume.retired = Some(NOW);
    seen.observed.members.remove(&MemberId(4));
    assert_eq!(decide(&seen, &spec(5)).0, [enlist("after-m4", "zone-a")]);
    // Nor one that was removed.
    seen.observed.volumes.remove(&MemberId(4));
    seen.removed(7);
    assert_eq!(decide(&seen, &spec(5)).0, [enlist("after-m7", "zone-a")]);
}

#[test]
fn a_new_member_whose_volume_is_lost_before_it_was_added_gives_way() {
    for lose in [
        |volume: &mut Volume| volume.terminating = true,
        |volume: &mut Volume| volume.node_gone = true,
    ] {
        let mut seen = Seen::running(3);
        seen.joins(4, "zone-a");
        lose(seen.observed.volumes.get_mut(&MemberId(4)).unwrap());
        seen.observed.members.get_mut(&MemberId(4)).unwrap().report = None;
        let plan = plan(&seen.observed, &spec(5), NOW);
        let steps = names(&plan);
        assert_eq!(steps[steps.len() - 2..], ["retire-m4", "enlist"]);
    }
}

#[test]
fn statefulsets_that_nobody_owns_go() {
    // Made anew by a look that was overtaken: of a member that left, and of one that never came.
    let mut seen = Seen::running(3);
    for id in [7, 8] {
        seen.observed.members.entry(MemberId(id)).or_default().set = Some(Set::default());
    }
    seen.removed(7);
    let plan = plan(&seen.observed, &spec(3), NOW);
    let steps = names(&plan);
    assert_eq!(steps[steps.len() - 2..], ["retire-m7", "retire-m8"]);
}

#[test]
fn nobody_is_retired_half_way_between_two_sets_of_voters() {
    let mut seen = Seen::running(3);
    seen.removed(3);
    seen.membership().joint = true;
    let half_way = names(&plan(&seen.observed, &spec(3), NOW));
    assert!(!half_way.contains(&"retire-m3".to_owned()), "{half_way:?}");
    seen.membership().joint = false;
    let done = names(&plan(&seen.observed, &spec(3), NOW));
    assert!(done.contains(&"retire-m3".to_owned()), "{done:?}");
}
