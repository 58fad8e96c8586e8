//! The commands and their options.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kvorum_testbed::{FaultCommand, limits};

use crate::layers::Layer;

/// kvorum's developer tool: bring up a Kubernetes with zones, build, test, check
#[derive(Debug, Parser)]
#[command(
    bin_name = "cargo xtask",
    after_help = "Exit codes: 0 all went well, 1 something failed (the last lines say what), 2 a wrong option."
)]
pub(crate) struct Arguments {
    /// Which testbed; testbeds of different names run side by side
    #[arg(long, global = true, env = "KVORUM_TESTBED", default_value = "dev")]
    pub(crate) name: String,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build everything, bring up a Kubernetes with three zones, install the operator, create a cluster
    ///
    /// Needs Linux, root, cgroup v1, Rust and Go. If KUBECONFIG is set, that Kubernetes is used instead of a testbed.
    /// The first run builds Kubernetes and etcd from their Go modules (minutes); it can be stopped and goes on.
    Up(UpOptions),
    /// Remove the testbed, alive or dead, with everything that it left on the machine
    Down,
    /// Print shell lines for KUBECONFIG and PATH: eval "$(cargo xtask env)" gives kubectl, etcdctl and helm
    Env,
    /// Show testbeds, their nodes and the clusters on them
    Status,
    /// Print events, pod logs and component logs of the testbed, to look into a failure
    Dump,
    #[command(flatten)]
    Fault(FaultCommand),
    /// Build the images of kvorum-node and kvorum-operator as archives that docker, podman, kind and ctr load
    Image {
        /// Where to write them [default: images/ in the target directory]
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Run the tests, layer by layer, and count them
    Test(TestOptions),
    /// Run the layer of fault tests and write what it saw into docs/failure-modes.md
    FailureModes,
    /// Record histories of concurrent clients under faults and have them checked
    Linearizability(LinearizabilityOptions),
    /// Change valid inputs at random: of the log, of snapshots, of the API; whatever reads them must live on
    Fuzz(FuzzOptions),
    /// Check the planner against a toy Kubernetes and a toy Raft, for as long as one likes
    ModelCheck(ModelCheckOptions),
    /// Check formatting, lints and generated files; changes nothing
    Verify,
    /// Format, apply what the linter can fix, write generated files
    Fix,
    /// Write the files that are generated from the sources (CRD, chart template)
    Codegen {
        /// Only say whether they are up to date
        #[arg(long)]
        check: bool,
    },
    /// Measure one operator with very many clusters on a Kubernetes of simulated nodes and members
    BenchOperator {
        /// Passed to the benchmark; `cargo xtask bench-operator -- --help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Measure kvorum-node beside etcd, alternating, on this machine
    Bench {
        /// Passed to the benchmark; `cargo xtask bench -- --help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct UpOptions {
    /// Nodes in each of the three zones of a testbed
    #[arg(long, default_value_t = 1)]
    pub(crate) nodes_per_zone: u8,
    /// Seconds without a sign of life after which a node counts as not ready
    #[arg(long, default_value_t = limits::DEFAULT_GRACE_SECONDS)]
    pub(crate) grace: u32,
    /// Stop when Kubernetes is ready: no operator, no cluster
    #[arg(long)]
    pub(crate) bare: bool,
    /// Install the operator but create no cluster
    #[arg(long, conflicts_with = "bare")]
    pub(crate) no_cluster: bool,
    /// If the testbed does not start, leave it as it is
    #[arg(long)]
    pub(crate) keep_going: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct LinearizabilityOptions {
    /// How long; each history is of one cluster and half a minute
    #[arg(long, default_value_t = 10)]
    pub(crate) minutes: u64,
    /// Draw the same requests and faults again, as a failure printed it
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

/// What reads inputs from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FuzzTarget {
    /// Segments of the write-ahead log
    Log,
    /// A directory that etcdutl restored
    Snapshot,
    /// Requests of a client, as they are on the wire
    Api,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct FuzzOptions {
    /// Only these, several with commas [default: all]
    #[arg(long = "target", value_enum, value_delimiter = ',')]
    pub(crate) targets: Vec<FuzzTarget>,
    /// How long each kind of input is changed
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
    /// Try one input alone: a file that a finding named
    #[arg(long)]
    pub(crate) input: Option<std::path::PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ModelCheckOptions {
    /// States of each small world at most
    #[arg(long, default_value_t = 50_000)]
    pub(crate) states: usize,
    /// Random walks through each bigger world
    #[arg(long, default_value_t = 5000)]
    pub(crate) seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    pub(crate) first: u64,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct TestOptions {
    /// Only these layers, several with commas [default: all]
    #[arg(long = "layer", value_enum, value_delimiter = ',')]
    pub(crate) layers: Vec<Layer>,
    /// Leave the testbed of the tests up when something failed
    #[arg(long)]
    pub(crate) keep: bool,
    /// Passed to the test programs, after `--`
    #[arg(last = true)]
    pub(crate) arguments: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The commands of a page, wherever they stand in a line; tables list words, not commands.
    fn commands(page: &str) -> Vec<String> {
        let lines = page.lines().filter(|line| !line.starts_with('|'));
        let found = lines.flat_map(|line| line.split("cargo xtask ").skip(1));
        found
            .map(|rest| {
                let end = rest
                    .find(['`', '#', '"', ')', ';', '|'])
                    .unwrap_or(rest.len());
                rest[..end].trim().to_owned()
            })
            .collect()
    }

    #[test]
    fn every_command_of_the_readme_is_one() {
        let readme = std::fs::read_to_string(crate::workspace::root().join("README.md")).unwrap();
        let commands = commands(&readme);
        assert!(commands.len() > 5, "{commands:?}");
        for command in commands {
            let words = ["xtask"].into_iter().chain(command.split_whitespace());
            let parsed = Arguments::try_parse_from(words);
            assert!(parsed.is_ok(), "cargo xtask {command}: {parsed:?}");
        }
    }
}
