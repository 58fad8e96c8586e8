//! Long-lived programs: started by a short-lived helper that enters groups and a session, so they outlive the caller.
//!
//! The helper is the `kvorum-testbed` program itself. It is copied into the testbed's directory at `up`, so that a later
//! build does not change what a running testbed uses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::unistd::setsid;

use crate::cgroups;
use crate::run::output;
use crate::state::StateDir;

/// Where the copy of the helper lies.
pub(crate) fn helper(state: &StateDir) -> PathBuf {
    state.join("bin/testbed-helper")
}

/// A program to start.
pub(crate) struct Launch<'a> {
    /// The groups that it and its children are in.
    pub(crate) groups: &'a [PathBuf],
    /// Where its output goes, appended.
    pub(crate) log: &'a Path,
    /// The whole command.
    pub(crate) command: Vec<String>,
}

/// Starts a program that goes on after this process ends.
pub(crate) fn launch(state: &StateDir, launch: &Launch<'_>) -> Result<()> {
    let mut command = Command::new(helper(state));
    command.args(["internal", "spawn", "--log"]).arg(launch.log);
    for group in launch.groups {
        command.arg("--group").arg(group);
    }
    command.arg("--").args(&launch.command);
    output(&mut command).map(drop)
}

/// The helper's side of [`launch`].
pub(crate) fn spawn(groups: &[PathBuf], log: &Path, command: &[String]) -> Result<()> {
    cgroups::enter(groups)?;
    setsid().context("cannot start a session")?;
    let (program, arguments) = command.split_first().context("no program to start")?;
    let file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot open the log {}", log.display()))?;
    let errors = file
        .try_clone()
        .context("cannot duplicate the log's handle")?;
    // Not waited for: this process ends now, and the child goes to the machine's first process.
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        .spawn()
        .map(drop)
        .with_context(|| format!("cannot start {program}"))
}
