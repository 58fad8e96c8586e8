//! Goal: a cluster becomes what is asked for while it is written to without pause, and nothing that was
//! acknowledged is lost: grown, shrunk, drained, rebalanced, healed of lost disks and nodes.
//! Method: changes of the spec and faults of the testbed, one after the other; what was measured is printed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim};
use kube::Api;
use kube::api::DeleteParams;
use kvorum_zones::cluster::{Cluster, Space};
use kvorum_zones::install;
use kvorum_zones::limits::{HEALED, OPERATED, READY};
use kvorum_zones::load::Load;
use kvorum_zones::world::{World, blocking, until};
use serde_json::{Value, json};

/// Says what an operation took.
fn report(what: &str, took: std::time::Duration, load: &Load) {
    println!(
        "{what}: {:.1} s, longest time without an acknowledged write {:.2} s",
        took.as_secs_f64(),
        load.gap().as_secs_f64()
    );
}

async fn becomes(cluster: &Cluster<'_>, load: &Load, what: &str, spec: Value) {
    let _ = load.gap();
    cluster.change(spec).await.unwrap();
    let took = cluster.settled(OPERATED).await.unwrap();
    load.more(100).await.unwrap();
    report(what, took, load);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_to_five_to_seven_to_five_to_three_to_one_to_three() {
    let Some((world, _)) = World::attach_testbed().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "scale").await.unwrap();
    let spec = json!({ "placement": { "nodeSpread": "Preferred" } });
    let cluster = space.create("orders", spec).await.unwrap();
    cluster.ready(READY).await.unwrap();
    let load = Load::start(&cluster).await.unwrap();
    for members in [5_u8, 7, 5, 3, 1, 3] {
        let what = format!("to {members} members");
        becomes(&cluster, &load, &what, json!({ "members": members })).await;
        let members = usize::from(members);
        assert_eq!(cluster.voters().await.unwrap().len(), members);
        if members >= 3 {
            let zones = cluster.status().await.unwrap().zones;
            let most = zones.iter().map(|zone| zone.members).max().unwrap();
            assert!(usize::try_from(most).unwrap() * 2 < members, "{zones:?}");
        }
    }
    let kept = cluster.status().await.unwrap().retired;
    assert_eq!(kept.len(), 4 + 2, "volumes of members that left are kept");
    let written = load.check().await.unwrap();
    println!("{written} acknowledged writes, none lost");
    space.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_that_changes_midway_is_honoured() {
    let Some((world, _)) = World::attach_testbed().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "midway").await.unwrap();
    let spec = json!({ "placement": { "nodeSpread": "Preferred" } });
    let cluster = space.create("orders", spec).await.unwrap();
    cluster.ready(READY).await.unwrap();
    let load = Load::start(&cluster).await.unwrap();
    cluster.change(json!({ "members": 7 })).await.unwrap();
    until("new members are on their way", OPERATED, || async {
        let members = cluster.status().await?.members.len();
        Ok(if members > 3 {
            Ok(())
        } else {
            Err(format!("{members} members"))
        })
    })
    .await
    .unwrap();
    becomes(
        &cluster,
        &load,
        "3 -> 7 -> 3 midway",
        json!({ "members": 3 }),
    )
    .await;
    assert_eq!(cluster.voters().await.unwrap().len(), 3);
    println!(
        "{} acknowledged writes, none lost",
        load.check().await.unwrap()
    );
    space.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_is_drained_and_filled_again() {
    let Some((world, _)) = World::attach_testbed().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "drain").await.unwrap();
    let placement = json!({ "placement": {
        "nodeSpread": "Preferred", "zones": ["zone-a", "zone-b", "zone-c"] } });
    let cluster = space.create("orders", placement).await.unwrap();
    cluster.ready(READY).await.unwrap();
    let load = Load::start(&cluster).await.unwrap();
    // Two zones cannot keep a zone from holding two of three voters: said, and nothing done.
    let drained = json!({ "placement": { "drainZones": ["zone-c"] } });
    cluster.change(drained).await.unwrap();
    let (reason, message) = cluster
        .condition("Stalled", "True", OPERATED)
        .await
        .unwrap();
    println!("{reason}: {message}");
    assert_eq!(reason, "ZoneQuorum");
    assert_eq!(cluster.voters().await.unwrap(), [1, 2, 3]);
    let whole = json!({ "placement": { "drainZones": [] }, "members": 1 });
    becomes(&cluster, &load, "to one member", whole).await;
    let leader = cluster.leader().await.unwrap();
    let zone = leader.zone.unwrap();
    let moved = json!({ "placement": { "drainZones": [zone] } });
    becomes(&cluster, &load, "the only member's zone drained", moved).await;
    let now = cluster.leader().await.unwrap();
    assert_ne!(now.zone.as_deref(), Some(zone.as_str()));
    assert_ne!(now.id, leader.id, "an ID is never used again");
    println!(
        "{} acknowledged writes, none lost",
        load.check().await.unwrap()
    );
    space.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_disk_is_healed_without_help() {
    let Some((world, _)) = World::attach_testbed().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "lost-disk").await.unwrap();
    let cluster = space.create("orders", json!({})).await.unwrap();
    cluster.ready(READY).await.unwrap();
    let load = Load::start(&cluster).await.unwrap();
    let leader = cluster.leader().await.unwrap();
    let victim = cluster.status().await.unwrap().members;
    let victim = victim
        .into_iter()
        .find(|member| member.id != leader.id)
        .unwrap();
    let claims = space.api::<PersistentVolumeClaim>();
    let _ = load.gap();
    claims
        .delete(&victim.pvc, &DeleteParams::default())
        .await
        .unwrap();
    let pods = space.api::<k8s_openapi::api::core::v1::Pod>();
    let pod = format!("{}-0", victim.name);
    pods.delete(&pod, &DeleteParams::default()).await.unwrap();
    let started = std::time::Instant::now();
    until("another member took its place", HEALED, || async {
        let voters = cluster.voters().await?;
        let done = voters.len() == 3 && !voters.contains(&victim.id);
        Ok(if done {
            Ok(())
        } else {
            Err(format!("voters {voters:?}"))
        })
    })
    .await
    .unwrap();
    cluster.settled(HEALED).await.unwrap();
    report("a lost disk healed without help", started.elapsed(), &load);
    let zones = cluster.layout().await.unwrap();
    assert_eq!(zones.len(), 3, "in the zone of the lost one: {zones:?}");
    println!(
        "{} acknowledged writes, none lost",
        load.check().await.unwrap()
    );
    space.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_lost_for_good_is_healed_without_help() {
    let Some((world, testbed)) = World::attach_testbed().await else {
        return;
    };
    if testbed.nodes().len() < 6 {
        eprintln!("SKIPPED: a lost node needs another in its zone; bring up two nodes per zone");
        return;
    }
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "lost-node").await.unwrap();
    let cluster = space.create("orders", json!({})).await.unwrap();
    cluster.ready(READY).await.unwrap();
    let load = Load::start(&cluster).await.unwrap();
    let leader = cluster.leader().await.unwrap();
    let node = leader.node.clone().unwrap();
    let _ = load.gap();
    let started = std::time::Instant::now();
    let (power, name) = (testbed.clone(), node.clone());
    blocking(move || power.node_kill(&name)).await.unwrap();
    // What a cloud does, or an administrator who knows that it will not come back.
    let nodes = Api::<Node>::all(world.client.clone());
    nodes.delete(&node, &DeleteParams::default()).await.unwrap();
    let healed = until("another member took its place", HEALED, || async {
        let voters = cluster.voters().await?;
        let done = voters.len() == 3 && !voters.contains(&leader.id);
        Ok(if done {
            Ok(())
        } else {
            Err(format!("voters {voters:?}"))
        })
    })
    .await;
    let settled = cluster.settled(HEALED).await;
    let took = started.elapsed();
    let (power, name) = (testbed.clone(), node.clone());
    blocking(move || power.node_start(&name)).await.unwrap();
    healed.unwrap();
    settled.unwrap();
    report(
        "the leader's node lost for good, healed without help",
        took,
        &load,
    );
    println!(
        "{} acknowledged writes, none lost",
        load.check().await.unwrap()
    );
    space.finish().await.unwrap();
}
