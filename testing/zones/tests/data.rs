//! Goal: data outlives pods and KvClusters. Method: writes through a real etcd client, all read back.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::DeleteParams;
use kvorum_zones::cluster::Space;
use kvorum_zones::install;
use kvorum_zones::limits::{CONDITION, HEALED, READY};
use kvorum_zones::load::Load;
use kvorum_zones::world::{World, until};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_member_pod_that_is_deleted_comes_back_with_its_data() {
    let Some((world, _)) = World::attach_testbed().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "pod-deleted").await.unwrap();
    let cluster = space.create("orders", json!({})).await.unwrap();
    cluster.ready(READY).await.unwrap();
    let load = Load::start(&cluster).await.unwrap();
    let _ = load.gap();

    // The one that leads: the worst to lose.
    let status = cluster.status().await.unwrap();
    let leader = status
        .members
        .iter()
        .find(|member| member.leader)
        .unwrap()
        .clone();
    let pods = space.api::<Pod>();
    let name = format!("{}-0", leader.name);
    let old = pods.get(&name).await.unwrap().uid();
    pods.delete(&name, &DeleteParams::default()).await.unwrap();
    load.more(200).await.unwrap();
    println!(
        "leader's pod deleted: longest time without an acknowledged write {:.2} s",
        load.gap().as_secs_f64()
    );
    until("the pod is another one and ready", HEALED, || async {
        let pod = pods.get(&name).await?;
        Ok(if pod.uid() == old {
            Err("the old pod is still there".to_owned())
        } else {
            Ok(())
        })
    })
    .await
    .unwrap();
    cluster.condition("Ready", "True", HEALED).await.unwrap();

    let after = cluster.status().await.unwrap();
    let same = after
        .members
        .iter()
        .find(|member| member.id == leader.id)
        .unwrap();
    assert_eq!(
        same.store_uuid, leader.store_uuid,
        "it came back on its own disk"
    );
    assert_eq!(same.zone, leader.zone);
    load.check().await.unwrap();
    space.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kvcluster_deleted_and_created_again_has_the_same_id_and_the_same_data() {
    let Some((world, _)) = World::attach_testbed().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "recreated").await.unwrap();
    let cluster = space.create("orders", json!({})).await.unwrap();
    cluster.ready(READY).await.unwrap();
    let load = Load::start(&cluster).await.unwrap();
    let written = load.stop().await.unwrap();
    let before = cluster.status().await.unwrap();

    cluster.delete(CONDITION).await.unwrap();
    assert_eq!(cluster.volumes().await.unwrap().len(), 3, "volumes stay");
    let cluster = space.create("orders", json!({})).await.unwrap();
    let took = cluster.ready(READY).await.unwrap();
    println!("created again: apply to Ready {:.1} s", took.as_secs_f64());
    let after = cluster.status().await.unwrap();
    assert_eq!(after.cluster_id, before.cluster_id);
    let stores = |status: &kvorum_api::KvClusterStatus| {
        status
            .members
            .iter()
            .map(|member| (member.id, member.store_uuid.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(stores(&after), stores(&before));
    written.check().await.unwrap();
    let load = Load::start(&cluster).await.unwrap();
    let more = load.stop().await.unwrap();

    // Created again with another size, it takes its data up and then becomes what is asked for.
    cluster.delete(CONDITION).await.unwrap();
    let spec = json!({ "members": 5, "placement": { "nodeSpread": "Preferred" } });
    let grown = space.create("orders", spec).await.unwrap();
    grown.settled(READY).await.unwrap();
    let last = grown.status().await.unwrap();
    assert_eq!((last.cluster_id, last.voters), (before.cluster_id, 5));
    written.check().await.unwrap();
    more.check().await.unwrap();
    space.finish().await.unwrap();
}
