//! Goal: the rules hold where it counts: in a real API server, on apply and on scale.
//! Method: the definition of this checkout, objects through server-side apply and through the scale
//! subresource (what `kubectl scale` uses); the messages are printed, as they are what users see.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kube::api::{Patch, PatchParams};
use kvorum_api::KvCluster;
use kvorum_zones::cluster::Space;
use kvorum_zones::install::install_definition;
use kvorum_zones::world::World;
use serde_json::{Value, json};

/// Sizes that make no sense, and the words that say so.
const REFUSED: [(i32, &str); 5] = [
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
        11,
        "must be at most 9: every write goes to every member; use 9, or more clusters",
    ),
];

/// Nobody looks after KvClusters of this class: they stay as they are.
const CLASS: &str = "nobody";

async fn prepared(purpose: &str) -> Option<Space> {
    let world = World::attach().await?;
    install_definition(&world).await.unwrap();
    Some(Space::new(&world, purpose).await.unwrap())
}

/// What the API server says about applying a KvCluster with this spec.
async fn apply(space: &Space, name: &str, spec: Value) -> Result<KvCluster, String> {
    let object = json!({
        "apiVersion": "kvorum.dev/v1alpha1",
        "kind": "KvCluster",
        "metadata": { "name": name, "labels": { "kvorum.dev/class": CLASS } },
        "spec": spec,
    });
    let parameters = PatchParams::apply("kvorum-tests")
        .force()
        .validation_strict();
    let applied = space
        .api::<KvCluster>()
        .patch(name, &parameters, &Patch::Apply(object))
        .await;
    applied.map_err(message)
}

/// What it says about scaling one.
async fn scale(space: &Space, name: &str, members: i32) -> Result<(), String> {
    let scale = json!({ "spec": { "replicas": members } });
    let scaled = space
        .api::<KvCluster>()
        .patch_scale(name, &PatchParams::default(), &Patch::Merge(scale))
        .await;
    scaled.map(|_| ()).map_err(message)
}

fn message(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => panic!("no answer of the API server: {other}"),
    }
}

#[tokio::test]
async fn sizes_0_2_4_6_and_11_are_refused_by_apply_with_what_to_use_instead() {
    let Some(space) = prepared("sizes-apply").await else {
        return;
    };
    for (members, words) in REFUSED {
        let refused = apply(&space, "sizes", json!({ "members": members }))
            .await
            .unwrap_err();
        println!("apply members: {members} -> {refused}");
        assert!(refused.contains(words), "{refused}");
    }
    for members in [1, 3, 5, 7, 9] {
        let name = format!("size-{members}");
        apply(&space, &name, json!({ "members": members }))
            .await
            .unwrap();
    }
    space.finish().await.unwrap();
}

#[tokio::test]
async fn sizes_0_2_4_6_and_11_are_refused_by_scale_with_the_same_words() {
    let Some(space) = prepared("sizes-scale").await else {
        return;
    };
    apply(&space, "orders", json!({})).await.unwrap();
    for (members, words) in REFUSED {
        let refused = scale(&space, "orders", members).await.unwrap_err();
        println!("scale --replicas={members} -> {refused}");
        assert!(refused.contains(words), "{refused}");
    }
    scale(&space, "orders", 5).await.unwrap();
    space.finish().await.unwrap();
}

#[tokio::test]
async fn what_must_not_change_is_refused_with_a_reason() {
    let Some(space) = prepared("changes").await else {
        return;
    };
    apply(&space, "orders", json!({ "storage": { "size": "8Gi" } }))
        .await
        .unwrap();
    let table = [
        (json!({ "storage": { "size": "4Gi" } }), "must not shrink"),
        (
            json!({ "storage": { "size": "16Gi" } }),
            "growing volumes comes with a later version",
        ),
        (
            json!({ "storage": { "size": "8Gi", "className": "x" } }),
            "className must not be added",
        ),
        (
            json!({ "storage": { "size": "8Gi" }, "placement": { "topologyKey": "rack" } }),
            "must not change",
        ),
        (
            json!({ "storage": { "size": "8Gi" }, "placement": { "zones": ["a"], "drainZones": ["b"] } }),
            "drainZones must be among zones",
        ),
    ];
    for (spec, words) in table {
        let refused = apply(&space, "orders", spec).await.unwrap_err();
        println!("{refused}");
        assert!(refused.contains(words), "{refused}");
    }
    space.finish().await.unwrap();
}

#[tokio::test]
async fn zones_that_cannot_keep_the_promise_and_unknown_fields_are_refused() {
    let Some(space) = prepared("zones-rules").await else {
        return;
    };
    let table = [
        (
            json!({ "placement": { "zoneSpread": "Required", "zones": ["a", "b"] } }),
            "needs three zones",
        ),
        (
            json!({ "members": 1, "placement": { "zoneSpread": "Required" } }),
            "needs at least 3 members",
        ),
        (json!({ "hibernatd": true }), "hibernatd"),
        (
            json!({ "storage": { "size": "banana" } }),
            "must be a quantity of at least 1Gi",
        ),
    ];
    for (spec, words) in table {
        let refused = apply(&space, "orders", spec).await.unwrap_err();
        println!("{refused}");
        assert!(refused.contains(words), "{refused}");
    }
    let long = "a".repeat(41);
    assert!(
        apply(&space, &long, json!({}))
            .await
            .unwrap_err()
            .contains("at most 40 characters")
    );
    space.finish().await.unwrap();
}

#[tokio::test]
async fn the_status_latches_hold_against_an_administrator() {
    let Some(space) = prepared("latches").await else {
        return;
    };
    apply(&space, "orders", json!({})).await.unwrap();
    let fresh = space.api::<KvCluster>().get("orders").await.unwrap();
    assert_eq!(
        fresh.status.unwrap().observed_generation,
        -1,
        "a fresh object is not done"
    );
    let status = |status: Value| {
        let api = space.api::<KvCluster>();
        async move {
            let patch = Patch::Merge(json!({ "status": status }));
            let patched = api
                .patch_status("orders", &PatchParams::default(), &patch)
                .await;
            patched.map(|_| ()).map_err(message)
        }
    };
    status(json!({ "clusterID": "00000000000000ab", "bootstrapped": true }))
        .await
        .unwrap();
    let refused = status(json!({ "clusterID": "00000000000000cd" }))
        .await
        .unwrap_err();
    assert!(refused.contains("clusterID must never change"), "{refused}");
    let refused = status(json!({ "bootstrapped": false })).await.unwrap_err();
    assert!(
        refused.contains("bootstrapped must never go back"),
        "{refused}"
    );
    status(Value::Null).await.unwrap_err();
    space.finish().await.unwrap();
}
