//! Goal: every field of every object is what was meant. Method: complete snapshots, reviewed when they change.

use kvorum_api::{KvCluster, KvClusterSpec, NodeSpread};
use kvorum_plan::observed::{Record, Reservation, Stage};
use kvorum_plan::{ClusterId, ClusterSize, MemberId, Zone};
use serde_json::json;

use super::*;
use crate::validate::validate;

/// Names that differ from the kinds of things, so that a mix-up shows.
fn cluster(members: i32, change: impl FnOnce(&mut KvClusterSpec)) -> (ValidCluster, Reservation) {
    let mut spec = KvClusterSpec {
        members,
        ..KvClusterSpec::default()
    };
    change(&mut spec);
    let mut cluster = KvCluster::new("orders", spec);
    cluster.metadata.namespace = Some("shop".to_owned());
    cluster.metadata.uid = Some("uid-of-orders".to_owned());
    let valid = validate(&cluster, "kvorum.dev/kvorum-node:9.9.9").unwrap();
    let reservation = Reservation {
        cluster_id: ClusterId::parse("00000000000000ab").unwrap(),
        size: ClusterSize::try_from(members).unwrap(),
        zones: ["east", "north", "west"].map(Zone::new).to_vec(),
    };
    (valid, reservation)
}

#[test]
fn the_statefulset_of_a_member() {
    let (cluster, reservation) = cluster(3, |_| ());
    let member = &reservation.members()[1];
    insta::assert_yaml_snapshot!(statefulset(&cluster, &reservation, member).unwrap());
}

#[test]
fn the_statefulset_with_everything_set() {
    let (cluster, reservation) = cluster(5, |spec| {
        spec.version = Some("1.2.3".to_owned());
        spec.placement.node_spread = NodeSpread::Preferred;
        spec.placement.node_selector = [("disk".to_owned(), "fast".to_owned())].into();
        spec.placement.priority_class_name = Some("important".to_owned());
        spec.placement.scheduler_name = Some("own-scheduler".to_owned());
        spec.placement.tolerations =
            serde_json::from_value(json!([{ "key": "kv", "operator": "Exists" }])).unwrap();
        spec.image.pull_secrets = serde_json::from_value(json!([{ "name": "registry" }])).unwrap();
        spec.pod_overlay = Some(json!({
            "metadata": { "labels": { "team": "shop" }, "annotations": { "note": "hello" } },
            "spec": {
                "automountServiceAccountToken": true,
                "containers": [{ "name": "sidecar", "image": "log-shipper:1" }],
            },
        }));
    });
    let member = &reservation.members()[4];
    insta::assert_yaml_snapshot!(statefulset(&cluster, &reservation, member).unwrap());
}

#[test]
fn an_overlay_that_is_no_pod_template_is_refused() {
    let (cluster, reservation) = cluster(1, |spec| {
        spec.pod_overlay = Some(json!({ "spec": { "hostNetwork": "yes" } }));
    });
    let refused = statefulset(&cluster, &reservation, &reservation.members()[0]).unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with("spec.podOverlay does not fit"),
        "{refused}"
    );
}

#[test]
fn the_volume_of_a_member() {
    let (cluster, reservation) =
        cluster(3, |spec| spec.storage.class_name = Some("fast".to_owned()));
    insta::assert_yaml_snapshot!(volume(&cluster, &reservation, &reservation.members()[2]));
}

#[test]
fn a_volume_reads_back_what_was_written() {
    let (cluster, reservation) = cluster(3, |_| ());
    let member = &reservation.members()[2];
    let latch = (Stage::Initializing, Some("store-3"));
    let claim = latched_volume(&cluster, &reservation, member, latch, "uid-of-claim");
    let read = read_volume(&claim, MemberId(3)).unwrap();
    assert_eq!(read.reservation, reservation);
    assert_eq!(read.stage, Stage::Initializing);
    assert_eq!(read.store_uuid.as_deref(), Some("store-3"));
    assert_eq!(
        read_volume(&claim, MemberId(2)).unwrap_err(),
        "kvorum.dev/member-id is Some(\"3\") on a volume named after member 2"
    );
}

#[test]
fn the_services() {
    let (cluster, _) = cluster(3, |_| ());
    insta::assert_yaml_snapshot!(vec![peer_service(&cluster), client_service(&cluster)]);
}

#[test]
fn the_budget_keeps_a_quorum_and_one_member_has_none() {
    let (five, reservation) = cluster(5, |_| ());
    insta::assert_yaml_snapshot!(budget(&five, &reservation));
    let (one, reservation) = cluster(1, |_| ());
    assert_eq!(budget(&one, &reservation), None);
}

#[test]
fn the_record_reads_back_what_was_written() {
    let (cluster, reservation) = cluster(7, |_| ());
    let written = record(&cluster, &reservation, Stage::Bootstrapped);
    insta::assert_yaml_snapshot!(written);
    let expected = Record {
        reservation,
        stage: Stage::Bootstrapped,
    };
    assert_eq!(read_record(&written), Ok(expected));
    let mut broken = written;
    broken
        .data
        .as_mut()
        .unwrap()
        .insert("cluster-id".to_owned(), "x".to_owned());
    assert_eq!(
        read_record(&broken).unwrap_err(),
        "kvorum.dev/cluster-id is unreadable: \"x\""
    );
}

#[test]
fn an_operator_of_a_class_marks_its_objects_and_no_pod() {
    let (mut cluster, reservation) = cluster(3, |_| ());
    cluster.class = Some("canary".to_owned());
    let member = &reservation.members()[0];
    let class = |labels: Option<&std::collections::BTreeMap<String, String>>| {
        labels.unwrap().get("kvorum.dev/class").cloned()
    };
    let set = statefulset(&cluster, &reservation, member).unwrap();
    let claim = volume(&cluster, &reservation, member);
    assert_eq!(class(set.metadata.labels.as_ref()).unwrap(), "canary");
    assert_eq!(class(claim.metadata.labels.as_ref()).unwrap(), "canary");
    let pod = set.spec.template.metadata.unwrap();
    assert_eq!(class(pod.labels.as_ref()), None);
}
