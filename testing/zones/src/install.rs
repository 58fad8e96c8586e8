//! The operator, installed the way users do: its chart, with Helm; and what else of the checkout tests install.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kvorum_api::KvCluster;

use crate::limits::{CONDITION, INSTALL};
use crate::world::{World, blocking, until};

/// The namespace of the operator that tests share.
pub const NAMESPACE: &str = "kvorum-system";

/// Helm: the one that is named, or the one on PATH.
#[must_use]
pub fn helm() -> PathBuf {
    std::env::var_os("KVORUM_HELM_BIN").map_or_else(|| PathBuf::from("helm"), PathBuf::from)
}

/// kubectl: the testbed's, or the one that is named; None where there is neither.
#[must_use]
pub fn kubectl(world: &World) -> Option<Command> {
    if let Some(testbed) = &world.testbed {
        return Some(testbed.kubectl());
    }
    let mut command = Command::new(std::env::var_os("KVORUM_KUBECTL_BIN")?);
    command.env("KUBECONFIG", &world.kubeconfig);
    Some(command)
}

/// The operator's chart of this checkout.
#[must_use]
pub fn chart() -> PathBuf {
    checkout("charts/kvorum-operator")
}

/// The chart of one cluster.
#[must_use]
pub fn cluster_chart() -> PathBuf {
    checkout("charts/kvorum-cluster")
}

/// Something of this checkout.
#[must_use]
pub fn checkout(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

/// Who we are to the API server: the operator's policies let nobody through by right, and tests break things.
async fn user(world: &World) -> Result<String> {
    let api = Api::<SelfSubjectReview>::all(world.client.clone());
    let review = api
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await?;
    let user = review.status.and_then(|status| status.user_info);
    user.and_then(|user| user.username)
        .context("the API server does not say who we are")
}

/// Runs Helm and gives what it printed.
///
/// # Errors
/// What Helm fails with.
pub async fn run_helm(world: &World, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(helm());
    command.args(arguments).env("KUBECONFIG", &world.kubeconfig);
    blocking(move || output(&mut command)).await
}

/// Runs a Helm that talks to no Kubernetes.
///
/// # Errors
/// What Helm fails with.
pub fn run_helm_alone(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(helm());
    output(command.args(arguments).env_remove("KUBECONFIG"))
}

fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .context("helm cannot be run; set KVORUM_HELM_BIN")?;
    if !output.status.success() {
        bail!(
            "helm failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The definition of this checkout, without anybody who looks after its objects.
///
/// # Errors
/// When the API server refuses.
pub async fn install_definition(world: &World) -> Result<()> {
    let definition = kvorum_api::crd();
    let api = Api::<CustomResourceDefinition>::all(world.client.clone());
    let name = definition.metadata.name.clone().unwrap_or_default();
    let parameters = PatchParams::apply("kvorum-tests").force();
    api.patch(&name, &parameters, &Patch::Apply(&definition))
        .await?;
    until("the definition is established", CONDITION, || async {
        let listed = Api::<KvCluster>::all(world.client.clone())
            .list(&ListParams::default())
            .await;
        Ok(listed.map(|_| ()).map_err(|error| error.to_string()))
    })
    .await
}

/// Makes sure that an operator looks after KvClusters without a class: one that is there is used, whoever
/// installed it; otherwise the chart is installed, with two replicas so that the loss of a node is survived.
///
/// # Errors
/// When Helm or Kubernetes refuses.
pub async fn operator(world: &World) -> Result<()> {
    static DONE: OnceLock<tokio::sync::Mutex<bool>> = OnceLock::new();
    let mut done = DONE
        .get_or_init(|| tokio::sync::Mutex::new(false))
        .lock()
        .await;
    if *done {
        return Ok(());
    }
    let deployments = Api::<Deployment>::all(world.client.clone());
    let ours = ListParams::default().labels("app.kubernetes.io/name=kvorum-operator");
    if deployments.list(&ours).await?.items.is_empty() {
        let timeout = format!("{}s", INSTALL.as_secs());
        let chart = chart();
        let chart = chart.to_string_lossy();
        let exempt = serde_json::json!([user(world).await?]);
        let exempt = format!("protection.exemptUsers={exempt}");
        run_helm(
            world,
            &[
                "upgrade",
                "--install",
                // The layer below may have put the definition there by hand.
                "--take-ownership",
                "--force-conflicts",
                "kvorum",
                &chart,
                "--namespace",
                NAMESPACE,
                "--create-namespace",
                "--set",
                "replicas=2",
                "--set-json",
                &exempt,
                "--wait",
                "--timeout",
                &timeout,
            ],
        )
        .await?;
    }
    *done = true;
    Ok(())
}
