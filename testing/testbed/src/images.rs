//! Loading image archives into the nodes, through each node's containerd socket.

use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Result, anyhow};

use crate::run::output;
use crate::state::{Record, StateDir};

/// Imports archives into all nodes that run, side by side.
pub(crate) fn load(state: &StateDir, record: &Record, archives: &[&Path]) -> Result<()> {
    thread::scope(|scope| {
        let loads: Vec<_> = record
            .nodes
            .iter()
            .map(|node| scope.spawn(|| load_into(state, &node.name, archives)))
            .collect();
        for load in loads {
            load.join()
                .map_err(|_| anyhow!("a thread that loads images panicked"))??;
        }
        Ok(())
    })
}

fn load_into(state: &StateDir, node: &str, archives: &[&Path]) -> Result<()> {
    let socket = state.node_dir(node).join("run/containerd/containerd.sock");
    for archive in archives {
        output(
            Command::new("ctr")
                .arg("-a")
                .arg(&socket)
                .args(["-n", "k8s.io", "images", "import"])
                .arg(archive),
        )
        .map_err(|error| {
            error.context(format!(
                "cannot load {} into node {node}; is it running?",
                archive.display()
            ))
        })?;
    }
    Ok(())
}
