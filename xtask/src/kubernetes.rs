//! The Kubernetes that `up` works on: a testbed of ours or the one of the caller's KUBECONFIG.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use kvorum_testbed::Testbed;
use kvorum_testbed::tools::{self, ToolSet};
use serde_json::Value;

use crate::picture::draw;
use crate::workspace::{run_shown, target_directory};

/// Where things are applied.
#[derive(Debug)]
pub(crate) enum Kubernetes {
    /// One of ours.
    Testbed(Testbed),
    /// Whatever the file points to.
    Foreign(PathBuf),
}

impl Kubernetes {
    /// kubectl, pointed at it.
    pub(crate) fn kubectl(&self) -> Result<Command> {
        match self {
            Self::Testbed(testbed) => Ok(testbed.kubectl()),
            Self::Foreign(kubeconfig) => {
                // A kubectl that is there was chosen for that Kubernetes; ours is for machines without.
                let program = match kvorum_testbed::debian::find_program("kubectl") {
                    Some(program) => program,
                    None => tools::ensure(ToolSet::Kubernetes)?.join("kubectl"),
                };
                let mut command = Command::new(program);
                command.env("KUBECONFIG", kubeconfig);
                Ok(command)
            }
        }
    }

    /// Its kubeconfig.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        match self {
            Self::Testbed(testbed) => testbed.kubeconfig(),
            Self::Foreign(kubeconfig) => kubeconfig.clone(),
        }
    }

    /// Runs kubectl and gives what it printed.
    pub(crate) fn read(&self, arguments: &[&str]) -> Result<String> {
        read(self.kubectl()?.args(arguments))
    }

    /// Where certificates for clients are put: beside the testbed, or into the build's directory.
    pub(crate) fn client_directory(&self) -> Result<PathBuf> {
        Ok(match self {
            Self::Testbed(testbed) => client_directory(testbed),
            Self::Foreign(_) => target_directory()?.join("client-certificates"),
        })
    }

    /// Makes image archives known to the nodes, or says how to.
    pub(crate) fn load_images(&self, archives: &[PathBuf]) -> Result<()> {
        let paths: Vec<&Path> = archives.iter().map(PathBuf::as_path).collect();
        if let Self::Testbed(testbed) = self {
            return testbed.load_images(&paths);
        }
        let context = self.read(&["config", "current-context"])?;
        if let Some(cluster) = context.trim().strip_prefix("kind-") {
            for archive in paths {
                let mut command = Command::new("kind");
                command
                    .args(["load", "image-archive", "--name", cluster])
                    .arg(archive);
                run_shown(&mut command, "load the images into kind")?;
            }
            return Ok(());
        }
        let list: Vec<String> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        eprintln!(
            "the nodes of this Kubernetes must have the images; load them, or push them to its registry: {}",
            list.join(" ")
        );
        Ok(())
    }
}

/// Where the certificate for clients of a testbed's cluster is put.
pub(crate) fn client_directory(testbed: &Testbed) -> PathBuf {
    testbed.directory().join("client")
}

/// Runs a kubectl and gives what it printed.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command.output().context("cannot run kubectl")?;
    if !output.status.success() {
        bail!(
            "kubectl failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// All KvClusters of a testbed; none if the CRD is not there.
fn clusters(testbed: &Testbed) -> Vec<Value> {
    let text = read(testbed.kubectl().args([
        "get",
        "kvclusters",
        "-A",
        "-o",
        "json",
        "--request-timeout=5s",
    ]));
    let list: Value = text
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    list["items"].as_array().cloned().unwrap_or_default()
}

/// The first cluster whose members have addresses, with those.
pub(crate) fn serving_cluster(testbed: &Testbed) -> Option<(Value, String)> {
    clusters(testbed).into_iter().find_map(|cluster| {
        let endpoints: Vec<&str> = cluster["status"]["endpoints"]
            .as_array()?
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let endpoints = endpoints.join(",");
        (!endpoints.is_empty()).then_some((cluster, endpoints))
    })
}

/// A testbed, its nodes and the clusters on it, as text.
pub(crate) fn describe(testbed: &Testbed) -> String {
    let mut text = format!(
        "{}: up, nodes {}
",
        testbed.name(),
        testbed.nodes_in_words()
    );
    for cluster in clusters(testbed) {
        let metadata = &cluster["metadata"];
        let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        text.push_str(&format!(
            "\n{}/{}\n{}",
            word(&metadata["namespace"]),
            word(&metadata["name"]),
            draw(&cluster)
        ));
    }
    text
}
