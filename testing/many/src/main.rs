//! `cargo xtask bench-operator`: one operator and very many KvClusters. How much memory does it take, does it write
//! when nothing changes, how long does it look at one cluster?
//!
//! Real are etcd, the API server, the controllers, the scheduler and the operator. Simulated are nodes, kubelets,
//! volumes and members: a thousand clusters of real ones do not fit on a machine. The operator is not told: it asks
//! each pod's address, and there one process answers for all members, as a healthy member would. Everything runs in
//! a network namespace of its own, in which all of 127.0.0.0/8 is pods.

mod audit;
mod control_plane;
mod limits;
mod measure;
mod members;
mod nodes;
mod report;
mod sample;
mod world;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Parser;

/// Measures one operator with many clusters.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// How many KvClusters.
    #[arg(long, default_value_t = 1000)]
    pub(crate) clusters: usize,
    /// How many members each has.
    #[arg(long, default_value_t = 3)]
    pub(crate) members: usize,
    /// Seconds for which nothing changes, and all is counted.
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
    /// Where etcd is.
    #[arg(long, env = "KVORUM_ETCD_BIN")]
    pub(crate) etcd: PathBuf,
    /// Where kube-apiserver and the rest of it are.
    #[arg(long, env = "KVORUM_KUBERNETES_DIR")]
    pub(crate) kubernetes: PathBuf,
    /// What is measured.
    #[arg(long, env = "KVORUM_OPERATOR_BIN")]
    pub(crate) operator: PathBuf,
}

/// Says to this program that it is in a namespace of its own already.
const INSIDE: &str = "KVORUM_MANY_INSIDE";

fn main() -> ExitCode {
    let options = Options::parse();
    let done = if std::env::var_os(INSIDE).is_some() {
        run(&options)
    } else {
        enter()
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// This program again, in namespaces with nothing but a loopback and its own processes.
fn enter() -> Result<()> {
    let own = std::env::current_exe().context("this program does not know where it is")?;
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let error = Command::new("unshare")
        // A namespace of processes too: all of them end with this one, however it ends.
        .args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(["--", "sh", "-c"])
        .arg("ip link set lo up && exec \"$0\" \"$@\"")
        .arg(own)
        .args(arguments)
        .env(INSIDE, "yes")
        .exec();
    Err(error).context("a network namespace needs root, unshare and ip")
}

#[tokio::main]
async fn run(options: &Options) -> Result<()> {
    measure::run(options).await
}
