//! An operator as a process of its own, beside the one that is installed: for a class of KvClusters that
//! only it looks after, so that it can be made to die.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kvorum_testbed::Testbed;

use crate::process::Process;

/// A running operator.
pub struct Operator(Process);

impl Operator {
    /// Starts one for this class; with a failpoint, it will die there.
    ///
    /// # Errors
    /// When the program cannot be found or started.
    pub fn start(
        testbed: &Testbed,
        class: &str,
        failpoint: Option<&str>,
        log: &Path,
    ) -> Result<Self> {
        let mut command = testbed.command_in_cluster(&binary()?.to_string_lossy());
        command
            .args([
                "run",
                "--leader-elect=false",
                "--listen=127.0.0.1:0",
                "--class",
                class,
            ])
            .env("KUBECONFIG", testbed.kubeconfig())
            .env("NO_COLOR", "1")
            .env_remove("KVORUM_FAILPOINT");
        if let Some(failpoint) = failpoint {
            command.env("KVORUM_FAILPOINT", failpoint);
        }
        Process::spawn(&mut command, log).map(Self)
    }

    /// Waits until it has died by itself.
    ///
    /// # Errors
    /// When it lives on.
    pub async fn death(mut self, deadline: Duration) -> Result<()> {
        let started = Instant::now();
        while !self.0.ended()? {
            if started.elapsed() > deadline {
                bail!(
                    "the operator did not reach its failpoint: {}",
                    self.0.tail()
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

/// The operator's program, to be run on this machine.
///
/// # Errors
/// When nobody has said where it is.
pub fn binary() -> Result<PathBuf> {
    std::env::var_os("KVORUM_OPERATOR_BIN")
        .map(PathBuf::from)
        .filter(|path| path.exists())
        .context(
            "KVORUM_OPERATOR_BIN does not name a program; run `cargo xtask test --layer zones`",
        )
}
