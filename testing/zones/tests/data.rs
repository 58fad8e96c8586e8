//! Goal: data outlives pods and KvClusters. Method: numbered writes through a real etcd client, all read back.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::DeleteParams;
use kvorum_zones::cluster::Space;
use kvorum_zones::data::Writer;
use kvorum_zones::install;
use kvorum_zones::limits::{CONDITION, FAILOVER, HEALED, READY};
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
    let mut writer = Writer::new(&cluster).await.unwrap();
    writer.write_many(200, FAILOVER).await.unwrap();

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
    writer.write_many(200, FAILOVER).await.unwrap();
    println!(
        "leader's pod deleted: longest gap between acknowledged writes {:.2} s",
        writer.gap.as_secs_f64()
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
    // Addresses have changed.
    let mut reader = Writer::new(&cluster).await.unwrap();
    reader.continue_from(&writer);
    reader.check(FAILOVER).await.unwrap();
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
    let mut writer = Writer::new(&cluster).await.unwrap();
    writer.write_many(100, FAILOVER).await.unwrap();
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
    let mut reader = Writer::new(&cluster).await.unwrap();
    reader.continue_from(&writer);
    reader.check(FAILOVER).await.unwrap();
    reader.write_many(10, FAILOVER).await.unwrap();

    // Created again with another size, it takes its data up and then becomes what is asked for.
    cluster.delete(CONDITION).await.unwrap();
    let spec = json!({ "members": 5, "placement": { "nodeSpread": "Preferred" } });
    let grown = space.create("orders", spec).await.unwrap();
    grown.settled(READY).await.unwrap();
    let last = grown.status().await.unwrap();
    assert_eq!((last.cluster_id, last.voters), (before.cluster_id, 5));
    let mut reader = Writer::new(&grown).await.unwrap();
    reader.continue_from(&writer);
    reader.check(FAILOVER).await.unwrap();
    space.finish().await.unwrap();
}
