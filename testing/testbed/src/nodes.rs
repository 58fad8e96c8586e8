//! Power of the nodes: on, off, paused. A node's disk (`nodes/<name>`) outlives its power.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::addresses::zone_label;
use crate::node_files::NodeConfig;
use crate::programs::{Launch, helper, launch};
use crate::state::{NodeRecord, Record, StateDir, make_dir, write};
use crate::{cgroups, network};

/// The group of a node below the testbed's.
fn group(node: &str) -> String {
    format!("node-{node}")
}

/// The freezer group of a node.
pub(crate) fn freezer_group(record: &Record, node: &str) -> Result<PathBuf> {
    Ok(cgroups::freezer(&record.cgroups)?.join(group(node)))
}

/// The record of a node by name.
pub(crate) fn find<'a>(record: &'a Record, name: &str) -> Result<&'a NodeRecord> {
    record
        .nodes
        .iter()
        .find(|node| node.name == name)
        .with_context(|| {
            let names: Vec<&str> = record.nodes.iter().map(|node| node.name.as_str()).collect();
            format!(
                "there is no node {name:?}; the nodes are {}",
                names.join(" ")
            )
        })
}

/// Powers a node on.
pub(crate) fn start(state: &StateDir, record: &Record, node: &NodeRecord) -> Result<()> {
    let directory = state.node_dir(&node.name);
    let freezer = freezer_group(record, &node.name)?;
    if !cgroups::processes(&freezer).is_empty() {
        bail!("node {} is running already", node.name);
    }
    // /run does not outlive a power-off.
    fs::remove_dir_all(directory.join("run")).ok();
    for part in ["run", "kubelet", "containerd", "cni", "netd", "log", "etc"] {
        make_dir(&directory.join(part))?;
    }
    let groups = cgroups::create(&record.cgroups, &group(&node.name))?;
    for each in &groups {
        cgroups::remove_below(each)?;
    }
    network::remove_pod_links(state, &node.name)?;
    let config = config(state, record, node)?;
    let file = directory.join("node.json");
    write(&file, &serde_json::to_string_pretty(&config)?)?;
    let helper = helper(state).to_string_lossy().into_owned();
    let mut command: Vec<String> = ["ip", "netns", "exec", &state.netns(&node.name)]
        .map(str::to_owned)
        .to_vec();
    command.extend(
        [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--cgroup",
            "--uts",
            "--ipc",
            "--kill-child=KILL",
            "--propagation",
            "private",
        ]
        .map(str::to_owned),
    );
    command.extend(["tini", "-s", "--", &helper, "internal", "node-init"].map(str::to_owned));
    command.push(file.to_string_lossy().into_owned());
    launch(
        state,
        &Launch {
            groups: &groups,
            log: &directory.join("log/node.log"),
            command,
        },
    )
}

/// Cuts a node's power: everything on it dies at one moment.
pub(crate) fn kill(record: &Record, node: &str) -> Result<()> {
    cgroups::power_off(&freezer_group(record, node)?)
}

fn config(state: &StateDir, record: &Record, node: &NodeRecord) -> Result<NodeConfig> {
    let addresses = record.addresses()?;
    Ok(NodeConfig {
        name: node.name.clone(),
        zone: zone_label(node.zone()),
        address: addresses.host(node.index),
        node_pods: addresses.pods_of(node.index),
        all_pods: addresses.pods(),
        directory: state.node_dir(&node.name),
        pki: state.join("pki"),
        go: state.join("go"),
        k8s: record.programs.k8s.clone(),
        coredns: record.programs.coredns.clone(),
        pause_image: record.programs.pause_image.clone(),
    })
}
