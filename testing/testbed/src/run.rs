//! Short-lived programs of the system (ip, nft, ctr, kubectl): run, and an error that shows what they said.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::limits::POLL;

/// Runs a command to its end and gives its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let finished = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {shown}"))?;
    checked(&shown, &finished)
}

/// Runs a command that reads `input` and gives its standard output.
pub(crate) fn with_input(command: &mut Command, input: &str) -> Result<String> {
    let shown = shown(command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {shown}"))?;
    // The inputs here are below the size of a pipe's buffer or read eagerly, so this does not block for good.
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(input.as_bytes())
            .with_context(|| format!("cannot write to {shown}"))?;
    }
    let finished = child
        .wait_with_output()
        .with_context(|| format!("cannot wait for {shown}"))?;
    checked(&shown, &finished)
}

/// Looks at something until it holds or the time is over.
pub(crate) fn wait_until(
    what: &str,
    limit: Duration,
    mut holds: impl FnMut() -> bool,
) -> Result<()> {
    let end = Instant::now() + limit;
    while !holds() {
        if Instant::now() >= end {
            bail!("{what} did not happen within {} s", limit.as_secs());
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args().take(8) {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

fn checked(shown: &str, finished: &Output) -> Result<String> {
    if !finished.status.success() {
        let said = String::from_utf8_lossy(&finished.stderr);
        bail!("`{shown}` failed ({}): {}", finished.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&finished.stdout).into_owned())
}
