//! `cargo xtask bench` and `bench-operator`: build what is measured and run what measures it.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::Result;
use kvorum_testbed::tools::{self, ToolSet};

use crate::workspace::{Programs, pass_on};

/// Builds ours in release and two versions of etcd, and passes the arguments on.
pub(crate) fn run(arguments: &[OsString]) -> Result<ExitCode> {
    tools::ensure_all(&[ToolSet::Etcd37, ToolSet::Etcd36])?;
    let older = tools::ensure(ToolSet::Etcd36)?;
    let etcd = tools::ensure(ToolSet::Etcd37)?;
    let programs = Programs::build(&["kvorum-node", "kvorum-bench"])?;
    let mut command = Command::new(programs.path("kvorum-bench"));
    command
        .env("KVORUM_NODE_BIN", programs.path("kvorum-node"))
        .env("KVORUM_ETCD_BIN", etcd.join("etcd"))
        .env("KVORUM_ETCD36_BIN", older.join("etcd"))
        .env("KVORUM_ETCDCTL_BIN", etcd.join("etcdctl"));
    pass_on(command.args(arguments))
}

/// Builds the operator in release, and the Kubernetes around it.
pub(crate) fn run_operator(arguments: &[OsString]) -> Result<ExitCode> {
    tools::ensure_all(&[ToolSet::Etcd37, ToolSet::Kubernetes])?;
    let etcd = tools::ensure(ToolSet::Etcd37)?;
    let programs = Programs::build(&["kvorum-operator", "kvorum-many"])?;
    let mut command = Command::new(programs.path("kvorum-many"));
    command
        .env("KVORUM_OPERATOR_BIN", programs.path("kvorum-operator"))
        .env("KVORUM_ETCD_BIN", etcd.join("etcd"))
        .env("KVORUM_KUBERNETES_DIR", tools::ensure(ToolSet::Kubernetes)?);
    pass_on(command.args(arguments))
}
