//! The checker's verdict: a program around porcupine, which nobody here wrote.

use super::{Operation, lines};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The history is linearizable; in words.
    Linearizable(String),
    /// It is not; in words.
    NotLinearizable(String),
}

/// Writes a history into a directory and has it checked.
///
/// # Panics
/// If there is no checker (`KVORUM_LINEARIZABILITY_BIN`) or it cannot say.
#[must_use]
pub fn check(directory: &Path, operations: &[Operation]) -> Verdict {
    let file = directory.join("history.jsonl");
    std::fs::write(&file, lines(operations))
        .unwrap_or_else(|e| panic!("cannot write {}: {e}", file.display()));
    let program = std::env::var_os("KVORUM_LINEARIZABILITY_BIN").map(PathBuf::from);
    let program = program.unwrap_or_else(|| {
        panic!("KVORUM_LINEARIZABILITY_BIN must name the checker: run by `cargo xtask test`")
    });
    let output = Command::new(&program).arg(&file).output();
    let output = output.unwrap_or_else(|e| panic!("cannot run {}: {e}", program.display()));
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match output.status.code() {
        Some(0) => Verdict::Linearizable(said),
        Some(1) => Verdict::NotLinearizable(said),
        _ => panic!("no verdict: {}", String::from_utf8_lossy(&output.stderr)),
    }
}
