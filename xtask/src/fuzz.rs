//! `cargo xtask fuzz`: runs the targets of crate kvorum-fuzz for as long as one likes.

use anyhow::{Context, Result};
use clap::ValueEnum;
use kvorum_testbed::tools::{self, ToolSet};

use crate::cli::{FuzzOptions, FuzzTarget};
use crate::workspace::{Programs, cargo, run_shown};

/// Runs them one after the other; fails with the first finding.
pub(crate) fn run(options: &FuzzOptions) -> Result<()> {
    let etcd = tools::ensure(ToolSet::Etcd37)?;
    let programs = Programs::build(&["kvorum-node"])?;
    let targets = if options.targets.is_empty() {
        FuzzTarget::value_variants()
    } else {
        &options.targets
    };
    let mut command = cargo();
    command.args(["test", "--package", "kvorum-fuzz"]);
    for target in targets {
        command.args([
            "--test",
            match target {
                FuzzTarget::Log => "log",
                FuzzTarget::Snapshot => "snapshot",
                FuzzTarget::Api => "api",
            },
        ]);
    }
    command
        .args(["--", "--nocapture"])
        .env("KVORUM_FUZZ_SECONDS", options.seconds.to_string())
        .env("KVORUM_NODE_BIN", programs.path("kvorum-node"))
        .env("KVORUM_ETCD_BIN", etcd.join("etcd"));
    if let Some(input) = &options.input {
        let input = input
            .canonicalize()
            .with_context(|| format!("cannot read {}", input.display()))?;
        command.env("KVORUM_FUZZ_INPUT", input);
    }
    run_shown(&mut command, "run the fuzz targets to their end")
}
