//! Goal: the definition that is installed is the one in the code, small, and reviewed when it changes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::Path;

/// Above this, `kubectl apply` and Argo CD cannot store it in their annotation.
const DEFINITION_BYTES_MAX: usize = 256 * 1024;

fn committed(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| {
        panic!("{path}: {error}; run `cargo xtask codegen`");
    })
}

#[test]
fn the_definition_is_reviewed() {
    insta::assert_snapshot!(kvorum_api::crd_yaml());
}

#[test]
fn the_definition_fits_into_an_annotation() {
    assert!(kvorum_api::crd_yaml().len() < DEFINITION_BYTES_MAX);
}

#[test]
fn the_files_in_the_tree_are_the_ones_the_code_writes() {
    let files = [
        ("crds/kvorum.dev_kvclusters.yaml", kvorum_api::crd_yaml()),
        (
            "charts/kvorum-operator/templates/crds.yaml",
            kvorum_api::chart_crd_template(),
        ),
    ];
    for (path, written) in files {
        assert!(
            committed(path) == written,
            "{path} is old: run `cargo xtask codegen`"
        );
    }
}

#[test]
fn nothing_is_nullable_and_a_fresh_object_is_not_done() {
    let text = kvorum_api::crd_yaml();
    assert!(!text.contains("nullable"));
    assert!(text.contains("observedGeneration: -1"));
}
