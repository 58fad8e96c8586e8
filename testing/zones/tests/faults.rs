//! Goal: the loss of a node is survived, and nothing that was acknowledged is lost. Method: the power of a
//! node of the testbed is cut under a client that writes without pause. One fault at a time.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::Instant;

use kvorum_zones::cluster::Space;
use kvorum_zones::install;
use kvorum_zones::limits::{CONDITION, HEALED, READY};
use kvorum_zones::load::Load;
use kvorum_zones::world::{World, blocking};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_leaders_node_is_powered_off_and_writes_go_on_with_nothing_lost() {
    let Some((world, testbed)) = World::attach_testbed().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "power-off").await.unwrap();
    let cluster = space
        .create(
            "orders",
            json!({ "placement": { "zoneSpread": "Required" } }),
        )
        .await
        .unwrap();
    cluster.ready(READY).await.unwrap();
    let load = Load::start(&cluster).await.unwrap();

    let status = cluster.status().await.unwrap();
    let leader = status
        .members
        .iter()
        .find(|member| member.leader)
        .unwrap()
        .clone();
    let node = leader.node.clone().unwrap();
    let _ = load.gap();
    let started = Instant::now();
    let (power, name) = (testbed.clone(), node.clone());
    blocking(move || power.node_kill(&name)).await.unwrap();
    // Well past the moment at which the others elect.
    load.more(1000).await.unwrap();
    println!(
        "leader's node {node} powered off: longest time without an acknowledged write {:.2} s",
        load.gap().as_secs_f64()
    );

    // It is said, though the operator may have lost its own node.
    let (_, message) = cluster
        .condition("ZoneFaultTolerant", "False", CONDITION)
        .await
        .unwrap();
    println!("ZoneFaultTolerant=False: {message}");
    cluster
        .condition("Available", "True", CONDITION)
        .await
        .unwrap();
    let elected = cluster.status().await.unwrap();
    let elected = elected.members.iter().find(|member| member.leader).unwrap();
    assert_ne!(elected.id, leader.id, "another member leads");

    let (power, name) = (testbed.clone(), node.clone());
    blocking(move || power.node_start(&name)).await.unwrap();
    cluster.condition("Ready", "True", HEALED).await.unwrap();
    println!(
        "whole again {:.1} s after the power cut",
        started.elapsed().as_secs_f64()
    );
    println!(
        "{} acknowledged writes, none lost",
        load.check().await.unwrap()
    );
    space.finish().await.unwrap();
}
