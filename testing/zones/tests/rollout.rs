//! Goal: a new template reaches every pod without a moment without quorum; a bad one stops after the first
//! and is taken back without help. Method: changes of the spec under writes without pause.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use kvorum_zones::cluster::{Cluster, Space};
use kvorum_zones::install;
use kvorum_zones::limits::{OPERATED, READY};
use kvorum_zones::load::Load;
use kvorum_zones::world::{World, until};
use serde_json::json;

async fn uids(cluster: &Cluster<'_>) -> Vec<(String, String)> {
    let pods: Vec<Pod> = cluster.pods().await.unwrap();
    let mut uids: Vec<(String, String)> = pods
        .iter()
        .map(|pod| (pod.name_any(), pod.uid().unwrap_or_default()))
        .collect();
    uids.sort();
    uids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_config_rolls_through_and_a_bad_version_stops_after_one() {
    let Some((world, _)) = World::attach_testbed().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "rollout").await.unwrap();
    let cluster = space.create("orders", json!({})).await.unwrap();
    cluster.ready(READY).await.unwrap();
    let load = Load::start(&cluster).await.unwrap();

    let before = uids(&cluster).await;
    let _ = load.gap();
    let config = json!({ "config": { "snapshotCount": 12345 } });
    cluster.change(config).await.unwrap();
    let took = cluster.settled(OPERATED).await.unwrap();
    let after = uids(&cluster).await;
    assert!(
        before.iter().all(|pod| !after.contains(pod)),
        "every pod is another one"
    );
    println!(
        "a changed config on three members: {:.1} s, longest time without an acknowledged write {:.2} s",
        took.as_secs_f64(),
        load.gap().as_secs_f64()
    );

    let good = cluster.object().await.unwrap().spec.version;
    let bad = json!({ "version": "0.0.0-none" });
    cluster.change(bad).await.unwrap();
    let (reason, message) = cluster
        .condition("Stalled", "True", OPERATED)
        .await
        .unwrap();
    println!("{reason}: {message}");
    assert_eq!(reason, "RolloutStuck");
    let stuck = uids(&cluster).await;
    let kept = after.iter().filter(|pod| stuck.contains(pod)).count();
    assert_eq!(kept, 2, "two pods keep what they have");
    load.more(100).await.unwrap();
    cluster.change(json!({ "version": good })).await.unwrap();
    let took = cluster.settled(OPERATED).await.unwrap();
    println!("back to the good version: {:.1} s", took.as_secs_f64());
    let back = uids(&cluster).await;
    let kept = after.iter().filter(|pod| back.contains(pod)).count();
    assert_eq!(kept, 2, "only the broken pod was made anew");
    println!(
        "{} acknowledged writes, none lost",
        load.check().await.unwrap()
    );
    space.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_rollout_restart_of_a_member_works() {
    let Some((world, _)) = World::attach_testbed().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "restart").await.unwrap();
    let cluster = space.create("orders", json!({})).await.unwrap();
    cluster.ready(READY).await.unwrap();
    let before = uids(&cluster).await;
    // What `kubectl rollout restart` writes.
    let restarted = json!({ "spec": { "template": { "metadata": { "annotations": {
        "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z" } } } } });
    let sets = space.api::<StatefulSet>();
    sets.patch(
        "orders-m2",
        &PatchParams::default(),
        &Patch::Merge(restarted),
    )
    .await
    .unwrap();
    until("the pod is another one", OPERATED, || async {
        let now = uids(&cluster).await;
        Ok(if now.len() == 3 && now[1] != before[1] {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        })
    })
    .await
    .unwrap();
    cluster.settled(OPERATED).await.unwrap();
    let after = uids(&cluster).await;
    assert_eq!(
        (&after[0], &after[2]),
        (&before[0], &before[2]),
        "and no other"
    );
    space.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_sleeps_and_wakes_with_its_data() {
    let Some((world, _)) = World::attach_testbed().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "sleep").await.unwrap();
    let cluster = space.create("orders", json!({})).await.unwrap();
    cluster.ready(READY).await.unwrap();
    let load = Load::start(&cluster).await.unwrap();
    cluster.change(json!({ "hibernated": true })).await.unwrap();
    cluster
        .condition("Hibernated", "True", OPERATED)
        .await
        .unwrap();
    until("no pod is left", OPERATED, || async {
        let pods = cluster.pods().await?.len();
        Ok(if pods == 0 {
            Ok(())
        } else {
            Err(format!("{pods} pods"))
        })
    })
    .await
    .unwrap();
    let asleep = cluster.status().await.unwrap();
    assert_eq!(asleep.members.len(), 3, "its members are remembered");
    cluster
        .change(json!({ "hibernated": false }))
        .await
        .unwrap();
    let took = cluster.settled(OPERATED).await.unwrap();
    println!("woken in {:.1} s", took.as_secs_f64());
    load.more(100).await.unwrap();
    println!(
        "{} acknowledged writes, none lost",
        load.check().await.unwrap()
    );
    space.finish().await.unwrap();
}
