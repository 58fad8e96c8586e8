//! Goal: the charts install what works, tell that it does, and neither an upgrade nor a removal of the operator
//! harms anybody. Method: Helm, a class of its own, and a KvCluster that outlives the release.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::process::Command;

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use kvorum_api::KvCluster;
use kvorum_zones::cluster::{Cluster, Space};
use kvorum_zones::install;
use kvorum_zones::limits::{CONDITION, READY};
use kvorum_zones::program;
use kvorum_zones::world::{World, until};
use serde_json::json;

/// Pods by name, with what makes each the one it is.
async fn pods(cluster: &Cluster<'_>) -> BTreeMap<String, Option<String>> {
    let pods = cluster.pods().await.unwrap();
    pods.iter().map(|pod| (pod.name_any(), pod.uid())).collect()
}

/// The chart as a later release would have it.
fn later_chart() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(install::chart())
        .arg(directory.path())
        .status()
        .unwrap();
    assert!(copied.success());
    let file = directory.path().join("kvorum-operator/Chart.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let later = text.replace("\nversion: 0.1.0\n", "\nversion: 0.1.1\n");
    assert_ne!(text, later);
    std::fs::write(&file, later).unwrap();
    directory
}

/// What the operator in its pod sees is explained there, and as well from its dump, far from any cluster.
async fn explains_itself(home: &Space, cluster: &Cluster<'_>) {
    let operator = format!("deploy/{}-kvorum-operator", home.name);
    let object = format!("{}/{}", cluster.space.name, cluster.name);
    let ask = |asked: &[&str]| {
        let mut command = install::kubectl(&home.world).unwrap();
        command.args(["--namespace", &home.name, "exec", &operator, "--"]);
        command.args(["kvorum-operator", "explain", "--live", &object]);
        said(command.args(asked))
    };
    let live = ask(&[]);
    println!("{live}");
    assert!(
        live.contains("\nPhase: Running\nUnder way: nothing\n"),
        "{live}"
    );
    assert!(live.contains("\n  keep the StatefulSet of m1\n"), "{live}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), ask(&["--dump"])).unwrap();
    let mut offline = Command::new(program::binary().unwrap());
    let offline = said(offline.args(["explain", "-f"]).arg(file.path()));
    // But for the moment of the look, in the first line.
    assert_eq!(
        offline.lines().skip(1).collect::<Vec<_>>(),
        live.lines().skip(1).collect::<Vec<_>>()
    );
    let absent = object.replace("orders", "absent");
    let mut command = install::kubectl(&home.world).unwrap();
    command.args(["--namespace", &home.name, "exec", &operator, "--"]);
    command.args(["kvorum-operator", "explain", "--live", &absent]);
    let refused = String::from_utf8(command.output().unwrap().stderr).unwrap();
    assert!(
        refused.contains(&format!("there is no KvCluster {absent}")),
        "{refused}"
    );
}

/// What a program that has to succeed printed.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_installs_upgrades_and_goes_and_clusters_serve_on() {
    let Some(world) = World::attach().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let home = Space::new(&world, "second-operator").await.unwrap();
    let class = home.name.clone();
    let helm = |command: &[&str], values: &str| {
        let mut words: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
        let more = ["--namespace", &home.name, "--timeout", "120s"];
        words.extend(more.map(str::to_owned));
        if !values.is_empty() {
            words.extend(["--set".to_owned(), format!("class={class},{values}")]);
        }
        let world = world.clone();
        async move {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            install::run_helm(&world, &words).await.unwrap()
        }
    };
    let chart = install::chart();
    let chart = chart.to_string_lossy();
    let release = class.as_str();
    helm(
        &["install", release, &chart, "--wait"],
        "crds.enabled=false",
    )
    .await;
    println!("{}", helm(&["test", release], "").await);

    let space = Space::new(&world, "second-clusters").await.unwrap();
    let labels = [("kvorum.dev/class", class.as_str())];
    let cluster = space
        .create_labelled("orders", json!({}), &labels)
        .await
        .unwrap();
    cluster.ready(READY).await.unwrap();
    explains_itself(&home, &cluster).await;
    let (before, generation) = (
        pods(&cluster).await,
        cluster.object().await.unwrap().metadata.generation,
    );

    // A later chart, with its definition, other values and a second replica, over the running cluster.
    let later = later_chart();
    let later = later.path().join("kvorum-operator");
    let later = later.to_string_lossy();
    let upgrade = ["upgrade", release, &later, "--wait"];
    let upgrade = [&upgrade[..], &["--take-ownership", "--force-conflicts"]].concat();
    helm(&upgrade, "replicas=2,log.filter=debug").await;
    cluster.condition("Ready", "True", READY).await.unwrap();
    assert_eq!(pods(&cluster).await, before, "no member was restarted");
    let object = cluster.object().await.unwrap();
    assert_eq!(object.metadata.generation, generation);

    helm(&["uninstall", release, "--wait"], "").await;
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
    assert_eq!(pods(&cluster).await, before, "the members are not");
    Api::<KvCluster>::all(world.client.clone())
        .list(&ListParams::default())
        .await
        .unwrap();
    space.finish().await.unwrap();
    home.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_chart_waits_until_it_serves_and_tests_that_it_keeps_a_key() {
    let Some(world) = World::attach().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "cluster-chart").await.unwrap();
    let chart = install::cluster_chart();
    let chart = chart.to_string_lossy();
    let at = ["--namespace", &space.name, "--timeout", "120s"];
    let install = ["install", "orders", &chart, "--wait"];
    let values = ["--set", "spec.storage.size=1Gi,networkPolicy.enabled=true"];
    let words = [&install[..], &at, &values].concat();
    install::run_helm(&world, &words).await.unwrap();
    // Helm has waited for it: kstatus.
    let clusters = space.api::<KvCluster>();
    let status = clusters.get("orders").await.unwrap().status.unwrap();
    assert!(kvorum_operator::status::is_true(
        &status.conditions,
        "Ready"
    ));
    let words = [&["test", "orders", "--logs"][..], &at].concat();
    let tested = install::run_helm(&world, &words).await.unwrap();
    println!("{tested}");
    assert!(
        tested.contains("wrote, read and deleted the key"),
        "{tested}"
    );
    space.finish().await.unwrap();
}
