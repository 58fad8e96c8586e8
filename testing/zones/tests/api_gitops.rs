//! Goal: what is applied again changes nothing, so that GitOps tools see no difference. Method: every example and
//! both charts, by kubectl (on the server's side and on its own) and by Helm, in a real API server.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::ResourceExt;
use kvorum_api::KvCluster;
use kvorum_zones::cluster::Space;
use kvorum_zones::install::{
    chart, checkout, cluster_chart, install_definition, kubectl, run_helm,
};
use kvorum_zones::world::World;
use serde_json::{Value, json};

async fn prepared(purpose: &str) -> Option<Space> {
    let world = World::attach().await?;
    if kubectl(&world).is_none() {
        eprintln!("SKIPPED: there is no kubectl; run `cargo xtask test --layer api`");
        return None;
    }
    install_definition(&world).await.unwrap();
    Some(Space::new(&world, purpose).await.unwrap())
}

/// Runs kubectl in the namespace, with something on its standard input.
fn run_kubectl(space: &Space, arguments: &[&str], input: &str) -> Output {
    let mut command = kubectl(&space.world).unwrap();
    command
        .args(["--namespace", &space.name])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// What kubectl would change, which is nothing.
fn nothing_differs(space: &Space, what: &str, arguments: &[&str], input: &str) {
    let output = run_kubectl(space, arguments, input);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{what} differs:\n{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
}

fn examples() -> Vec<PathBuf> {
    let files = std::fs::read_dir(checkout("examples")).unwrap();
    let mut files: Vec<PathBuf> = files.flatten().map(|entry| entry.path()).collect();
    files.sort();
    assert!(files.len() >= 3);
    files
}

/// What changes with any change of what was applied: the generation, and who applied which fields when. The status
/// is an operator's, if one looks on.
async fn version(space: &Space, name: &str) -> (Option<i64>, Value) {
    let cluster = space.api::<KvCluster>().get(name).await.unwrap();
    let owners = cluster.managed_fields().iter();
    let owners: Vec<&ManagedFieldsEntry> =
        owners.filter(|owner| owner.subresource.is_none()).collect();
    assert!(!owners.is_empty());
    (cluster.metadata.generation, json!(owners))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_apply_of_every_example_changes_nothing() {
    let Some(space) = prepared("examples").await else {
        return;
    };
    for file in examples() {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let file = file.to_string_lossy().into_owned();
        // On the server's side, as Argo CD and Flux do; then on kubectl's own, with its last applied annotation.
        for (name, more) in [(name.clone(), &["--server-side"][..]), (name, &[][..])] {
            let with = |word| [&[word][..], more, &["-f", &file]].concat();
            let applied = run_kubectl(&space, &with("apply"), "");
            assert!(applied.status.success(), "{applied:?}");
            let before = version(&space, &name).await;
            nothing_differs(&space, &file, &with("diff"), "");
            let again = run_kubectl(&space, &with("apply"), "");
            assert!(again.status.success(), "{again:?}");
            assert_eq!(version(&space, &name).await, before, "{file} {more:?}");
            let deleted = run_kubectl(&space, &["delete", "kvc", &name], "");
            assert!(deleted.status.success(), "{deleted:?}");
        }
    }
    space.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_helm_upgrade_of_the_cluster_chart_changes_nothing() {
    let Some(space) = prepared("cluster-chart").await else {
        return;
    };
    let chart = cluster_chart();
    let chart = chart.to_string_lossy();
    let upgrade = [
        "upgrade",
        "--install",
        "orders",
        &chart,
        "--namespace",
        &space.name,
        "--set",
        "spec.members=5,spec.placement.zones={a,b,c},spec.config.quota=1Gi,networkPolicy.enabled=true",
    ];
    run_helm(&space.world, &upgrade).await.unwrap();
    let before = version(&space, "orders").await;
    run_helm(&space.world, &upgrade).await.unwrap();
    assert_eq!(version(&space, "orders").await, before);
    let get = ["get", "manifest", "orders", "--namespace", &space.name];
    let manifest = run_helm(&space.world, &get).await.unwrap();
    let diff = ["diff", "--server-side", "-f", "-"];
    nothing_differs(&space, "the cluster chart", &diff, &manifest);
    space.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_helm_upgrade_of_the_operator_chart_changes_nothing() {
    let Some(space) = prepared("operator-chart").await else {
        return;
    };
    let chart = chart();
    let chart = chart.to_string_lossy();
    // No pod of it is waited for: in this layer there is nothing to run it on.
    let class = format!("class={}", space.name);
    let upgrade = [
        "upgrade",
        "--install",
        &space.name,
        &chart,
        "--namespace",
        &space.name,
        "--set",
        "crds.enabled=false,podDisruptionBudget.enabled=true",
        "--set",
        &class,
    ];
    for _ in 0..2 {
        run_helm(&space.world, &upgrade).await.unwrap();
    }
    let get = ["get", "manifest", &space.name, "--namespace", &space.name];
    let manifest = run_helm(&space.world, &get).await.unwrap();
    assert!(manifest.contains("kind: ValidatingAdmissionPolicyBinding"));
    let diff = ["diff", "--server-side", "-f", "-"];
    nothing_differs(&space, "the operator's chart", &diff, &manifest);
    let uninstall = ["uninstall", &space.name, "--namespace", &space.name];
    run_helm(&space.world, &uninstall).await.unwrap();
    space.finish().await.unwrap();
}
