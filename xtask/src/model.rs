//! `cargo xtask model-check`: builds crate kvorum-sim in release and runs it.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::cli::ModelCheckOptions;
use crate::workspace::{Programs, pass_on};

/// Runs searches and walks; fails if a rule was broken.
pub(crate) fn run(options: &ModelCheckOptions) -> Result<ExitCode> {
    let programs = Programs::build(&["kvorum-sim"])?;
    let mut command = Command::new(programs.path("kvorum-sim"));
    command
        .args(["--states", &options.states.to_string()])
        .args(["--seeds", &options.seeds.to_string()])
        .args(["--first", &options.first.to_string()]);
    pass_on(&mut command)
}
