//! Goal: every field of every object is what was meant. Method: complete snapshots, reviewed when they change.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::StatefulSet;
use kvorum_api::{KvCluster, KvClusterSpec, NodeSpread, TlsMode};
use kvorum_plan::observed::{Record, Reservation, Stage, UnixSeconds, Volume};
use kvorum_plan::{ClusterId, ClusterSize, MemberId, Transport, Zone};
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
    let (cluster, reservation) = cluster(3, |spec| spec.tls.mode = TlsMode::Disabled);
    let member = &reservation.members()[1];
    insta::assert_yaml_snapshot!(statefulset(&cluster, &reservation, member, true).unwrap());
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
    insta::assert_yaml_snapshot!(statefulset(&cluster, &reservation, member, true).unwrap());
}

#[test]
fn d3_who_has_certificates_speaks_tls_on_every_port_that_has_secrets() {
    let (cluster, reservation) = cluster(3, |spec| spec.tls.mode = TlsMode::Auto);
    let member = &reservation.members()[0];
    let set = |transport| {
        let cluster = cluster.clone().talking(transport);
        statefulset(&cluster, &reservation, member, true).unwrap()
    };
    let required = set(Transport::Required);
    insta::assert_yaml_snapshot!(required);
    let permissive = set(Transport::Permissive);
    let flags = |set: &StatefulSet| {
        let pod = set.spec.template.spec.clone().unwrap();
        let flags = pod.containers[0].args.clone().unwrap();
        flags.into_iter().collect::<BTreeSet<String>>()
    };
    let (before, after) = (flags(&permissive), flags(&required));
    let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
        one.difference(other).cloned().collect::<Vec<String>>()
    };
    let urls = |scheme: &str| {
        let host = "orders-m1-0.orders-peers.shop.svc";
        [
            format!("--advertise-client-urls={scheme}://{host}:2379"),
            format!("--initial-advertise-peer-urls={scheme}://{host}:2380"),
            format!("--listen-peer-urls={scheme}://0.0.0.0:2380"),
        ]
    };
    let [client, peer, listen] = urls("http");
    let step = "--client-tls-permissive".to_owned();
    let words = "--peer-tls=permissive".to_owned();
    assert_eq!(only(&before, &after), [client, step, peer, listen, words]);
    let [client, peer, listen] = urls("https");
    let words = "--peer-tls=required".to_owned();
    assert_eq!(only(&after, &before), [client, peer, listen, words]);
    // Each step is a wish of its own: none is held back as the operator's own doing.
    assert!(!only_operator_changed(&permissive, &required));
}

#[test]
fn an_overlay_that_is_no_pod_template_is_refused() {
    let (cluster, reservation) = cluster(1, |spec| {
        spec.pod_overlay = Some(json!({ "spec": { "hostNetwork": "yes" } }));
    });
    let refused = statefulset(&cluster, &reservation, &reservation.members()[0], true).unwrap_err();
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
    let member = &reservation.members()[2];
    insta::assert_yaml_snapshot!(volume(&cluster, &reservation, member, Stage::Reserved));
}

#[test]
fn d15_a_volume_reads_back_what_was_written_and_never_as_another_members() {
    let (cluster, reservation) = cluster(3, |_| ());
    let member = &reservation.members()[2];
    let latch = (Stage::Initializing, Some("store-3"));
    let claim = latched_volume(&cluster, &reservation, member, latch, "uid-of-claim");
    let read = read_volume(&claim, MemberId(3), false).unwrap();
    assert_eq!(
        (read.zone.clone(), read.retired),
        (member.zone.clone(), None)
    );
    assert_eq!(read.reservation, reservation);
    assert_eq!(read.stage, Stage::Initializing);
    assert_eq!(read.store_uuid.as_deref(), Some("store-3"));
    assert_eq!(
        read_volume(&claim, MemberId(2), false).unwrap_err(),
        "kvorum.dev/member-id is Some(\"3\") on a volume named after member 2"
    );
}

#[test]
fn a_retired_volume_says_since_when_and_keeps_what_it_said() {
    let (cluster, reservation) = cluster(3, |_| ());
    let member = &reservation.members()[2];
    let latch = (Stage::Bootstrapped, Some("store-3"));
    let claim = latched_volume(&cluster, &reservation, member, latch, "uid-of-claim");
    let before = read_volume(&claim, MemberId(3), false).unwrap();
    let at = UnixSeconds(1_700_000_000);
    let claim = retired_volume(&cluster, &before, MemberId(3), at, "uid-of-claim");
    let after = read_volume(&claim, MemberId(3), true).unwrap();
    let retired = Volume {
        retired: Some(at),
        node_gone: true,
        ..before
    };
    assert_eq!(after, retired);
}

#[test]
fn d17_a_new_operator_changes_no_template_by_itself() {
    let (cluster, reservation) = cluster(3, |_| ());
    let member = &reservation.members()[0];
    let by = |cluster: &ValidCluster| statefulset(cluster, &reservation, member, true).unwrap();
    let seen = by(&cluster);
    assert!(
        !only_operator_changed(&seen, &by(&cluster)),
        "nothing changed"
    );
    // A new operator: the same wish, another template.
    let mut newer = cluster.clone();
    newer.pod.image = "kvorum.dev/kvorum-node:10.0.0".to_owned();
    assert!(only_operator_changed(&seen, &by(&newer)));
    // The user's next change brings the operator's along.
    newer.asked = "something else".to_owned();
    assert!(!only_operator_changed(&seen, &by(&newer)));
    // Edited by hand: put right, whoever runs.
    let mut edited = seen;
    edited.spec.template.spec.as_mut().unwrap().priority = Some(7);
    assert!(!only_operator_changed(&edited, &by(&cluster)));
}

#[test]
fn a_member_without_a_pod_keeps_its_template() {
    let (cluster, reservation) = cluster(3, |_| ());
    let member = &reservation.members()[0];
    let awake = statefulset(&cluster, &reservation, member, true).unwrap();
    let mut asleep = statefulset(&cluster, &reservation, member, false).unwrap();
    assert_eq!(asleep.spec.replicas, Some(0));
    asleep.spec.replicas = Some(1);
    assert_eq!(asleep, awake);
}

#[test]
fn the_services() {
    let (cluster, _) = cluster(3, |_| ());
    insta::assert_yaml_snapshot!(vec![peer_service(&cluster), client_service(&cluster)]);
}

#[test]
fn the_budget_keeps_so_many_pods() {
    let (five, _) = cluster(5, |_| ());
    insta::assert_yaml_snapshot!(budget(&five, 3));
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
    let set = statefulset(&cluster, &reservation, member, true).unwrap();
    let claim = volume(&cluster, &reservation, member, Stage::Reserved);
    assert_eq!(class(set.metadata.labels.as_ref()).unwrap(), "canary");
    assert_eq!(class(claim.metadata.labels.as_ref()).unwrap(), "canary");
    let pod = set.spec.template.metadata.unwrap();
    assert_eq!(class(pod.labels.as_ref()), None);
}
