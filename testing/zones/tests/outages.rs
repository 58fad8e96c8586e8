//! Goal: what happens to zones, to the operator and to the control plane takes no acknowledged write along,
//! and nothing is done that makes it worse. Method: faults of the testbed under writes without pause.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kube::Api;
use kube::api::{DeleteParams, ListParams};
use kvorum_zones::cluster::Space;
use kvorum_zones::install;
use kvorum_zones::limits::{CONDITION, HEALED, OPERATED, READY};
use kvorum_zones::load::Load;
use kvorum_zones::world::{World, blocking};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_leaders_zone_is_powered_off_and_comes_back() {
    let Some((world, testbed)) = World::attach_testbed().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "zone-off").await.unwrap();
    let spec = json!({ "members": 5, "placement": { "nodeSpread": "Preferred" } });
    let cluster = space.create("orders", spec).await.unwrap();
    cluster.ready(READY).await.unwrap();
    let load = Load::start(&cluster).await.unwrap();
    let leader = cluster.leader().await.unwrap();
    let zone = leader.zone.clone().unwrap();
    let letter = zone.chars().last().unwrap();
    let nodes = testbed.nodes().iter().filter(|node| node.zone() == letter);
    let nodes: Vec<String> = nodes.map(|node| node.name.clone()).collect();
    let _ = load.gap();
    let (power, off) = (testbed.clone(), nodes.clone());
    blocking(move || off.iter().try_for_each(|node| power.node_kill(node)))
        .await
        .unwrap();
    load.more(500).await.unwrap();
    println!(
        "{zone} with the leader powered off: longest time without an acknowledged write {:.2} s",
        load.gap().as_secs_f64()
    );
    let said = cluster
        .condition("ZoneFaultTolerant", "False", CONDITION)
        .await;
    let available = cluster.condition("Available", "True", CONDITION).await;
    let (power, on) = (testbed.clone(), nodes);
    blocking(move || on.iter().try_for_each(|node| power.node_start(node)))
        .await
        .unwrap();
    println!("ZoneFaultTolerant=False: {}", said.unwrap().1);
    available.unwrap();
    cluster.settled(HEALED).await.unwrap();
    assert_eq!(
        cluster.voters().await.unwrap(),
        [1, 2, 3, 4, 5],
        "a zone that is away is waited for"
    );
    println!(
        "{} acknowledged writes, none lost",
        load.check().await.unwrap()
    );
    space.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_and_control_plane_are_killed_while_members_change() {
    let Some((world, testbed)) = World::attach_testbed().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "control").await.unwrap();
    let spec = json!({ "placement": { "nodeSpread": "Preferred" } });
    let cluster = space.create("orders", spec).await.unwrap();
    cluster.ready(READY).await.unwrap();
    let load = Load::start(&cluster).await.unwrap();
    let _ = load.gap();
    cluster.change(json!({ "members": 5 })).await.unwrap();
    let operators = Api::<k8s_openapi::api::core::v1::Pod>::namespaced(
        world.client.clone(),
        install::NAMESPACE,
    );
    let ours = ListParams::default().labels("app.kubernetes.io/name=kvorum-operator");
    let at_once = DeleteParams::default().grace_period(0);
    operators.delete_collection(&at_once, &ours).await.unwrap();
    let took = cluster.settled(OPERATED).await.unwrap();
    println!(
        "3 -> 5 with the operator killed meanwhile: {:.1} s, longest time without an acknowledged write {:.2} s",
        took.as_secs_f64(),
        load.gap().as_secs_f64()
    );
    cluster.change(json!({ "members": 3 })).await.unwrap();
    let power = testbed.clone();
    blocking(move || power.control_plane_kill()).await.unwrap();
    load.more(500).await.unwrap();
    println!(
        "control plane killed: longest time without an acknowledged write {:.2} s",
        load.gap().as_secs_f64()
    );
    let power = testbed.clone();
    blocking(move || power.control_plane_start()).await.unwrap();
    let took = cluster.settled(HEALED).await.unwrap();
    println!("5 -> 3 over it, back after {:.1} s", took.as_secs_f64());
    assert_eq!(cluster.voters().await.unwrap().len(), 3);
    println!(
        "{} acknowledged writes, none lost",
        load.check().await.unwrap()
    );
    space.finish().await.unwrap();
}
