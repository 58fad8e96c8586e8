//! Goal: the decision for every situation of a cluster's birth and life. Method: whole plans, step by step;
//! and (in `toy_world`) random crashes, deletions and wiped disks against a toy Kubernetes.

mod change;
mod fixture;
mod loss;
mod rivals;
mod rollout;
mod toy_world;
mod waiting;

use std::collections::BTreeMap;

use fixture::{ID, NOW, Seen, spec};

use super::plan;
use crate::observed::{Life, Pod, PodProblem, Stage, StorageClass, UnixSeconds};
use crate::operation::{Gate, OperationKind};
use crate::placement::Assigned;
use crate::spec::{ZoneChoice, ZoneSpread};
use crate::steps::{BlockedReason, Phase, Plan, Recheck, Step};
use crate::{ClusterId, ClusterSize, MemberId, Zone};

fn names(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(Step::name).collect()
}

/// The steps but those that only keep objects as they are.
fn acts(plan: &Plan) -> Vec<Step> {
    use Step::{ApplyMember, SyncServices};
    let acts = plan.steps.iter().filter(|step| {
        !matches!(
            step,
            SyncServices { .. } | ApplyMember { running: true, .. }
        )
    });
    acts.cloned().collect()
}

/// The gate that what is under way waits at.
fn gate(plan: &Plan) -> Option<Gate> {
    let operation = plan.operation.as_ref()?;
    operation.gate.as_ref().map(|gated| gated.gate)
}

fn apply(member: Assigned) -> Step {
    Step::ApplyMember {
        member,
        running: true,
    }
}

fn reason(plan: &Plan) -> BlockedReason {
    assert_eq!(plan.blocked.len(), 1, "{:?}", plan.blocked);
    plan.blocked[0].reason
}

#[test]
fn a_new_cluster_is_reserved_and_created_in_one_go() {
    let seen = Seen::nothing(3);
    let plan = plan(&seen.observed, &spec(3), NOW);
    let member = |id, zone: &str| Assigned {
        id: MemberId(id),
        zone: Some(Zone::new(zone)),
    };
    let reservation = seen.reservation();
    assert_eq!(
        plan,
        Plan {
            phase: Phase::Bootstrapping,
            reservation: Some(reservation.clone()),
            steps: vec![
                Step::Reserve {
                    reservation,
                    stage: Stage::Reserved
                },
                Step::SyncServices { at_least: Some(2) },
                Step::CreateVolume(member(1, "zone-a")),
                Step::CreateVolume(member(2, "zone-b")),
                Step::CreateVolume(member(3, "zone-c")),
                apply(member(1, "zone-a")),
                apply(member(2, "zone-b")),
                apply(member(3, "zone-c")),
            ],
            blocked: vec![],
            waiting: vec![
                "m1: has no volume yet".to_owned(),
                "m2: has no volume yet".to_owned(),
                "m3: has no volume yet".to_owned(),
            ],
            operation: None,
            suspicions: BTreeMap::new(),
            recheck: Recheck::Soon,
        }
    );
}

#[test]
fn initialize_waits_for_the_last_member() {
    let mut seen = Seen::created(3);
    seen.answers(1, Life::Waiting);
    seen.answers(3, Life::Waiting);
    let plan = plan(&seen.observed, &spec(3), NOW);
    assert_eq!(
        names(&plan),
        ["services", "member-m1", "member-m2", "member-m3"]
    );
    assert_eq!(plan.waiting, ["m2: has no pod yet"]);
    assert_eq!(plan.recheck, Recheck::Soon);
}

#[test]
fn all_empty_members_are_initialized_between_two_latches() {
    let mut seen = Seen::created(3);
    (1..=3).for_each(|id| seen.answers(id, Life::Waiting));
    let plan = plan(&seen.observed, &spec(3), NOW);
    let stores = seen.stores();
    assert_eq!(
        plan.steps[4..],
        [
            Step::Latch {
                stage: Stage::Initializing,
                stores: stores.clone()
            },
            Step::Initialize {
                via: MemberId(1),
                stores: stores.clone()
            },
            Step::Confirm { via: MemberId(1) },
            Step::Latch {
                stage: Stage::Bootstrapped,
                stores
            },
        ]
    );
}

#[test]
fn a_crash_before_initialize_repeats_it_without_a_second_latch() {
    let mut seen = Seen::created(3);
    (1..=3).for_each(|id| seen.answers(id, Life::Waiting));
    seen.latch(Stage::Initializing);
    let plan = plan(&seen.observed, &spec(3), NOW);
    assert_eq!(
        names(&plan)[4..],
        ["initialize", "confirm", "latch-bootstrapped"]
    );
}

