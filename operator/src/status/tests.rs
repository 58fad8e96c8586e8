//! Goal: what is said in each situation of a cluster. Method: whole statuses, as YAML.

mod gitops;

use std::collections::BTreeMap;

use kvorum_api::{KvCluster, KvClusterSpec, KvClusterStatus};
use kvorum_plan::observed::{
    Life, Member, Membership, Observed, Pod, Record, Report, Reservation, Seat, Set, Stage,
    StatusLatch, StorageClass, UnixSeconds, Volume, World,
};
use kvorum_plan::placement::Assigned;
use kvorum_plan::{ClusterId, ClusterSize, MemberId, Zone};

use super::*;
use crate::validate::validate;

const NOW: i64 = 1_700_000_000;

struct Case {
    cluster: ValidCluster,
    observed: Observed,
    previous: KvClusterStatus,
}

impl Case {
    /// Three members that run well over these zones.
    fn running(zones: &[&str]) -> Self {
        let mut cluster = KvCluster::new("orders", KvClusterSpec::default());
        cluster.metadata.namespace = Some("shop".to_owned());
        cluster.metadata.generation = Some(4);
        let reservation = Reservation {
            cluster_id: ClusterId::parse("00000000000000ab").unwrap(),
            size: ClusterSize::try_from(3).unwrap(),
            zones: zones.iter().map(|zone| Zone::new(*zone)).collect(),
        };
        let mut observed = Observed {
            deleting: false,
            created: UnixSeconds(NOW),
            fresh_cluster_id: ClusterId::MAX,
            status: StatusLatch {
                cluster_id: Some(reservation.cluster_id),
                bootstrapped: true,
                zones: reservation.zones.clone(),
                ..StatusLatch::default()
            },
            record: Some(Record {
                reservation: reservation.clone(),
                stage: Stage::Bootstrapped,
            }),
            volumes: BTreeMap::new(),
            foreign: vec![],
            unreadable: vec![],
            members: BTreeMap::new(),
            world: World {
                zones: BTreeMap::new(),
                storage_class: StorageClass::Found,
            },
        };
        for assigned in reservation.members() {
            let id = assigned.id;
            let volume = Volume {
                reservation: reservation.clone(),
                stage: Stage::Bootstrapped,
                zone: assigned.zone.clone(),
                store_uuid: Some(format!("store-{}", id.0)),
                retired: None,
                terminating: false,
                node_gone: false,
                problem: None,
            };
            observed.volumes.insert(id, volume);
            observed.members.insert(id, member(&reservation, &assigned));
        }
        Self {
            cluster: validate(&cluster, "node:1").unwrap(),
            observed,
            previous: KvClusterStatus {
                cluster_id: Some("00000000000000ab".to_owned()),
                bootstrapped: true,
                ..KvClusterStatus::default()
            },
        }
    }

    fn lose(&mut self, id: u64) {
        let member = self.observed.members.get_mut(&MemberId(id)).unwrap();
        member.report = None;
        member.pod.as_mut().unwrap().ready = false;
        let leader = self.observed.members.get_mut(&MemberId(2)).unwrap();
        if let Some(report) = &mut leader.report {
            let seat = report.membership.seats.get_mut(&MemberId(id)).unwrap();
            (seat.lag, seat.heard_millis) = (None, None);
        }
    }

    fn status(&self) -> KvClusterStatus {
        let plan = kvorum_plan::plan(&self.observed, &self.cluster.spec, UnixSeconds(NOW));
        status(&Look {
            cluster: &self.cluster,
            previous: &self.previous,
            observed: &self.observed,
            plan: &plan,
            outcome: &Outcome::default(),
            certificates: None,
            now: NOW,
        })
    }

    /// Conditions in short: `Ready=True/AllMembersServe`.
    fn conditions(&self) -> Vec<String> {
        let conditions = self.status().conditions;
        let short = |condition: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
            format!(
                "{}={}/{}",
                condition.type_, condition.status, condition.reason
            )
        };
        conditions.iter().map(short).collect()
    }
}

fn member(reservation: &Reservation, assigned: &Assigned) -> Member {
    let id = assigned.id;
    let seat = |member: Assigned| {
        let seat = Seat {
            voter: true,
            zone: member.zone,
            store_uuid: Some(format!("store-{}", member.id.0)),
            lag: Some(0),
            heard_millis: Some(5),
        };
        (member.id, seat)
    };
    Member {
        set: Some(Set {
            running: true,
            unsettled: false,
        }),
        pod: Some(Pod {
            ready: true,
            node: Some(format!("node-{}", id.0)),
            node_zone: assigned.zone.clone(),
            up_to_date: true,
            ..Pod::default()
        }),
        report: Some(Report {
            store_uuid: format!("store-{}", id.0),
            life: if id.0 == 2 {
                Life::Leader
            } else {
                Life::Follower
            },
            initialized: true,
            ready: true,
            confirmed: true,
            leader: Some(MemberId(2)),
            term: 3,
            membership: Membership {
                log: (1, 1),
                seats: reservation.members().into_iter().map(seat).collect(),
                ..Membership::default()
            },
            version: if id.0 == 3 { "0.9.0" } else { "0.10.0" }.to_owned(),
        }),
    }
}

