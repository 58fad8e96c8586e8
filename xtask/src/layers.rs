//! The layers of tests: what each runs and what it needs.

use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;
use kvorum_testbed::preflight;

use crate::workspace::root;

/// A layer of tests, from the least to the most powerful.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Layer {
    /// Code alone: unit, property and snapshot tests, tidiness
    Unit,
    /// Servers as processes: kills, restarts, damaged disks
    Nodes,
    /// The etcd API, the same cases on real etcd and on ours
    Conformance,
    /// Cut links, members killed at exact steps, histories checked for linearizability
    Faults,
    /// The CRD's rules and the chart on a real API server
    Api,
    /// The product on a Kubernetes with zones, under faults
    Zones,
}

/// Packages that only a layer of their own runs.
const OWN_LAYER: [&str; 5] = [
    "kvorum-processes",
    "kvorum-fuzz",
    "kvorum-conformance",
    "kvorum-faults",
    "kvorum-zones",
];

impl Layer {
    /// All layers in the order in which they run.
    pub(crate) const ALL: [Self; 6] = [
        Self::Unit,
        Self::Nodes,
        Self::Conformance,
        Self::Faults,
        Self::Api,
        Self::Zones,
    ];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Nodes => "nodes",
            Self::Conformance => "conformance",
            Self::Faults => "faults",
            Self::Api => "api",
            Self::Zones => "zones",
        }
    }

    /// Whether it runs against a Kubernetes.
    pub(crate) fn needs_kubernetes(self) -> bool {
        matches!(self, Self::Api | Self::Zones)
    }

    /// Whether it compares with real etcd.
    pub(crate) fn needs_etcd(self) -> bool {
        matches!(self, Self::Nodes | Self::Conformance)
    }

    /// Whether it runs our programs as processes.
    pub(crate) fn needs_programs(self) -> bool {
        self != Self::Unit
    }

    /// What its test programs are told beside what the caller says.
    pub(crate) fn test_arguments(self) -> &'static [&'static str] {
        match self {
            // Each of its tests is a cluster under stress on the same few cores; in zones, they also share nodes
            // and a control plane that some of them take away.
            Self::Faults | Self::Zones => &["--test-threads=1"],
            _ => &[],
        }
    }

    /// Why it cannot run on this machine, if so.
    pub(crate) fn obstacle(self, foreign_kubernetes: bool) -> Option<String> {
        let check = || -> Result<()> {
            if self.needs_etcd()
                || self == Self::Faults
                || (self.needs_kubernetes() && !foreign_kubernetes)
            {
                preflight::check_go()?;
            }
            if self.needs_kubernetes() && !foreign_kubernetes {
                preflight::check()?;
            }
            if self == Self::Faults {
                preflight::check_namespaces()?;
            }
            Ok(())
        };
        check().err().map(|error| format!("{error:#}"))
    }

    /// The `cargo test` commands of the layer, without the word `test`.
    pub(crate) fn commands(self, foreign_kubernetes: bool) -> Vec<Vec<String>> {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        match self {
            Self::Unit => {
                let mut command = words("--workspace");
                command.extend(
                    OWN_LAYER
                        .iter()
                        .flat_map(|package| words(&format!("--exclude {package}"))),
                );
                vec![command]
            }
            Self::Nodes => vec![words("-p kvorum-processes"), words("-p kvorum-fuzz")],
            Self::Conformance => vec![words("-p kvorum-conformance")],
            Self::Faults => vec![words("-p kvorum-faults")],
            Self::Api => zone_targets(true)
                .map(|targets| [words("-p kvorum-zones"), targets].concat())
                .into_iter()
                .collect(),
            Self::Zones => {
                let product = [
                    words("-p kvorum-zones --lib"),
                    zone_targets(false).unwrap_or_default(),
                ]
                .concat();
                if foreign_kubernetes {
                    return vec![product];
                }
                vec![
                    words("-p kvorum-testbed --features machine-tests --test testbed"),
                    product,
                ]
            }
        }
    }
}

/// The test programs of crate kvorum-zones: those whose names begin with `api` are layer api.
fn zone_targets(api: bool) -> Option<Vec<String>> {
    let mut names: Vec<String> = std::fs::read_dir(root().join("testing/zones/tests"))
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| Path::file_stem(&path).map(|stem| stem.to_string_lossy().into_owned()))
        .filter(|name| name.starts_with("api") == api)
        .collect();
    names.sort();
    (!names.is_empty()).then(|| {
        names
            .into_iter()
            .flat_map(|name| ["--test".to_owned(), name])
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_package_is_in_two_layers() {
        let unit = Layer::Unit.commands(false).concat();
        for package in OWN_LAYER {
            assert!(
                unit.windows(2)
                    .any(|pair| pair[0] == "--exclude" && pair[1] == package)
            );
        }
    }
}