#[test]
fn a_crash_after_initialize_goes_on_with_confirm() {
    let mut seen = Seen::created(3);
    seen.latch(Stage::Initializing);
    seen.answers(1, Life::Leader);
    seen.answers(2, Life::Follower);
    let plan = plan(&seen.observed, &spec(3), NOW);
    // m3 does not answer: no reason to wait, its store is known.
    assert_eq!(names(&plan)[4..], ["confirm", "latch-bootstrapped"]);
    assert_eq!(plan.steps[4], Step::Confirm { via: MemberId(1) });
}

#[test]
fn a_store_wiped_before_initialize_stops_it() {
    let mut seen = Seen::created(3);
    (1..=3).for_each(|id| seen.answers(id, Life::Waiting));
    seen.latch(Stage::Initializing);
    seen.wipe(2);
    let plan = plan(&seen.observed, &spec(3), NOW);
    assert_eq!(
        names(&plan),
        ["services", "member-m1", "member-m2", "member-m3"]
    );
    assert!(plan.waiting[0].starts_with("m2: its store is not the one recorded"));
}

#[test]
fn a_running_cluster_only_keeps_its_objects() {
    let seen = Seen::running(3);
    let plan = plan(&seen.observed, &spec(3), NOW);
    assert_eq!(
        names(&plan),
        ["services", "member-m1", "member-m2", "member-m3"]
    );
    assert_eq!(plan.phase, Phase::Running);
    assert_eq!(plan.recheck, Recheck::Calm);
}

#[test]
fn latches_left_behind_are_finished() {
    let mut seen = Seen::running(3);
    seen.observed.record.as_mut().unwrap().stage = Stage::Initializing;
    let plan = plan(&seen.observed, &spec(3), NOW);
    assert_eq!(names(&plan).last().unwrap(), "latch-bootstrapped");
}

#[test]
fn a_recreated_kvcluster_takes_its_data_up_and_never_initializes() {
    let mut seen = Seen::running(3);
    seen.forget_the_kvcluster();
    seen.observed.members.clear();
    let first = plan(&seen.observed, &spec(3), NOW);
    assert_eq!(
        names(&first),
        ["reserve", "services", "member-m1", "member-m2", "member-m3"]
    );
    assert_eq!(
        first.steps[0],
        Step::Reserve {
            reservation: seen.reservation(),
            stage: Stage::Bootstrapped
        }
    );
    // Even if every disk turned out to be empty.
    (1..=3).for_each(|id| seen.answers(id, Life::Waiting));
    let empty = plan(&seen.observed, &spec(3), NOW);
    assert!(!names(&empty).contains(&"initialize".to_owned()));
    let reasons: Vec<_> = empty.blocked.iter().map(|blocked| blocked.reason).collect();
    assert_eq!(
        reasons,
        [BlockedReason::QuorumLost, BlockedReason::DataLost]
    );
}

#[test]
fn a_recreated_kvcluster_of_another_size_is_scaled_once_it_lives() {
    let mut seen = Seen::running(3);
    seen.forget_the_kvcluster();
    let plan = plan(&seen.observed, &spec(5), NOW);
    let steps = names(&plan);
    assert_eq!(steps[0], "reserve");
    assert_eq!(plan.reservation.unwrap().size.members(), 3, "its birth");
    assert_eq!(steps.last().unwrap(), "enlist");
}

#[test]
fn a_volume_lost_after_birth_is_never_replaced_by_an_empty_one() {
    for (stage, word) in [
        (Stage::Initializing, BlockedReason::VolumeLost),
        (Stage::Bootstrapped, BlockedReason::QuorumLost),
    ] {
        let mut seen = Seen::created(3);
        seen.latch(stage);
        seen.observed.volumes.remove(&MemberId(2));
        let later = UnixSeconds(NOW.0 + crate::limits::STARTUP_DEADLINE_SECONDS + 1);
        seen.observed.created = if stage == Stage::Bootstrapped {
            NOW
        } else {
            later
        };
        let plan = plan(&seen.observed, &spec(3), later);
        assert_eq!(
            names(&plan),
            ["services", "member-m1", "member-m3"],
            "{stage}"
        );
        assert_eq!(reason(&plan), word, "{stage}");
    }
}

#[test]
fn a_volume_lost_before_birth_is_created_again() {
    let mut seen = Seen::created(3);
    seen.observed.volumes.remove(&MemberId(2));
    let plan = plan(&seen.observed, &spec(3), NOW);
    assert_eq!(
        names(&plan),
        [
            "services",
            "volume-m2",
            "member-m1",
            "member-m2",
            "member-m3"
        ]
    );
}

