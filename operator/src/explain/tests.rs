//! Goal: what people are told about their files. Method: whole texts.

use super::*;

fn explained(spec: &str, zones: &[&str]) -> (Verdict, String) {
    let file = format!(
        "apiVersion: kvorum.dev/v1alpha1\nkind: KvCluster\nmetadata: {{name: orders, namespace: shop}}\nspec: {spec}\n"
    );
    let zones: Vec<String> = zones.iter().map(|zone| (*zone).to_owned()).collect();
    explain(&file, &zones)
}

const ABC: [&str; 3] = ["zone-a", "zone-b", "zone-c"];

#[test]
fn seven_members_over_three_zones() {
    let (verdict, text) = explained("{members: 7}", &ABC);
    assert_eq!(verdict, Verdict::Works);
    insta::assert_snapshot!(text);
}

#[test]
fn three_members_over_two_zones_are_warned() {
    let (verdict, text) = explained("{placement: {zones: [east, west]}}", &["east", "west"]);
    assert_eq!(verdict, Verdict::Works);
    insta::assert_snapshot!(text);
}

#[test]
fn one_member_survives_nothing() {
    let (verdict, text) = explained("{members: 1, placement: {nodeSpread: Preferred}}", &ABC);
    assert_eq!(verdict, Verdict::Works);
    insta::assert_snapshot!(text);
}

#[test]
fn what_the_rules_refuse_is_said_by_the_rules() {
    let (verdict, text) = explained("{members: 4, hibernatd: true}", &ABC);
    assert_eq!(verdict, Verdict::Refused);
    assert_eq!(
        text,
        "The API server would refuse this KvCluster:\n  spec.hibernatd: is no known field\n"
    );
    let (verdict, text) = explained("{members: 4}", &ABC);
    assert_eq!(verdict, Verdict::Refused);
    assert_eq!(
        text,
        "The API server would refuse this KvCluster:\n  spec.members: must be odd: 4 members survive the loss of 1, exactly like 3; use 3 or 5\n"
    );
    let (verdict, text) = explained("{podOverlay: {spec: {hostNetwork: maybe}}}", &ABC);
    assert_eq!(verdict, Verdict::Refused);
    assert!(text.starts_with("spec.podOverlay does not fit"), "{text}");
}

#[test]
fn a_world_that_cannot_satisfy_it_is_another_verdict() {
    let (verdict, text) = explained("{placement: {zoneSpread: Required}}", &["east", "west"]);
    assert_eq!(verdict, Verdict::Unsatisfiable);
    assert!(
        text.contains("NotEnoughZones: zoneSpread Required needs"),
        "{text}"
    );
}

#[test]
fn a_file_that_is_no_object_is_unreadable() {
    assert_eq!(explain("a: [", &[]).0, Verdict::Unreadable);
    assert_eq!(explain("just words", &[]).0, Verdict::Refused);
}

#[test]
fn a_cluster_that_is_there_says_what_is_under_way_and_what_it_waits_for() {
    let file = r#"
apiVersion: kvorum.dev/v1alpha1
kind: KvCluster
metadata: {name: orders, namespace: shop, generation: 3}
spec: {members: 5}
status:
  observedGeneration: 3
  clusterID: 9e999a01ba3ca7cc
  bootstrapped: true
  voters: 3
  summary: {voters: 2/3, canLoseMembers: 0, canLoseZone: "not b,c"}
  operation: {type: Scale, gate: MemberUp, waitingFor: "gate MemberUp: m4: has no pod yet", since: 1700000000}
  members:
  - {id: 1, name: orders-m1, zone: a, node: n1, role: Voter, ready: true, leader: true, pvc: orders-m1-data}
  - {id: 3, name: orders-m3, zone: c, role: Voter, ready: false, leader: false, pvc: orders-m3-data, problem: it does not answer, loss: NodeGone, lossSince: 1700000010}
  retired: [{id: 2, pvc: orders-m2-data, deleteAfter: 1700259200}]
  conditions:
  - {type: Ready, status: "False", reason: Scale, message: waits, lastTransitionTime: "2023-11-14T22:13:20Z"}
  - {type: Reconciling, status: "True", reason: Scale, message: "Scale waits at gate MemberUp", lastTransitionTime: "2023-11-14T22:13:20Z"}
"#;
    let (verdict, text) = explain(file, &[]);
    assert_eq!(verdict, Verdict::Works);
    insta::assert_snapshot!(text);
    let stalled = file.replace("type: Reconciling", "type: Stalled");
    assert_eq!(explain(&stalled, &[]).0, Verdict::Unsatisfiable);
}

/// The last node of m3's volume was deleted a moment ago.
const INCIDENT: &str = include_str!("tests/incident.json");

#[test]
fn a_dump_says_what_comes_next_and_which_gate_is_closed() {
    let (verdict, text) = explain(INCIDENT, &[]);
    assert_eq!(verdict, Verdict::Unsatisfiable);
    insta::assert_snapshot!("incident", text);
}

#[test]
fn a_dump_may_be_asked_what_would_be_if() {
    let later = INCIDENT.replace("\"now\": 1764000000", "\"now\": 1764000030");
    insta::assert_snapshot!("later", explain(&later, &[]).1);
    let forbidden = later.replace("\"policy\": \"Automatic\"", "\"policy\": \"Manual\"");
    let (verdict, text) = explain(&forbidden, &[]);
    assert_eq!(verdict, Verdict::Unsatisfiable);
    insta::assert_snapshot!("forbidden", text);
}

#[test]
fn a_dump_that_is_none_says_what_is_wrong_with_it() {
    let newer = INCIDENT.replace("\"kvorumDump\": 1", "\"kvorumDump\": 2");
    let (verdict, text) = explain(&newer, &[]);
    assert_eq!(verdict, Verdict::Unreadable);
    assert_eq!(
        text,
        "kvorumDump is 2, and this kvorum-operator reads 1: use the version that wrote the dump\n"
    );
    let even = INCIDENT.replacen("\"size\": 3", "\"size\": 4", 1);
    insta::assert_snapshot!("even", explain(&even, &[]).1);
    let unknown = INCIDENT.replace("\"paused\"", "\"pausd\"");
    assert_eq!(explain(&unknown, &[]).0, Verdict::Unreadable);
}
