//! `cargo xtask failure-modes`: the fault tests, and what they saw as a page.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::TestOptions;
use crate::layers::Layer;
use crate::test;
use crate::workspace::root;

/// Runs the layer of fault tests; each test writes its own table into the page.
pub(crate) fn write_failure_modes() -> Result<ExitCode> {
    let options = TestOptions {
        layers: vec![Layer::Faults],
        keep: false,
        arguments: Vec::new(),
    };
    let page = root().join("docs/failure-modes.md");
    test::run(&options, vec![("KVORUM_FAILURE_MODES", page.into())])
}
