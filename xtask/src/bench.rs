//! `cargo xtask bench`: builds what is measured and runs crate kvorum-bench.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use kvorum_testbed::tools::{self, ToolSet};

use crate::workspace::Programs;

/// Builds ours and etcd in release and passes the arguments on.
pub(crate) fn run(arguments: &[OsString]) -> Result<ExitCode> {
    let etcd = tools::ensure(ToolSet::Etcd37)?;
    let programs = Programs::build(&["kvorum-node", "kvorum-bench"])?;
    let status = Command::new(programs.path("kvorum-bench"))
        .args(arguments)
        .env("KVORUM_NODE_BIN", programs.path("kvorum-node"))
        .env("KVORUM_ETCD_BIN", etcd.join("etcd"))
        .env("KVORUM_ETCDCTL_BIN", etcd.join("etcdctl"))
        .status()
        .context("cannot run kvorum-bench")?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}
