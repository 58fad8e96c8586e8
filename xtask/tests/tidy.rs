//! Goal: the form that style.md asks for is kept by a test. Method: reads every source file of the work tree.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first thing that is not as it must be"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Lines that a file of the product may have; tests may be longer.
const MAX_LINES: usize = 400;

/// Longer files, with the reason. This list may only shrink.
const LONGER: [(&str, &str); 0] = [];

/// Names that say nothing about what is in a module.
const SAYS_NOTHING: [&str; 8] = [
    "util", "utils", "helper", "helpers", "common", "misc", "shared", "stuff",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

/// Every .rs file that is ours, by its path in the work tree.
fn sources() -> Vec<(String, String)> {
    let mut open = vec![root()];
    let mut found = Vec::new();
    while let Some(directory) = open.pop() {
        for path in fs::read_dir(directory)
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
        {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                open.push(path);
            } else if name.ends_with(".rs") {
                let below = path
                    .strip_prefix(root())
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                // Another session's half-moved file is not this test's business.
                if let Ok(text) = fs::read_to_string(&path) {
                    found.push((below, text));
                }
            }
        }
    }
    assert!(found.len() > 50, "the work tree was not found");
    found.sort();
    found
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// The lines before an inline test module.
fn product_lines(text: &str) -> usize {
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .count()
}

#[test]
fn every_file_says_first_what_it_is_for() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| path)
        .collect();
    assert!(
        silent.is_empty(),
        "these files do not open with a line `//! what it is for`: {silent:#?}"
    );
}

#[test]
fn files_are_short() {
    let long: Vec<String> = sources()
        .into_iter()
        .filter(|(path, text)| !is_test(path) && product_lines(text) > MAX_LINES)
        .filter(|(path, _)| !LONGER.iter().any(|(longer, _)| longer == path))
        .map(|(path, text)| format!("{path}: {}", product_lines(&text)))
        .collect();
    assert!(
        long.is_empty(),
        "more than {MAX_LINES} lines; split by subject: {long:#?}"
    );
}

#[test]
fn exceptions_are_still_needed() {
    for (path, reason) in LONGER {
        let text = fs::read_to_string(root().join(path)).unwrap_or_default();
        assert!(
            product_lines(&text) > MAX_LINES && !reason.is_empty(),
            "{path} needs no exception any more"
        );
    }
}

#[test]
fn modules_have_names_that_say_something() {
    let empty: Vec<String> = sources()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| {
            let parts = Path::new(path).with_extension("");
            parts
                .components()
                .any(|part| SAYS_NOTHING.iter().any(|name| part.as_os_str() == *name))
        })
        .collect();
    assert!(
        empty.is_empty(),
        "name these after what is in them: {empty:#?}"
    );
}

#[test]
fn nothing_is_left_undone_in_silence() {
    // Put together here, or this file would find itself.
    let marks = [
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["XX", "X"].concat(),
        ["#[ig", "nore"].concat(),
    ];
    let undone: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| marks.iter().any(|mark| text.contains(mark.as_str())))
        .map(|(path, _)| path)
        .collect();
    assert!(
        undone.is_empty(),
        "finish or remove what is marked in: {undone:#?}"
    );
}
