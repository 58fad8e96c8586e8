//! Goal: an operator without any right beyond two namespaces, and none to Secrets, works there, and says what it cannot see. Method:
//! the chart with `namespaces`, for a class of its own, and clusters in both.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_zones::cluster::{Cluster, Space};
use kvorum_zones::install;
use kvorum_zones::limits::{CONDITION, READY};
use kvorum_zones::world::World;
use serde_json::json;

async fn stalls(cluster: &Cluster<'_>, why: &str) {
    let said = cluster.condition("Stalled", "True", CONDITION).await;
    let (reason, message) = said.unwrap();
    println!("{reason}: {message}");
    assert!(message.contains(why), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_of_two_namespaces_needs_listed_zones_and_nothing_else() {
    let Some(world) = World::attach().await else {
        return;
    };
    install::install_definition(&world).await.unwrap();
    let home = Space::new(&world, "small-operator").await.unwrap();
    let one = Space::new(&world, "small-one").await.unwrap();
    let two = Space::new(&world, "small-two").await.unwrap();
    let class = home.name.clone();
    let chart = install::chart();
    let chart = chart.to_string_lossy();
    let values = format!(
        "crds.enabled=false,rbac.secrets=false,class={class},namespaces={{{},{}}}",
        one.name, two.name
    );
    let install = [
        "install",
        &class,
        &chart,
        "--namespace",
        &home.name,
        "--set",
        &values,
        "--wait",
        "--timeout",
        "120s",
    ];
    install::run_helm(&world, &install).await.unwrap();

    let labels = [("kvorum.dev/class", class.as_str())];
    let zones = json!({ "placement": { "zones": ["zone-a", "zone-b", "zone-c"] } });
    let listed = one.create_labelled("orders", zones, &labels).await.unwrap();
    let anywhere = json!({ "members": 1, "placement": { "zoneSpread": "Disabled" } });
    let anywhere = two
        .create_labelled("orders", anywhere, &labels)
        .await
        .unwrap();
    let unlisted = two
        .create_labelled("unlisted", json!({}), &labels)
        .await
        .unwrap();
    let secured = json!({ "members": 1, "placement": { "zoneSpread": "Disabled" }, "tls": { "mode": "Auto" } });
    let secured = two
        .create_labelled("secured", secured, &labels)
        .await
        .unwrap();
    listed.ready(READY).await.unwrap();
    anywhere.ready(READY).await.unwrap();
    let layout = listed.layout().await.unwrap();
    assert!(layout.values().all(|members| *members == 1), "{layout:?}");
    let (reason, _) = listed
        .condition("PlacementSatisfied", "Unknown", CONDITION)
        .await
        .unwrap();
    assert_eq!(reason, "NodesNotVisible");
    stalls(&unlisted, "spec.placement.zones: must list the zones").await;
    let may_not = "spec.tls.mode: needs an operator that may get, create and patch Secrets";
    stalls(&secured, may_not).await;

    let uninstall = ["uninstall", &class, "--namespace", &home.name, "--wait"];
    install::run_helm(&world, &uninstall).await.unwrap();
    for space in [one, two, home] {
        space.finish().await.unwrap();
    }
}
