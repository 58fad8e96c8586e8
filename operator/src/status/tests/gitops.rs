//! Goal: tools that wait for a KvCluster read its status rightly in every phase: Helm 4, Flux and `kubectl` by
//! the generic rules of kstatus, Argo CD by the check that we ship. Method: those rules, written down here once
//! more, and the check itself in a Lua of the version that Argo CD has, over the statuses of the other tests.

use kvorum_plan::observed::StorageClass;
use mlua::{Lua, LuaSerdeExt, Table};
use serde_json::{Value, json};

use super::*;

/// The check as users install it.
const HEALTH: &str = include_str!("../../../../docs/gitops/argocd-health.lua");

/// What a waiting tool sees of a KvCluster.
fn object(generation: i64, status: &Value) -> Value {
    json!({ "metadata": { "generation": generation }, "status": status })
}

/// kstatus, for kinds that it does not know: the deletion, the generation, two conditions, then Ready.
fn kstatus(object: &Value) -> &'static str {
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return "Terminating";
    }
    let observed = &object["status"]["observedGeneration"];
    if !observed.is_null() && *observed != object["metadata"]["generation"] {
        return "InProgress";
    }
    let conditions = object["status"]["conditions"].as_array();
    let conditions: &[Value] = conditions.map_or(&[], Vec::as_slice);
    for condition in conditions.iter().filter(|it| it["status"] == "True") {
        match condition["type"].as_str() {
            Some("Reconciling") => return "InProgress",
            Some("Stalled") => return "Failed",
            _ => {}
        }
    }
    match conditions.iter().find(|it| it["type"] == "Ready") {
        Some(ready) if ready["status"] != "True" => "InProgress",
        _ => "Current",
    }
}

/// What the check says: status and message.
fn argo(object: &Value) -> (String, String) {
    let lua = Lua::new();
    lua.globals()
        .set("obj", lua.to_value(object).unwrap())
        .unwrap();
    let health: Table = lua.load(HEALTH).eval().unwrap();
    (
        health.get("status").unwrap(),
        health.get("message").unwrap(),
    )
}

/// Both in one line.
fn seen(status: &KvClusterStatus) -> String {
    let status = serde_json::to_value(status).unwrap();
    let object = object(4, &status);
    let (health, message) = argo(&object);
    format!("{} {health}: {message}", kstatus(&object))
}

fn newborn() -> Case {
    let mut case = Case::running(&["a", "b", "c"]);
    case.observed.status = StatusLatch::default();
    case.observed.record = None;
    case.observed.volumes.clear();
    case.observed.members.clear();
    case.observed.world.zones = ["a", "b", "c"].map(|zone| (Zone::new(zone), 1)).into();
    case.previous = KvClusterStatus::default();
    case
}

#[test]
fn what_nobody_has_looked_at_yet_is_in_progress() {
    let fresh = object(1, &json!({ "observedGeneration": -1 }));
    assert_eq!(kstatus(&fresh), "InProgress");
    assert_eq!(argo(&fresh).0, "Progressing");
    let without = json!({ "metadata": { "generation": 1 } });
    assert_eq!(argo(&without).0, "Progressing");
    // A new spec on a cluster that was well: what was said is about the old one.
    let status = serde_json::to_value(Case::running(&["a", "b", "c"]).status()).unwrap();
    let stale = object(5, &status);
    assert_eq!(kstatus(&stale), "InProgress");
    assert_eq!(argo(&stale).0, "Progressing");
}

#[test]
fn a_cluster_that_comes_up_is_in_progress_and_then_current() {
    let seen_newborn = seen(&newborn().status());
    assert!(
        seen_newborn.starts_with("InProgress Progressing: "),
        "{seen_newborn}"
    );
    assert_eq!(
        seen(&Case::running(&["a", "b", "c"]).status()),
        "Current Healthy: Every member serves clients"
    );
}

#[test]
fn a_lost_member_is_waited_for_and_a_lost_quorum_is_an_outage() {
    let mut case = Case::running(&["a", "b", "c"]);
    case.lose(1);
    let one_lost = seen(&case.status());
    assert!(
        one_lost.starts_with("InProgress Progressing: m1"),
        "{one_lost}"
    );
    case.lose(3);
    let report = case.observed.members.get_mut(&MemberId(2)).unwrap();
    let report = report.report.as_mut().unwrap();
    (report.ready, report.confirmed, report.leader) = (false, false, None);
    let outage = seen(&case.status());
    assert!(
        outage.starts_with("Failed Degraded: 1 of 3 voters answer and 2 must agree"),
        "{outage}"
    );
}

#[test]
fn what_needs_a_person_has_failed() {
    let mut conflict = Case::running(&["a", "b", "c"]);
    let record = conflict.observed.record.as_mut().unwrap();
    record.reservation.cluster_id = ClusterId::MAX;
    let mut no_zone = newborn();
    no_zone.observed.world.zones.clear();
    let mut no_class = newborn();
    no_class.observed.world.storage_class = StorageClass::NoDefault;
    for case in [conflict, no_zone, no_class] {
        let seen = seen(&case.status());
        assert!(seen.starts_with("Failed Degraded: "), "{seen}");
    }
}

#[test]
fn a_pause_is_no_failure_and_nothing_to_wait_for() {
    let mut case = Case::running(&["a", "b", "c"]);
    case.cluster.spec.paused = true;
    assert_eq!(
        seen(&case.status()),
        "Current Suspended: Nothing is changed until spec.paused is false"
    );
}

#[test]
fn a_cluster_asleep_is_suspended_and_no_outage() {
    let mut case = Case::running(&["a", "b", "c"]);
    case.cluster.spec.hibernated = true;
    let going = seen(&case.status());
    assert!(going.starts_with("InProgress Suspended: "), "{going}");
    for member in case.observed.members.values_mut() {
        (member.pod, member.report) = (None, None);
        member.set.as_mut().unwrap().running = false;
    }
    assert_eq!(
        seen(&case.status()),
        "Current Suspended: No member has a pod; spec.hibernated: false wakes the cluster"
    );
}

#[test]
fn a_cluster_that_goes_is_not_current() {
    let mut case = Case::running(&["a", "b", "c"]);
    case.observed.deleting = true;
    let seen = seen(&case.status());
    assert!(seen.starts_with("InProgress Progressing: "), "{seen}");
    let going =
        json!({ "metadata": { "generation": 1, "deletionTimestamp": "2026-01-01T00:00:00Z" } });
    assert_eq!(kstatus(&going), "Terminating");
}

#[test]
fn unseen_nodes_are_told_and_hold_nothing_up() {
    let mut case = Case::running(&["a", "b", "c"]);
    case.cluster.sees_nodes = false;
    for member in case.observed.members.values_mut() {
        member.pod.as_mut().unwrap().node_zone = None;
    }
    let status = case.status();
    let placed = get(&status.conditions, "PlacementSatisfied").unwrap();
    assert_eq!(
        (placed.status.as_str(), placed.reason.as_str()),
        ("Unknown", "NodesNotVisible")
    );
    assert!(seen(&status).starts_with("Current Healthy"));
}
