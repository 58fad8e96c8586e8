//! Taking a testbed away, whatever state it is in: processes, mounts, namespaces, control groups, files.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::cgroups;
use crate::network;
use crate::run::output;
use crate::state::StateDir;

/// Removes everything of the testbed. Says whether there was anything.
pub(crate) fn down(state: &StateDir) -> Result<bool> {
    let mut bases: Vec<PathBuf> = state
        .load()
        .map(|record| record.cgroups)
        .unwrap_or_default();
    bases.extend(cgroups::find_leftovers(state.name()));
    bases.sort();
    bases.dedup();
    let namespaces = network::existing(state);
    let anything =
        state.exists() || !namespaces.is_empty() || bases.iter().any(|base| base.exists());
    for base in bases
        .iter()
        .filter(|base| base.starts_with("/sys/fs/cgroup/freezer"))
    {
        cgroups::power_off(base)?;
    }
    network::remove(state)?;
    unmount_below(state)?;
    for base in &bases {
        cgroups::remove(base)?;
    }
    if state.exists() {
        fs::remove_dir_all(state.path())
            .with_context(|| format!("cannot remove {}", state.path().display()))?;
    }
    if let Some(root) = state.path().parent() {
        // Gone with the last testbed; not empty before that.
        fs::remove_dir(root).ok();
    }
    Ok(anything)
}

/// Mounts below the state directory live in the nodes' own mount namespaces and go with them; this is for what a
/// crashed run may have left in the machine's, which must not be walked into when the files are removed.
fn unmount_below(state: &StateDir) -> Result<()> {
    for target in mounts_below(state).into_iter().rev() {
        output(Command::new("umount").arg("--lazy").arg(target))?;
    }
    Ok(())
}

/// Mount points in this mount namespace below the testbed's directory.
pub(crate) fn mounts_below(state: &StateDir) -> Vec<String> {
    let prefix = format!("{}/", state.path().display());
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    table
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1))
        .filter(|target| target.starts_with(&prefix))
        .map(str::to_owned)
        .collect()
}
