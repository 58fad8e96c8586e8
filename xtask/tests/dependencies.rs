//! Goal: the dependency direction of the architecture is kept. Method: follows `cargo metadata` from each crate, through
//! normal and build dependencies; what only tests use does not count.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first thing that is not as it must be"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Crates by which a crate would touch the world: sockets, files, clocks, Kubernetes.
const WORLD: [&str; 12] = [
    "tokio",
    "mio",
    "hyper",
    "tonic",
    "axum",
    "reqwest",
    "kube-client",
    "kube-runtime",
    "openraft",
    "rustls",
    "socket2",
    "nix",
];

struct Graph {
    direct: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn read() -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args([
                "metadata",
                "--format-version",
                "1",
                "--filter-platform",
                "x86_64-unknown-linux-gnu",
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let names: BTreeMap<&str, &str> = list(&metadata["packages"])
            .iter()
            .map(|package| {
                (
                    package["id"].as_str().unwrap(),
                    package["name"].as_str().unwrap(),
                )
            })
            .collect();
        let mut direct: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for node in list(&metadata["resolve"]["nodes"]) {
            let own = names[node["id"].as_str().unwrap()].to_owned();
            let needed = list(&node["deps"])
                .iter()
                .filter(|dependency| {
                    list(&dependency["dep_kinds"])
                        .iter()
                        .any(|kind| kind["kind"] != "dev")
                })
                .map(|dependency| names[dependency["pkg"].as_str().unwrap()].to_owned());
            // Two versions of one crate count as one.
            direct.entry(own).or_default().extend(needed);
        }
        Self { direct }
    }

    /// A way from one crate to another, if there is one.
    fn way(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut open = vec![from];
        while let Some(current) = open.pop() {
            if current == to {
                let mut way = vec![to.to_owned()];
                let mut step = to;
                while step != from {
                    step = came_from[step];
                    way.push(step.to_owned());
                }
                way.reverse();
                return Some(way);
            }
            for next in self.direct.get(current).into_iter().flatten() {
                if next != from && !came_from.contains_key(next.as_str()) {
                    came_from.insert(next, current);
                    open.push(next);
                }
            }
        }
        None
    }

    fn must_not_reach(&self, from: &str, forbidden: &[&str]) {
        assert!(self.direct.contains_key(from), "there is no crate {from}");
        for to in forbidden {
            if let Some(way) = self.way(from, to) {
                panic!(
                    "{from} must not depend on {to}, but it does: {}",
                    way.join(" -> ")
                );
            }
        }
    }
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

#[test]
fn dependencies_point_one_way() {
    let graph = Graph::read();
    graph.must_not_reach(
        "kvorum-api",
        &["kvorum-operator", "kvorum-plan", "kvorum-node"],
    );
    graph.must_not_reach(
        "kvorum-operator",
        &["kvorum-node", "kvorum-storage", "kvorum-mvcc", "openraft"],
    );
    graph.must_not_reach(
        "kvorum-node",
        &[
            "kube",
            "kube-core",
            "kube-client",
            "k8s-openapi",
            "kvorum-operator",
            "kvorum-api",
        ],
    );
    graph.must_not_reach("kvorum-proto", &["kvorum-node", "kvorum-operator"]);
}

/// Here features matter: kvorum-proto brings tonic for the node and plain types for the state machine, which one look at
/// the whole workspace would not tell apart.
#[test]
fn pure_crates_do_not_touch_the_world() {
    for pure in ["kvorum-plan", "kvorum-mvcc"] {
        let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args([
                "tree",
                "--package",
                pure,
                "--edges",
                "normal",
                "--prefix",
                "none",
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        let tree = String::from_utf8(output.stdout).unwrap();
        assert!(tree.starts_with(pure), "cargo tree shows no {pure}");
        let touched: Vec<&str> = tree
            .lines()
            .filter_map(|line| line.split(' ').next())
            .filter(|name| WORLD.contains(name))
            .collect();
        assert!(
            touched.is_empty(),
            "{pure} must do no input or output, but it depends on {touched:?}"
        );
    }
}

#[test]
fn nothing_depends_on_what_tests_it() {
    let graph = Graph::read();
    let testing = [
        "kvorum-testbed",
        "kvorum-processes",
        "kvorum-conformance",
        "kvorum-faults",
        "kvorum-zones",
        "kvorum-bench",
        "kvorum-many",
        "xtask",
    ];
    for product in [
        "kvorum-proto",
        "kvorum-mvcc",
        "kvorum-storage",
        "kvorum-node",
        "kvorum-api",
        "kvorum-plan",
        "kvorum-operator",
    ] {
        graph.must_not_reach(product, &testing);
    }
}

#[test]
fn a_way_is_found_and_named() {
    let edge = |from: &str, to: &str| (from.to_owned(), BTreeSet::from([to.to_owned()]));
    let graph = Graph {
        direct: BTreeMap::from([edge("a", "b"), edge("b", "c"), edge("c", "a")]),
    };
    assert_eq!(graph.way("a", "c").unwrap(), ["a", "b", "c"]);
    assert_eq!(graph.way("a", "d"), None);
}
