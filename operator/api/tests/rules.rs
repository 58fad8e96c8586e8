//! Goal: every rule refuses what it should, with words that help, and nothing else.
//! Method: tables of specs against the rules as they are installed. The same against a real API server, and
//! through `kubectl scale`, is in `testing/zones`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_api::rules::review;
use serde_json::{Value, json};

fn cluster(spec: Value) -> Value {
    json!({
        "apiVersion": "kvorum.dev/v1alpha1",
        "kind": "KvCluster",
        "metadata": { "name": "orders", "namespace": "shop" },
        "spec": spec,
    })
}

fn problems(object: &Value, old: Option<&Value>) -> Vec<String> {
    match review(object, old) {
        Ok(_) => vec![],
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

/// What a new object with this spec is told.
fn created(spec: Value) -> Vec<String> {
    problems(&cluster(spec), None)
}

/// What a change from one spec to another is told.
fn changed(from: Value, to: Value) -> Vec<String> {
    let stored = review(&cluster(from), None).expect("the old spec is a good one");
    problems(&cluster(to), Some(&stored))
}

fn assert_one(problems: &[String], words: &str) {
    assert!(
        problems.len() == 1 && problems[0].contains(words),
        "expected one problem with {words:?}: {problems:#?}"
    );
}

#[test]
fn a_spec_without_anything_is_three_members() {
    let stored = review(&cluster(json!({})), None).unwrap();
    assert_eq!(stored["spec"]["members"], 3);
    assert_eq!(stored["spec"]["storage"]["size"], "10Gi");
    assert_eq!(stored["spec"]["placement"]["zoneSpread"], "Preferred");
    assert_eq!(stored["status"]["observedGeneration"], -1);
}

#[test]
fn odd_sizes_are_taken() {
    for members in [1, 3, 5, 7, 9] {
        assert_eq!(created(json!({ "members": members })), [""; 0], "{members}");
    }
}

#[test]
fn d9_other_sizes_are_refused_and_told_what_to_use() {
    let table = [
        (-1, "must be at least 1"),
        (0, "must be at least 1: use 1, 3, 5, 7 or 9"),
        (
            2,
            "must be odd: 2 members survive no loss, exactly like 1; use 1 or 3",
        ),
        (
            4,
            "must be odd: 4 members survive the loss of 1, exactly like 3; use 3 or 5",
        ),
        (
            6,
            "must be odd: 6 members survive the loss of 2, exactly like 5; use 5 or 7",
        ),
        (
            8,
            "must be odd: 8 members survive the loss of 3, exactly like 7; use 7 or 9",
        ),
        (10, "must be at most 9"),
        (
            11,
            "must be at most 9: every write goes to every member; use 9, or more clusters",
        ),
    ];
    for (members, words) in table {
        let problems = created(json!({ "members": members }));
        assert_one(&problems, words);
        assert!(problems[0].starts_with("spec.members: "), "{problems:?}");
        // The same words when a running cluster is scaled.
        assert_one(&changed(json!({}), json!({ "members": members })), words);
    }
}

#[test]
fn members_may_change_to_any_odd_number() {
    for members in [1, 5, 7, 9] {
        let to = json!({ "members": members });
        assert_eq!(changed(json!({ "members": 3 }), to), [""; 0], "{members}");
    }
}

#[test]
fn required_zones_must_be_possible() {
    let required = |zones: Value, members: i32| json!({ "members": members, "placement": { "zoneSpread": "Required", "zones": zones } });
    assert_eq!(created(required(json!(["a", "b", "c"]), 3)), [""; 0]);
    assert_eq!(created(required(json!([]), 3)), [""; 0]);
    assert_one(
        &created(required(json!(["a", "b"]), 3)),
        "zoneSpread Required needs three zones",
    );
    assert_one(&created(required(json!([]), 1)), "needs at least 3 members");
    assert_one(
        &created(json!({ "placement": { "zoneSpread": "Disabled", "zones": ["a"] } })),
        "zones must be empty with zoneSpread Disabled",
    );
    assert_one(
        &created(json!({ "placement": { "zones": ["a", "b", "a"] } })),
        "must not be listed twice",
    );
}

#[test]
fn placement_that_cannot_be_reached_is_refused() {
    let placed = |placement: Value| json!({ "placement": placement });
    assert_one(
        &changed(json!({}), placed(json!({ "topologyKey": "rack" }))),
        "spec.placement.topologyKey: must not change",
    );
    let abc = placed(json!({ "zones": ["a", "b", "c"] }));
    for other in [json!({}), placed(json!({ "zones": ["a", "b", "d"] }))] {
        assert_eq!(changed(abc.clone(), other), [""; 0]);
    }
    assert_one(
        &changed(json!({}), placed(json!({ "zoneSpread": "Disabled" }))),
        "must not change to or from Disabled",
    );
    assert_eq!(
        changed(json!({}), placed(json!({ "nodeSpread": "Preferred" }))),
        [""; 0]
    );
}

#[test]
fn storage_is_a_quantity_that_stays() {
    let size = |size: Value| json!({ "storage": { "size": size } });
    assert_eq!(created(size(json!("1Gi"))), [""; 0]);
    assert_eq!(created(size(json!(2_147_483_648_i64))), [""; 0]);
    assert_one(
        &created(size(json!("1023Mi"))),
        "must be a quantity of at least 1Gi",
    );
    assert_one(
        &created(size(json!("banana"))),
        "spec.storage.size: must match",
    );
    assert_one(
        &changed(size(json!("8Gi")), size(json!("4Gi"))),
        "must not shrink",
    );
    assert_one(
        &changed(size(json!("8Gi")), size(json!("16Gi"))),
        "growing volumes comes with",
    );
    assert_eq!(changed(size(json!("8Gi")), size(json!("8192Mi"))), [""; 0]);
    let class = |name: &str| json!({ "storage": { "className": name } });
    assert_one(&changed(class("a"), class("b")), "must not change yet");
    assert_one(
        &changed(json!({}), class("b")),
        "must not be added or removed yet",
    );
}

#[test]
fn config_must_make_sense() {
    let config = |config: Value| json!({ "config": config });
    assert_eq!(
        created(config(json!({
            "heartbeatMilliseconds": 100, "electionTimeoutMilliseconds": 500, "quota": "8Gi",
            "snapshotCount": 10000, "maxRequestBytes": 1_572_864,
            "autoCompaction": { "mode": "Periodic", "retention": "30m" },
        }))),
        [""; 0]
    );
    assert_one(
        &created(config(json!({ "heartbeatMilliseconds": 300 }))),
        "at least 5 times heartbeatMilliseconds",
    );
    assert_one(
        &created(config(json!({ "quota": "1Mi" }))),
        "between 16Mi and 1Ti",
    );
    for (mode, retention) in [("Periodic", "1000"), ("Revision", "30m"), ("Revision", "0")] {
        let compaction = json!({ "autoCompaction": { "mode": mode, "retention": retention } });
        assert_one(&created(config(compaction)), "retention must be a time");
    }
    assert_one(
        &created(json!({ "resources": { "requests": { "cpu": "2" }, "limits": { "cpu": "1" } } })),
        "requests must not be more than limits",
    );
}

#[test]
fn names_must_fit_services_and_labels() {
    let named = |name: &str| {
        let mut object = cluster(json!({}));
        object["metadata"]["name"] = json!(name);
        problems(&object, None)
    };
    assert_eq!(named(&"a".repeat(40)), [""; 0]);
    assert_one(&named(&"a".repeat(41)), "at most 40 characters");
    for name in ["1st", "orders.v2", "orders-"] {
        assert_one(&named(name), "must start with a letter");
    }
}

#[test]
fn the_status_latches_hold_even_against_the_operator() {
    let latched = |status: Value| {
        let mut object = cluster(json!({}));
        object["status"] = status;
        object
    };
    let old = latched(
        json!({ "observedGeneration": 1, "clusterID": "00000000000000ab", "bootstrapped": true }),
    );
    let same = latched(
        json!({ "observedGeneration": 2, "clusterID": "00000000000000ab", "bootstrapped": true }),
    );
    assert_eq!(problems(&same, Some(&old)), [""; 0]);
    let other = latched(
        json!({ "observedGeneration": 2, "clusterID": "00000000000000cd", "bootstrapped": true }),
    );
    assert_one(&problems(&other, Some(&old)), "clusterID must never change");
    let back = latched(json!({ "observedGeneration": 2, "clusterID": "00000000000000ab" }));
    assert_one(
        &problems(&back, Some(&old)),
        "bootstrapped must never go back",
    );
}

#[test]
fn zones_are_drained_as_far_as_the_rest_allows() {
    let drained = |drain: Value, spread: &str| json!({ "placement": { "zones": ["a", "b", "c", "d"], "drainZones": drain, "zoneSpread": spread } });
    assert_eq!(created(drained(json!(["a"]), "Required")), [""; 0]);
    assert_eq!(created(drained(json!(["a", "b"]), "Preferred")), [""; 0]);
    assert_one(
        &created(drained(json!(["a", "b"]), "Required")),
        "needs three zones that are not drained",
    );
    assert_one(
        &created(drained(json!(["x"]), "Preferred")),
        "must be among zones",
    );
    assert_one(
        &created(json!({ "placement": { "zoneSpread": "Disabled", "leaderZones": ["a"] } })),
        "must be empty with zoneSpread Disabled",
    );
    let discovered = json!({ "placement": { "drainZones": ["a"] } });
    assert_eq!(created(discovered), [""; 0]);
}

#[test]
fn spans_and_bounds_of_replacement_make_sense() {
    let replaced = |field: &str, value: Value| json!({ "replacement": { field: value } });
    assert_eq!(created(replaced("unreachableAfter", json!("90s"))), [""; 0]);
    for span in ["0m", "5", "1d", "-3m"] {
        let problems = created(replaced("unreachableAfter", json!(span)));
        assert_one(&problems, "spec.replacement.unreachableAfter");
    }
    assert_one(
        &created(replaced("maxPerDay", json!(33))),
        "spec.replacement.maxPerDay",
    );
    let kept = |span: &str| json!({ "storage": { "keepReplacedFor": span } });
    assert_eq!(created(kept("0s")), [""; 0]);
    assert_one(&created(kept("forever")), "spec.storage.keepReplacedFor");
    assert_one(
        &created(json!({ "fencedMembers": [0] })),
        "spec.fencedMembers",
    );
}

#[test]
fn tls_is_off_or_made_by_the_operator() {
    let tls = |field: &str, value: Value| json!({ "tls": { field: value } });
    for mode in ["Auto", "Disabled"] {
        assert_eq!(created(tls("mode", json!(mode))), [""; 0]);
    }
    for (field, value) in [
        ("mode", json!("Sometimes")),
        ("clients", json!("Optional")),
        ("clientAuth", json!("Maybe")),
        ("caGeneration", json!(-1)),
        ("caOverlap", json!("0h")),
    ] {
        assert_one(&created(tls(field, value)), &format!("spec.tls.{field}"));
    }
    assert_one(
        &created(tls("autoTls", json!({}))),
        "spec.tls.autoTls: is no known field",
    );
}

#[test]
fn certificates_of_others_must_be_named() {
    let spec = |more: Value| {
        let mut tls = json!({ "mode": "Auto" });
        for (key, value) in more.as_object().unwrap() {
            tls[key] = value.clone();
        }
        json!({ "tls": tls })
    };
    let secrets = json!({ "server": "a", "peer": "b", "operator": "c" });
    for good in [
        json!({ "mode": "CertManager", "issuerRef": { "name": "ca" } }),
        json!({ "mode": "Secret", "secrets": secrets }),
    ] {
        assert_eq!(created(spec(good)), [""; 0]);
    }
    let stored = review(
        &cluster(spec(
            json!({ "mode": "CertManager", "issuerRef": { "name": "ca" } }),
        )),
        None,
    );
    let issuer = &stored.unwrap()["spec"]["tls"]["issuerRef"];
    assert_eq!(
        (&issuer["kind"], &issuer["group"]),
        (&json!("Issuer"), &json!("cert-manager.io"))
    );
    for (bad, words) in [
        (
            json!({ "mode": "CertManager" }),
            "tls.mode CertManager needs tls.issuerRef",
        ),
        (
            json!({ "mode": "Secret" }),
            "tls.mode Secret needs tls.secrets",
        ),
        (
            json!({ "mode": "CertManager", "issuerRef": {} }),
            "spec.tls.issuerRef.name: must be set",
        ),
        (
            json!({ "mode": "Secret", "secrets": { "server": "a", "peer": "b" } }),
            "spec.tls.secrets.operator: must be set",
        ),
    ] {
        assert_one(&created(spec(bad)), words);
    }
}

#[test]
fn fields_that_are_not_there_yet_are_named() {
    assert_one(
        &created(json!({ "backup": {} })),
        "spec.backup: is no known field",
    );
    assert_one(
        &created(json!({ "members": "three" })),
        "spec.members: must be of type integer",
    );
}