#[test]
fn all_is_well() {
    insta::assert_yaml_snapshot!(Case::running(&["a", "b", "c"]).status());
}

#[test]
fn two_zones_say_so_in_words() {
    let status = Case::running(&["a", "b"]).status();
    let condition = get(&status.conditions, "ZoneFaultTolerant").unwrap();
    assert_eq!(
        (
            condition.status.as_str(),
            condition.reason.as_str(),
            condition.message.as_str()
        ),
        ("False", "TwoZones", "2 zones: losing a loses quorum")
    );
    assert_eq!(status.summary.unwrap().can_lose_zone, "not a");
}

#[test]
fn a_lost_member_leaves_it_available_and_says_what_is_left() {
    let mut case = Case::running(&["a", "b", "c"]);
    case.lose(1);
    assert_eq!(
        case.conditions(),
        [
            "Ready=False/MembersNotReady",
            "Reconciling=True/MembersNotReady",
            "Available=True/QuorumReads",
            "FaultTolerant=False/MembersDown",
            "ZoneFaultTolerant=False/ZoneDown",
            "NodeFaultTolerant=False/NodeHoldsQuorum",
            "MembersHealthy=False/MembersNotReady",
            "MembersUpToDate=True/NewestTemplate",
            "PlacementSatisfied=True/InZone",
            "StorageHealthy=True/VolumesThere",
            "ConsistentIdentity=True/RecordsAgree",
        ]
    );
}

#[test]
fn lost_quorum_is_an_outage() {
    let mut case = Case::running(&["a", "b", "c"]);
    case.lose(1);
    case.lose(3);
    let member = case.observed.members.get_mut(&MemberId(2)).unwrap();
    let report = member.report.as_mut().unwrap();
    (report.ready, report.confirmed, report.leader) = (false, false, None);
    let conditions = case.conditions();
    assert_eq!(
        conditions[2..5],
        [
            "Available=False/QuorumLost",
            "FaultTolerant=False/QuorumLost",
            "ZoneFaultTolerant=False/QuorumLost",
        ]
    );
}

#[test]
fn d4_what_a_member_says_is_shown_at_that_member() {
    let mut case = Case::running(&["a", "b", "c"]);
    case.lose(1);
    case.lose(3);
    let shown = case.status().members.into_iter();
    let shown: Vec<_> = shown
        .map(|member| (member.id, member.ready, member.leader, member.version))
        .collect();
    let version = Some("0.10.0".to_owned());
    assert_eq!(
        shown,
        [
            (1, false, false, None),
            (2, true, true, version),
            (3, false, false, None)
        ]
    );
}

#[test]
fn a_node_in_another_zone_is_a_mismatch() {
    let mut case = Case::running(&["a", "b", "c"]);
    let member = case.observed.members.get_mut(&MemberId(1)).unwrap();
    member.pod.as_mut().unwrap().node_zone = Some(Zone::new("z"));
    let status = case.status();
    let condition = get(&status.conditions, "PlacementSatisfied").unwrap();
    assert_eq!(condition.reason, "ZoneMismatch");
    assert!(
        condition
            .message
            .starts_with("m1 belongs to zone a and its node node-1 is labelled with zone z")
    );
}

#[test]
fn a_conflict_of_identity_stalls_and_loses_nothing() {
    let mut case = Case::running(&["a", "b", "c"]);
    case.observed
        .record
        .as_mut()
        .unwrap()
        .reservation
        .cluster_id = ClusterId::MAX;
    let status = case.status();
    assert_eq!(status.cluster_id.as_deref(), Some("00000000000000ab"));
    assert!(status.bootstrapped);
    assert_eq!(
        get(&status.conditions, "Stalled").unwrap().reason,
        "IdentityConflict"
    );
    assert_eq!(
        get(&status.conditions, "ConsistentIdentity")
            .unwrap()
            .status,
        "False"
    );
}

#[test]
fn times_move_only_when_a_condition_does() {
    let mut case = Case::running(&["a", "b", "c"]);
    case.previous = case.status();
    let then = case.previous.conditions[0].last_transition_time.clone();
    let later = |case: &Case| {
        let plan = kvorum_plan::plan(&case.observed, &case.cluster.spec, UnixSeconds(NOW));
        status(&Look {
            cluster: &case.cluster,
            previous: &case.previous,
            observed: &case.observed,
            plan: &plan,
            outcome: &Outcome::default(),
            certificates: None,
            now: NOW + 60,
        })
    };
    assert_eq!(
        later(&case),
        case.previous,
        "nothing changed, so nothing is written"
    );
    case.lose(1);
    let ready = later(&case).conditions[0].clone();
    assert_eq!(ready.type_, "Ready");
    assert_ne!(ready.last_transition_time, then);
}

#[test]
fn long_texts_are_cut_at_a_character() {
    assert_eq!(cut("short", 10), "short");
    assert_eq!(cut("ääääää", 10), "äää...");
}
