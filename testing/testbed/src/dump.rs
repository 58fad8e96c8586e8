//! What to look at after a failure: events, pods and their logs, and the last lines of every component's log.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::limits::DUMP_LINES;
use crate::run::output;
use crate::state::{Record, StateDir};

/// Collects everything as text. Never fails: what cannot be had is said in its place.
pub(crate) fn dump(state: &StateDir, record: &Record) -> String {
    let mut text = String::new();
    match kubectl(state, record, &["get", "--raw", "/readyz"]) {
        Ok(_) => objects(&mut text, state, record),
        Err(error) => section(
            &mut text,
            "the API server does not answer",
            &format!("{error:#}"),
        ),
    }
    logs_in(&mut text, &state.join("log"), "control plane");
    for node in &record.nodes {
        logs_in(
            &mut text,
            &state.node_dir(&node.name).join("log"),
            &format!("node {}", node.name),
        );
    }
    text
}

fn kubectl(state: &StateDir, record: &Record, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(record.programs.k8s.join("kubectl"));
    output(
        command
            .arg("--kubeconfig")
            .arg(state.kubeconfig())
            .arg("--request-timeout=5s")
            .args(arguments),
    )
}

fn objects(text: &mut String, state: &StateDir, record: &Record) {
    let show = |arguments: &[&str]| {
        kubectl(state, record, arguments).unwrap_or_else(|error| format!("{error:#}"))
    };
    section(text, "nodes", &show(&["get", "nodes", "-o", "wide"]));
    section(text, "pods", &show(&["get", "pods", "-A", "-o", "wide"]));
    section(text, "volumes", &show(&["get", "pv,pvc", "-A"]));
    section(
        text,
        "events",
        &show(&["get", "events", "-A", "--sort-by=.lastTimestamp"]),
    );
    section(
        text,
        "clusters",
        &show(&["get", "kvclusters", "-A", "-o", "yaml"]),
    );
    let columns = "custom-columns=N:.metadata.namespace,P:.metadata.name";
    let pods = kubectl(
        state,
        record,
        &["get", "pods", "-A", "--no-headers", "-o", columns],
    )
    .unwrap_or_default();
    for (namespace, pod) in pods
        .lines()
        .filter_map(|line| line.split_once(char::is_whitespace))
    {
        let tail = format!("--tail={DUMP_LINES}");
        let log = show(&[
            "logs",
            "-n",
            namespace,
            pod.trim(),
            "--all-containers",
            &tail,
        ]);
        section(
            text,
            &format!("log of pod {namespace}/{}", pod.trim()),
            &log,
        );
    }
}

fn logs_in(text: &mut String, directory: &Path, whose: &str) {
    let mut files: Vec<_> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "log"))
    {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        section(
            text,
            &format!("{whose}: {name}"),
            &tail(&fs::read_to_string(file).unwrap_or_default()),
        );
    }
}

fn section(text: &mut String, title: &str, body: &str) {
    // Writing to a string cannot fail.
    writeln!(text, "===== {title}\n{}", body.trim_end()).ok();
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(DUMP_LINES)..].join("\n")
}
