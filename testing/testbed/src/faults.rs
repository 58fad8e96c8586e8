//! Faults of the network, of nodes and of single pods.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::nft::{Cut, transaction};
use crate::state::{StateDir, write};
use crate::{cgroups, network};

const FILE: &str = "cuts.json";

/// The cuts in force.
pub(crate) fn cuts(state: &StateDir) -> Result<Vec<Cut>> {
    match fs::read_to_string(state.join(FILE)) {
        Ok(text) => {
            serde_json::from_str(&text).context("cuts.json is damaged; `net heal` starts afresh")
        }
        Err(_) => Ok(Vec::new()),
    }
}

/// Adds a cut to those in force.
pub(crate) fn cut(state: &StateDir, added: Cut) -> Result<()> {
    let mut all = cuts(state)?;
    all.push(added.normalised());
    all.sort();
    all.dedup();
    set(state, &all)
}

/// Ends one cut.
pub(crate) fn heal(state: &StateDir, healed: Cut) -> Result<()> {
    let healed = healed.normalised();
    let mut all = cuts(state)?;
    all.retain(|cut| *cut != healed);
    set(state, &all)
}

/// Makes exactly these cuts be in force, in one transaction.
pub(crate) fn set(state: &StateDir, all: &[Cut]) -> Result<()> {
    network::apply_rules(state, &transaction(all))?;
    write(&state.join(FILE), &serde_json::to_string(all)?)
}

/// Freezer groups of a pod on a node, found by the pod's UID.
pub(crate) fn pod_group(node_group: &Path, pod_uid: &str) -> Result<PathBuf> {
    let wanted = format!("pod{pod_uid}");
    let mut open = vec![node_group.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().is_dir())
        {
            if entry.file_name().to_string_lossy() == wanted {
                return Ok(entry.path());
            }
            open.push(entry.path());
        }
    }
    bail!("no pod with UID {pod_uid} runs on this node")
}

/// Pauses or continues a group.
pub(crate) fn set_paused(group: &Path, paused: bool) -> Result<()> {
    if paused {
        cgroups::freeze(group)
    } else {
        cgroups::thaw(group)
    }
}
