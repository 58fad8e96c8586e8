//! Goal: the chart installs an operator that works, beside another, and its removal harms nobody.
//! Method: Helm, a class of its own, and a KvCluster that outlives the release.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use kvorum_api::KvCluster;
use kvorum_zones::cluster::Space;
use kvorum_zones::install;
use kvorum_zones::limits::{CONDITION, READY};
use kvorum_zones::world::{World, until};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_installs_an_operator_under_restricted_pod_security_and_leaves_clusters_alone() {
    let Some(world) = World::attach().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let home = Space::new(&world, "second-operator").await.unwrap();
    let class = home.name.clone();
    let chart = install::chart();
    let chart = chart.to_string_lossy();
    let class_value = format!("class={class}");
    let release = class.as_str();
    let install = [
        "install",
        release,
        &chart,
        "--namespace",
        &home.name,
        "--set",
        "crds.enabled=false",
        "--set",
        &class_value,
        "--wait",
        "--timeout",
        "120s",
    ];
    install::run_helm(&world, &install).await.unwrap();

    let space = Space::new(&world, "second-clusters").await.unwrap();
    let labels = [("kvorum.dev/class", class.as_str())];
    let cluster = space
        .create_labelled("orders", json!({}), &labels)
        .await
        .unwrap();
    cluster.ready(READY).await.unwrap();

    let uninstall = ["uninstall", release, "--namespace", &home.name, "--wait"];
    install::run_helm(&world, &uninstall).await.unwrap();
    let left = Api::<Pod>::namespaced(world.client.clone(), &home.name);
    let operators = ListParams::default().labels("app.kubernetes.io/name=kvorum-operator");
    until("the operator is gone", CONDITION, || async {
        let pods = left.list(&operators).await?.items;
        Ok(if pods.is_empty() {
            Ok(())
        } else {
            Err(format!("{} of its pods are left", pods.len()))
        })
    })
    .await
    .unwrap();
    let pods = cluster.pods().await.unwrap();
    assert_eq!(pods.len(), 3, "the members are not");
    Api::<KvCluster>::all(world.client.clone())
        .list(&ListParams::default())
        .await
        .unwrap();
    space.finish().await.unwrap();
    home.finish().await.unwrap();
}
