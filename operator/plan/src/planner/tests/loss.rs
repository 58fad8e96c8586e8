//! Goal: a member is given up only when its loss is proven or nobody heard of it for long, one at a time,
//! never beside a lost quorum. Method: one situation a test.

use super::*;
use crate::observed::Loss;
use crate::spec::{ReplacementPolicy, Spec, ZoneOutage};

fn enlists(plan: &Plan) -> Vec<(Option<Zone>, bool)> {
    let enlist = |step: &Step| match step {
        Step::Enlist { zone, replaces, .. } => Some((zone.clone(), *replaces)),
        _ => None,
    };
    plan.steps.iter().filter_map(enlist).collect()
}

fn at(zone: &str) -> Vec<(Option<Zone>, bool)> {
    vec![(Some(Zone::new(zone)), true)]
}

/// Every loss with what it looks like.
fn lose(seen: &mut Seen, id: u64, loss: Loss) {
    let volumes = &mut seen.observed.volumes;
    let volume = volumes.get_mut(&MemberId(id)).unwrap();
    match loss {
        Loss::VolumeGone => drop(volumes.remove(&MemberId(id))),
        Loss::VolumeGoing => volume.terminating = true,
        Loss::VolumeBroken => volume.problem = Some("phase Lost".to_owned()),
        Loss::StoreGone => {
            seen.answers(id, Life::Waiting);
            seen.wipe(id);
        }
        Loss::NodeGone => {
            volume.node_gone = true;
            seen.dies(id);
            seen.pod(id).node = None;
        }
        Loss::Unreachable => seen.dies(id),
    }
}

const PROOFS: [Loss; 5] = [
    Loss::VolumeGone,
    Loss::VolumeGoing,
    Loss::VolumeBroken,
    Loss::StoreGone,
    Loss::NodeGone,
];

#[test]
fn a_proof_counts_when_it_is_seen_again() {
    for loss in PROOFS {
        let mut seen = Seen::running(3);
        lose(&mut seen, 3, loss);
        let first = plan(&seen.observed, &spec(3), NOW);
        assert_eq!(gate(&first), Some(Gate::TwoProofs), "{loss:?}");
        assert_eq!(enlists(&first), [], "{loss:?}");
        assert_eq!(first.suspicions[&MemberId(3)].loss, loss);
        assert_eq!(first.suspicions[&MemberId(3)].since, NOW);
        seen.suspected(3, loss, 29);
        assert_eq!(
            enlists(&plan(&seen.observed, &spec(3), NOW)),
            [],
            "{loss:?}"
        );
        seen.suspected(3, loss, 30);
        let second = plan(&seen.observed, &spec(3), NOW);
        assert_eq!(enlists(&second), at("zone-c"), "{loss:?}");
        assert_eq!(second.operation.unwrap().kind, OperationKind::Replace);
    }
}

#[test]
fn another_proof_starts_anew_and_none_is_forgotten() {
    let mut seen = Seen::running(3);
    seen.suspected(3, Loss::VolumeGoing, 500);
    lose(&mut seen, 3, Loss::VolumeGone);
    let look = plan(&seen.observed, &spec(3), NOW);
    assert_eq!(look.suspicions[&MemberId(3)].since, NOW);
    let well = Seen::running(3);
    assert_eq!(
        plan(&well.observed, &spec(3), NOW).suspicions,
        BTreeMap::new()
    );
}

#[test]
fn one_that_was_just_added_and_does_not_know_it_yet_is_not_lost() {
    let mut seen = Seen::running(3);
    seen.learns(4, "zone-a");
    let member = seen.observed.members.get_mut(&MemberId(4)).unwrap();
    member.report.as_mut().unwrap().life = Life::Waiting;
    seen.joins(5, "zone-b");
    let plan = plan(&seen.observed, &spec(5), NOW);
    assert_eq!(plan.suspicions, BTreeMap::new());
    assert_eq!(names(&plan).last().unwrap(), "add-m5");
}

#[test]
fn silence_takes_long() {
    let mut seen = Seen::running(3);
    lose(&mut seen, 3, Loss::Unreachable);
    seen.suspected(3, Loss::Unreachable, 1799);
    let early = plan(&seen.observed, &spec(3), NOW);
    assert_eq!((gate(&early), enlists(&early)), (None, vec![]));
    seen.suspected(3, Loss::Unreachable, 1800);
    assert_eq!(enlists(&plan(&seen.observed, &spec(3), NOW)), at("zone-c"));
    assert!(early.waiting[0].starts_with("m3: nobody hears of it; it is given up if"));
    let mut proven = spec(3);
    proven.replacement.policy = ReplacementPolicy::ProvenLossOnly;
    let refused = plan(&seen.observed, &proven, NOW);
    assert_eq!(enlists(&refused), []);
    assert_eq!(reason(&refused), BlockedReason::MemberLost);
}

