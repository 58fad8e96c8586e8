//! `cargo xtask failure-modes`, the fault tests and what they saw as a page; and
//! `cargo xtask linearizability`, the one of them that can go on for as long as one likes.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::{LinearizabilityOptions, TestOptions};
use crate::layers::Layer;
use crate::test;
use crate::workspace::root;

fn options(arguments: &[&str]) -> TestOptions {
    TestOptions {
        layers: vec![Layer::Faults],
        keep: false,
        arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
    }
}

/// Runs the layer of fault tests; each test writes its own table into the page.
pub(crate) fn write_failure_modes() -> Result<ExitCode> {
    let page = root().join("docs/failure-modes.md");
    test::run(&options(&[]), vec![("KVORUM_FAILURE_MODES", page.into())])
}

/// Records and checks histories for a while.
pub(crate) fn check_histories(wanted: &LinearizabilityOptions) -> Result<ExitCode> {
    let seconds = wanted.minutes.saturating_mul(60).to_string();
    let mut environment: test::Environment =
        vec![("KVORUM_LINEARIZABILITY_SECONDS", seconds.into())];
    if let Some(seed) = wanted.seed {
        let seed = seed.to_string();
        environment.push(("KVORUM_LINEARIZABILITY_SEED", seed.into()));
    }
    let arguments = ["histories_under_faults", "--nocapture"];
    test::run(&options(&arguments), environment)
}
