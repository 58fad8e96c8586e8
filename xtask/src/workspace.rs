//! The work tree and cargo: where things are, how our programs are built.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

/// The root of the work tree.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// The version of everything here.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// cargo, in the work tree.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// The directory of build results.
pub(crate) fn target_directory() -> Result<PathBuf> {
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("cannot run cargo metadata")?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("cargo metadata gave no JSON")?;
    metadata["target_directory"]
        .as_str()
        .map(PathBuf::from)
        .context("cargo metadata names no target directory")
}

/// Runs a command with its output shown, and fails if it does.
pub(crate) fn run_shown(command: &mut Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot {what}"))?;
    if !status.success() {
        bail!("could not {what} ({status})");
    }
    Ok(())
}

/// Runs a command with its output shown, and ends as it does.
pub(crate) fn pass_on(command: &mut Command) -> Result<ExitCode> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The release builds of our programs, in one directory.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    directory: PathBuf,
}

impl Programs {
    /// Builds the given packages' programs; cargo shows how far it is.
    pub(crate) fn build(packages: &[&str]) -> Result<Self> {
        eprintln!(
            "building {} (the first build takes minutes and can be stopped; it goes on where it was)",
            packages.join(", ")
        );
        let mut command = cargo();
        command.args(["build", "--release", "--bins"]);
        for package in packages {
            command.args(["-p", package]);
        }
        run_shown(&mut command, &format!("build {}", packages.join(", ")))?;
        Ok(Self {
            directory: target_directory()?.join("release"),
        })
    }

    /// A program among them.
    pub(crate) fn path(&self, program: &str) -> PathBuf {
        self.directory.join(program)
    }
}

/// A kvorum-node in which the environment can arm fault points. A development build, kept
/// apart: no release build ever stands where this one was.
pub(crate) fn build_with_faultpoints() -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "-p", "kvorum-node", "--bin", "kvorum-node"]);
    command.args(["--features", "faultpoints"]);
    run_shown(&mut command, "build kvorum-node with fault points")?;
    let debug = target_directory()?.join("debug");
    let (built, kept) = (
        debug.join("kvorum-node"),
        debug.join("kvorum-node-faultpoints"),
    );
    std::fs::copy(&built, &kept).with_context(|| format!("cannot copy {}", built.display()))?;
    Ok(kept)
}
