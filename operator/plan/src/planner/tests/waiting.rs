//! Goal: what takes long is said, and not too soon. Method: the same situation at two times.

use super::*;

#[test]
fn slow_members_become_a_problem_after_the_deadline_only() {
    let seen = Seen::created(3);
    assert_eq!(plan(&seen.observed, &spec(3), NOW).blocked, []);
    let late = UnixSeconds(NOW.0 + crate::limits::STARTUP_DEADLINE_SECONDS + 1);
    assert_eq!(
        reason(&plan(&seen.observed, &spec(3), late)),
        BlockedReason::MembersNotStarting
    );
}

#[test]
fn the_scheduler_is_given_a_moment() {
    let mut seen = Seen::created(3);
    seen.observed.members.entry(MemberId(1)).or_default().pod = Some(Pod {
        problem: Some(PodProblem {
            unschedulable_since: Some(NOW),
            message: "0/3 nodes are available".to_owned(),
        }),
        ..Pod::default()
    });
    assert_eq!(plan(&seen.observed, &spec(3), NOW).blocked, []);
    let later = UnixSeconds(NOW.0 + crate::limits::UNSCHEDULABLE_PATIENCE_SECONDS + 1);
    assert_eq!(
        reason(&plan(&seen.observed, &spec(3), later)),
        BlockedReason::Unschedulable
    );
}

#[test]
fn every_size_gets_its_members() {
    for members in [1, 3, 5, 7, 9] {
        let size = ClusterSize::try_from(members).unwrap();
        let plan = plan(&Seen::nothing(members).observed, &spec(members), NOW);
        assert_eq!(plan.steps.len(), 2 + 2 * size.members());
    }
}

#[test]
fn members_that_start_are_waited_for_before_their_quorum_is_called_lost() {
    let mut seen = Seen::running(3);
    for member in seen.observed.members.values_mut() {
        member.report = None;
        member.pod.as_mut().unwrap().ready = false;
    }
    let starting = plan(&seen.observed, &spec(3), NOW);
    assert_eq!(
        (starting.phase, starting.blocked),
        (Phase::QuorumLost, vec![])
    );
    assert!(starting.waiting[0].starts_with("0 of 3 voters answer"));
    assert_eq!(starting.recheck, Recheck::Watchful);
    let late = UnixSeconds(NOW.0 + crate::limits::STARTUP_DEADLINE_SECONDS + 1);
    assert_eq!(
        reason(&plan(&seen.observed, &spec(3), late)),
        BlockedReason::QuorumLost
    );
    // One that cannot start is no reason to wait.
    seen.pod(2).node_down = true;
    seen.pod(3).node_down = true;
    assert_eq!(
        reason(&plan(&seen.observed, &spec(3), NOW)),
        BlockedReason::QuorumLost
    );
}
