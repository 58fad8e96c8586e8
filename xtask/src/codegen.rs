//! Generated files: the CRD for kubectl, the CRD as a template of the operator's chart, and the schema of the
//! cluster chart's values, from crate kvorum-api.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::workspace::cargo;

/// This command again, in a build that knows the CRD types.
pub(crate) fn command(check: bool) -> Command {
    let mut command = cargo();
    command.args([
        "run",
        "--quiet",
        "--package",
        "xtask",
        "--features",
        "codegen",
        "--",
        "codegen",
    ]);
    if check {
        command.arg("--check");
    }
    command
}

/// Without the CRD types: builds and runs the one that has them.
#[cfg(not(feature = "codegen"))]
pub(crate) fn run(check: bool) -> Result<ExitCode> {
    let status = command(check).status()?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Writes the files, or says which are out of date.
#[cfg(feature = "codegen")]
pub(crate) fn run(check: bool) -> Result<ExitCode> {
    use anyhow::Context;

    let mut stale = Vec::new();
    for (path, text) in files() {
        let file = crate::workspace::root().join(path);
        if std::fs::read_to_string(&file).is_ok_and(|present| present == text) {
            continue;
        }
        if check {
            stale.push(path);
            continue;
        }
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        println!("wrote {path}");
    }
    if stale.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "out of date: {}; run `cargo xtask codegen`",
        stale.join(", ")
    );
    Ok(ExitCode::FAILURE)
}

/// Every generated file by its path in the work tree.
#[cfg(any(feature = "codegen", test))]
fn files() -> [(&'static str, String); 3] {
    [
        ("crds/kvorum.dev_kvclusters.yaml", kvorum_api::crd_yaml()),
        (
            "charts/kvorum-operator/templates/crds.yaml",
            kvorum_api::chart_crd_template(),
        ),
        (
            "charts/kvorum-cluster/values.schema.json",
            kvorum_api::cluster_chart_schema(),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_files_are_up_to_date() {
        for (path, text) in files() {
            let present = std::fs::read_to_string(crate::workspace::root().join(path)).unwrap();
            assert!(
                present == text,
                "{path} is out of date; run `cargo xtask codegen`"
            );
        }
    }
}
