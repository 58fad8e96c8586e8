//! Goal: the chart says what it means. Method: Helm renders it, the API server judges what was rendered.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_zones::install::{chart, run_helm};
use kvorum_zones::world::World;

async fn render(world: &World, extra: &[&str]) -> anyhow::Result<String> {
    let chart = chart();
    let chart = chart.to_string_lossy();
    let mut arguments = vec!["template", "kvorum", &chart, "--kube-version", "1.36.0"];
    arguments.extend(extra);
    run_helm(world, &arguments).await
}

#[tokio::test]
async fn the_chart_is_clean_to_helm() {
    let Some(world) = World::attach().await else {
        return;
    };
    let chart = chart();
    run_helm(&world, &["lint", "--strict", &chart.to_string_lossy()])
        .await
        .unwrap();
}

#[tokio::test]
async fn a_value_that_is_not_there_is_refused() {
    let Some(world) = World::attach().await else {
        return;
    };
    let refused = render(&world, &["--set", "replica=2"])
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("additional properties 'replica' not allowed"),
        "{refused}"
    );
    let refused = render(&world, &["--set", "replicas=0"])
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("minimum"), "{refused}");
}

#[tokio::test]
async fn the_definition_can_be_left_out_or_let_go() {
    let Some(world) = World::attach().await else {
        return;
    };
    let kind = "kind: CustomResourceDefinition";
    let plain = render(&world, &[]).await.unwrap();
    assert!(plain.contains(kind) && plain.contains("helm.sh/resource-policy: keep"));
    assert!(
        !render(&world, &["--set", "crds.enabled=false"])
            .await
            .unwrap()
            .contains(kind)
    );
    let loose = render(&world, &["--set", "crds.keep=false"]).await.unwrap();
    assert!(loose.contains(kind) && !loose.contains("resource-policy"));
}

#[tokio::test]
async fn the_operator_may_read_no_secret_and_do_nothing_with_everything() {
    let Some(world) = World::attach().await else {
        return;
    };
    let rendered = render(&world, &[]).await.unwrap();
    assert!(!rendered.contains("secrets"), "no rule names Secrets");
    for line in rendered
        .lines()
        .filter(|line| line.contains("verbs:") || line.contains("resources:"))
    {
        assert!(!line.contains('*'), "{line}");
    }
}
