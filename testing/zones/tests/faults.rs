//! Goal: the loss of a node is survived, and nothing that was acknowledged is lost. Method: the power of a
//! node of the testbed is cut under a client that writes without pause. One fault at a time.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::{Duration, Instant};

use kvorum_zones::cluster::Space;
use kvorum_zones::data::Writer;
use kvorum_zones::install;
use kvorum_zones::limits::{CONDITION, FAILOVER, HEALED, READY};
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
    let mut writer = Writer::new(&cluster).await.unwrap();
    writer.write_many(300, FAILOVER).await.unwrap();

    let status = cluster.status().await.unwrap();
    let leader = status
        .members
        .iter()
        .find(|member| member.leader)
        .unwrap()
        .clone();
    let node = leader.node.clone().unwrap();
    writer.gap = Duration::ZERO;
    let (power, name) = (testbed.clone(), node.clone());
    let off = tokio::spawn(blocking(move || power.node_kill(&name)));
    let started = Instant::now();
    // Well past the moment at which the others elect.
    while started.elapsed() < Duration::from_secs(10) {
        writer.write(FAILOVER).await.unwrap();
    }
    off.await.unwrap().unwrap();
    println!(
        "leader's node {node} powered off: longest gap between acknowledged writes {:.2} s, {} written",
        writer.gap.as_secs_f64(),
        writer.written()
    );
    writer.check(FAILOVER).await.unwrap();

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
    let mut reader = Writer::new(&cluster).await.unwrap();
    reader.continue_from(&writer);
    reader.check(FAILOVER).await.unwrap();
    space.finish().await.unwrap();
}
