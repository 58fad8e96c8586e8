//! `verify` changes nothing and fails if something is off; `fix` sets right what can be set right by itself.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::codegen;
use crate::workspace::cargo;

/// Tests that need a machine of their own are behind a feature; they are linted all the same.
const LINT: [&str; 5] = [
    "clippy",
    "--workspace",
    "--all-targets",
    "--features",
    "kvorum-testbed/machine-tests,kvorum-node/faultpoints",
];

/// Format, lints, generated files: read only.
pub(crate) fn verify() -> Result<ExitCode> {
    let mut failed = Vec::new();
    check(
        "format",
        cargo().args(["fmt", "--all", "--", "--check"]),
        &mut failed,
    )?;
    check(
        "lints",
        cargo().args(LINT).args(["--", "-D", "warnings"]),
        &mut failed,
    )?;
    check("generated files", &mut codegen::command(true), &mut failed)?;
    if failed.is_empty() {
        println!("verify: all is well");
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "verify: not in order: {}; `cargo xtask fix` sets right what can be set right by itself",
        failed.join(", ")
    );
    Ok(ExitCode::FAILURE)
}

fn check(what: &'static str, command: &mut Command, failed: &mut Vec<&'static str>) -> Result<()> {
    eprintln!("checking {what}");
    if !command
        .status()
        .with_context(|| format!("cannot check {what}"))?
        .success()
    {
        failed.push(what);
    }
    Ok(())
}

/// Formats, applies the linter's own fixes, writes generated files.
pub(crate) fn fix() -> Result<ExitCode> {
    let mut failed = Vec::new();
    check(
        "lints",
        cargo()
            .args(LINT)
            .args(["--fix", "--allow-dirty", "--allow-staged"]),
        &mut failed,
    )?;
    check("format", cargo().args(["fmt", "--all"]), &mut failed)?;
    check("generated files", &mut codegen::command(false), &mut failed)?;
    Ok(if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
