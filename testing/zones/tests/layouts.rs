//! Goal: clusters of every size come up over three zones as the table says. Method: real pods on real nodes;
//! the zone of a member is read from the label of the node it runs on.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;

use kvorum_zones::cluster::Space;
use kvorum_zones::install;
use kvorum_zones::limits::{READY, READY_GOAL};
use kvorum_zones::world::World;
use serde_json::json;

/// One after the other: four clusters at once would be sixteen members starting on two cores.
#[tokio::test]
async fn one_three_five_and_seven_members_get_the_layouts_of_the_table() {
    let Some(world) = World::attach().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let table = [
        (1, vec![1]),
        (3, vec![1, 1, 1]),
        (5, vec![2, 2, 1]),
        (7, vec![3, 2, 2]),
    ];
    for (members, expected) in table {
        let space = Space::new(&world, "layout").await.unwrap();
        // Seven members need three nodes in one zone, and a testbed has fewer.
        let spec = json!({ "members": members, "placement": { "nodeSpread": "Preferred" } });
        let cluster = space.create("spread", spec).await.unwrap();
        let took = cluster.ready(READY).await.unwrap();
        println!(
            "{members} members: apply to Ready {:.1} s",
            took.as_secs_f64()
        );
        let layout = cluster.layout().await.unwrap();
        let mut counts: Vec<usize> = layout.values().copied().collect();
        counts.sort_by_key(|count| std::cmp::Reverse(*count));
        assert_eq!(counts, expected, "{members} members: {layout:?}");

        let status = cluster.status().await.unwrap();
        let said: BTreeMap<String, usize> = status
            .zones
            .iter()
            .map(|zone| (zone.name.clone(), usize::try_from(zone.members).unwrap()))
            .collect();
        assert_eq!(said, layout, "the status says what the nodes say");
        let losses = (members - 1) / 2;
        let summary = status.summary.unwrap();
        assert_eq!(summary.voters, format!("{members}/{members}"));
        assert_eq!(summary.can_lose_members, losses);
        assert_eq!(
            summary.can_lose_zone,
            if members == 1 { "none" } else { "any" }
        );
        space.finish().await.unwrap();
    }
}

#[tokio::test]
async fn three_members_are_ready_soon_after_apply_and_never_share_a_node() {
    let Some(world) = World::attach().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "quick").await.unwrap();
    let cluster = space
        .create(
            "quick",
            json!({ "placement": { "zoneSpread": "Required" } }),
        )
        .await
        .unwrap();
    let took = cluster.ready(READY).await.unwrap();
    println!(
        "three members: apply to Ready {:.1} s (goal on an idle machine: {:.0} s)",
        took.as_secs_f64(),
        READY_GOAL.as_secs_f64()
    );
    let mut nodes: Vec<String> = cluster
        .pods()
        .await
        .unwrap()
        .into_iter()
        .filter_map(|pod| pod.spec?.node_name)
        .collect();
    nodes.sort();
    nodes.dedup();
    assert_eq!(nodes.len(), 3, "{nodes:?}");
    space.finish().await.unwrap();
}