#[test]
fn a_learner_that_took_the_place_is_voted_in_and_the_lost_one_out() {
    let mut seen = Seen::running(3);
    lose(&mut seen, 3, Loss::Unreachable);
    seen.suspected(3, Loss::Unreachable, 1800);
    seen.learns(4, "zone-c");
    let plan = plan(&seen.observed, &spec(3), NOW);
    let change = Step::ChangeVoters {
        via: MemberId(1),
        expected: (1, 2),
        voters: [1, 2, 4].map(MemberId).to_vec(),
    };
    assert_eq!(plan.steps.last(), Some(&change));
}

#[test]
fn one_that_comes_back_keeps_its_place() {
    let mut seen = Seen::running(3);
    seen.suspected(3, Loss::Unreachable, 5000);
    seen.learns(4, "zone-c");
    let plan = plan(&seen.observed, &spec(3), NOW);
    assert_eq!(names(&plan).last().unwrap(), "remove-m4");
}

#[test]
fn only_one_is_given_up_at_a_time() {
    let mut seen = Seen::running(5);
    for id in [4, 5] {
        lose(&mut seen, id, Loss::VolumeGone);
        seen.suspected(id, Loss::VolumeGone, 60);
    }
    assert_eq!(enlists(&plan(&seen.observed, &spec(5), NOW)), at("zone-a"));
}

#[test]
fn the_budget_of_a_day_is_kept() {
    let mut seen = Seen::running(3);
    lose(&mut seen, 3, Loss::VolumeGone);
    seen.suspected(3, Loss::VolumeGone, 60);
    let day = crate::limits::REPLACEMENT_WINDOW_SECONDS;
    let ago = |seconds: i64| UnixSeconds(NOW.0 - seconds);
    seen.observed.status.replacements = vec![ago(day), ago(5), ago(6)];
    assert_eq!(enlists(&plan(&seen.observed, &spec(3), NOW)), at("zone-c"));
    seen.observed.status.replacements.push(ago(7));
    let spent = plan(&seen.observed, &spec(3), NOW);
    assert_eq!(
        (gate(&spent), enlists(&spent)),
        (Some(Gate::Budget), vec![])
    );
}

#[test]
fn a_zone_that_is_away_is_waited_for() {
    let mut seen = Seen::running(7);
    for id in [3, 6] {
        lose(&mut seen, id, Loss::Unreachable);
        seen.suspected(id, Loss::Unreachable, 5000);
    }
    let wait = plan(&seen.observed, &spec(7), NOW);
    assert_eq!(
        (gate(&wait), enlists(&wait)),
        (Some(Gate::ZoneDown), vec![])
    );
    // Relocating needs three zones that are left.
    let mut relocate: Spec = spec(7);
    relocate.zone_outage = ZoneOutage::Relocate;
    assert_eq!(enlists(&plan(&seen.observed, &relocate, NOW)), []);
    seen.observed.world.zones.insert(Zone::new("zone-d"), 3);
    let moved = plan(&seen.observed, &relocate, NOW);
    let zones: Vec<_> = enlists(&moved)
        .into_iter()
        .map(|(zone, _)| zone.unwrap())
        .collect();
    assert_eq!(zones, [Zone::new("zone-d")], "the other one next");
}

#[test]
fn nothing_is_given_up_while_quorum_is_lost() {
    let mut seen = Seen::running(3);
    for id in [1, 2] {
        seen.suspected(id, Loss::VolumeGone, 600);
        lose(&mut seen, id, Loss::VolumeGone);
        seen.observed.members.remove(&MemberId(id));
    }
    let report = seen
        .observed
        .members
        .get_mut(&MemberId(3))
        .unwrap()
        .report
        .as_mut()
        .unwrap();
    (report.confirmed, report.ready, report.leader) = (false, false, None);
    report.life = Life::Candidate;
    let plan = plan(&seen.observed, &spec(3), NOW);
    assert_eq!(names(&plan), ["services", "member-m3"]);
    assert_eq!(
        (plan.phase, reason(&plan)),
        (Phase::QuorumLost, BlockedReason::QuorumLost)
    );
    assert_eq!(
        plan.blocked[0].message,
        "1 of 3 voters answer and 2 must agree, so nothing can be written or read through quorum (m1: its volume is missing; m2: its volume is missing): bring 1 of them back; until then no member, volume or healthy pod is touched, and nothing is initialized anew"
    );
}

#[test]
fn an_election_is_no_lost_quorum() {
    let mut seen = Seen::running(3);
    for member in seen.observed.members.values_mut() {
        let report = member.report.as_mut().unwrap();
        (report.confirmed, report.ready, report.leader) = (false, false, None);
        report.life = Life::Candidate;
    }
    let plan = plan(&seen.observed, &spec(3), NOW);
    assert_eq!((plan.phase, plan.blocked.len()), (Phase::Running, 0));
    assert_eq!(plan.recheck, Recheck::Watchful);
}
