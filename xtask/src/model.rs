//! `cargo xtask model-check`: builds crate kvorum-sim in release and runs it.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::cli::ModelCheckOptions;
use crate::workspace::Programs;

/// Runs searches and walks; fails if a rule was broken.
pub(crate) fn run(options: &ModelCheckOptions) -> Result<ExitCode> {
    let programs = Programs::build(&["kvorum-sim"])?;
    let status = Command::new(programs.path("kvorum-sim"))
        .args(["--states", &options.states.to_string()])
        .args(["--seeds", &options.seeds.to_string()])
        .args(["--first", &options.first.to_string()])
        .status()
        .context("cannot run kvorum-sim")?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}
