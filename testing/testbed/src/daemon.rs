//! The testbed's background process: the way from the machine to the API server, and the volume provisioner.

use std::net::{SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use kvorum_testbed::forward;

use crate::{provisioner, ready};

/// What the daemon serves.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where the machine's processes reach the API server.
    #[arg(long)]
    listen: SocketAddrV4,
    /// The control plane's network namespace.
    #[arg(long)]
    netns: String,
    /// The API server inside it.
    #[arg(long)]
    target: SocketAddr,
    #[arg(long)]
    kubeconfig: PathBuf,
    /// Where volumes' directories are made.
    #[arg(long)]
    volumes: PathBuf,
}

/// Runs until it is killed.
pub(crate) fn run(options: &Options) -> Result<()> {
    forward::forward(options.listen, &options.netns, options.target)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    runtime.block_on(async {
        let client = ready::client(&options.kubeconfig).await?;
        provisioner::run(client, &options.volumes).await
    })
}