#[test]
fn records_that_disagree_freeze_everything() {
    let mut seen = Seen::running(3);
    let other = ClusterId::new(7).unwrap();
    seen.observed
        .volumes
        .get_mut(&MemberId(3))
        .unwrap()
        .reservation
        .cluster_id = other;
    let plan = plan(&seen.observed, &spec(3), NOW);
    assert_eq!((plan.phase, plan.steps.len()), (Phase::Frozen, 0));
    assert_eq!(
        plan.blocked[0].message,
        format!(
            "records of the cluster ID disagree (the volume of m3 says {other}; the record ConfigMap, the status, the volume of m1, the volume of m2 says {ID}): nothing is touched until the wrong one is removed"
        )
    );
}

#[test]
fn a_member_on_a_foreign_disk_freezes_everything() {
    let mut seen = Seen::running(3);
    seen.observed
        .members
        .get_mut(&MemberId(1))
        .unwrap()
        .report
        .as_mut()
        .unwrap()
        .store_uuid = "another".to_owned();
    let plan = plan(&seen.observed, &spec(3), NOW);
    assert_eq!(plan.phase, Phase::Frozen);
    assert_eq!(reason(&plan), BlockedReason::IdentityConflict);
}

#[test]
fn paused_and_deleted_clusters_are_left_alone() {
    let mut seen = Seen::nothing(3);
    let mut paused = spec(3);
    paused.paused = true;
    assert_eq!(plan(&seen.observed, &paused, NOW).steps, []);
    assert_eq!(plan(&seen.observed, &paused, NOW).phase, Phase::Paused);
    seen.observed.deleting = true;
    assert_eq!(plan(&seen.observed, &spec(3), NOW).steps, []);
}

#[test]
fn a_name_that_is_taken_is_not_taken_over() {
    let mut seen = Seen::nothing(3);
    seen.observed.foreign = vec!["Service orders".to_owned()];
    let plan = plan(&seen.observed, &spec(3), NOW);
    assert_eq!(plan.steps, []);
    assert_eq!(reason(&plan), BlockedReason::NameTaken);
}

#[test]
fn too_few_zones_are_said_before_anything_is_created() {
    let mut seen = Seen::nothing(3);
    seen.observed.world.zones.remove(&Zone::new("zone-c"));
    let mut required = spec(3);
    required.zone_spread = ZoneSpread::Required;
    let refused = plan(&seen.observed, &required, NOW);
    assert_eq!(refused.steps, []);
    assert_eq!(
        refused.blocked[0].message,
        "zoneSpread Required needs schedulable nodes in 3 zones, and there are 2 (zone-a, zone-b): add nodes in another zone, or set spec.placement.zoneSpread to Preferred"
    );
    // Preferred takes what there is.
    assert_eq!(
        plan(&seen.observed, &spec(3), NOW)
            .reservation
            .unwrap()
            .zones
            .len(),
        2
    );
    seen.observed.world.zones.clear();
    assert_eq!(
        reason(&plan(&seen.observed, &spec(3), NOW)),
        BlockedReason::NotEnoughZones
    );
}

#[test]
fn a_listed_zone_without_nodes_is_named() {
    let seen = Seen::nothing(3);
    let mut listed = spec(3);
    listed.zones = ZoneChoice::Listed(vec![Zone::new("zone-a"), Zone::new("zone-x")]);
    let plan = plan(&seen.observed, &listed, NOW);
    assert_eq!(reason(&plan), BlockedReason::NotEnoughZones);
    assert!(plan.blocked[0].message.contains("=zone-x:"), "{plan:?}");
}

#[test]
fn zones_switched_off_need_none() {
    let mut seen = Seen::nothing(3);
    seen.observed.world.zones.clear();
    let mut disabled = spec(3);
    disabled.zone_spread = ZoneSpread::Disabled;
    let plan = plan(&seen.observed, &disabled, NOW);
    assert_eq!(plan.steps.len(), 8);
    assert!(plan.reservation.unwrap().zones.is_empty());
}

#[test]
fn a_storage_class_that_is_not_there_stops_only_new_volumes() {
    let mut seen = Seen::nothing(3);
    seen.observed.world.storage_class = StorageClass::Missing;
    assert_eq!(
        reason(&plan(&seen.observed, &spec(3), NOW)),
        BlockedReason::StorageClassMissing
    );
    seen.observed.world.storage_class = StorageClass::NoDefault;
    assert_eq!(
        reason(&plan(&seen.observed, &spec(3), NOW)),
        BlockedReason::StorageClassMissing
    );
    let mut running = Seen::running(3);
    running.observed.world.storage_class = StorageClass::Missing;
    assert_eq!(plan(&running.observed, &spec(3), NOW).blocked, []);
}
