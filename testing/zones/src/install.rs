//! The operator, installed the way users do: its chart, with Helm.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::ListParams;

use crate::limits::INSTALL;
use crate::world::{World, blocking};

/// The namespace of the operator that tests share.
pub const NAMESPACE: &str = "kvorum-system";

/// Helm: the one that is named, or the one on PATH.
#[must_use]
pub fn helm() -> PathBuf {
    std::env::var_os("KVORUM_HELM_BIN").map_or_else(|| PathBuf::from("helm"), PathBuf::from)
}

/// The chart of this checkout.
#[must_use]
pub fn chart() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../charts/kvorum-operator"
    ))
}

/// Runs Helm and gives what it printed.
///
/// # Errors
/// What Helm fails with.
pub async fn run_helm(world: &World, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(helm());
    command.args(arguments).env("KUBECONFIG", &world.kubeconfig);
    blocking(move || {
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
