//! What the helper program runs on behalf of the library; not for people.

use std::path::{Path, PathBuf};

use anyhow::Result;

/// Enters groups and a new session and starts a program there.
///
/// # Errors
/// If a group cannot be entered or the program not started.
pub fn spawn(groups: &[PathBuf], log: &Path, command: &[String]) -> Result<()> {
    crate::programs::spawn(groups, log, command)
}

/// Makes this process, alone in its namespaces, a node. Returns only on failure.
///
/// # Errors
/// With the step that failed.
pub fn node_init(config: &Path) -> Result<()> {
    crate::node_init::run(config)
}

/// The provisioner's name in the storage classes.
pub const PROVISIONER: &str = crate::manifests::PROVISIONER;
