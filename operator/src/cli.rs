//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// A Kubernetes operator for replicated key-value clusters that speak the etcd v3 API.
#[derive(Debug, Parser)]
#[command(name = "kvorum-operator", version, about)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look after the KvClusters of a Kubernetes cluster.
    Run(RunArgs),
    /// Print the CustomResourceDefinition.
    Crd,
    /// Say what would be created for a KvCluster, and which failures it would survive, without acting.
    Explain(ExplainArgs),
    /// Say whether an operator is ready, or whether a cluster keeps what it is told; for `helm test`.
    Check(CheckArgs),
}

/// How to run.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The image of kvorum-node for clusters that name none.
    #[arg(long, env = "KVORUM_NODE_IMAGE", default_value = concat!("kvorum.dev/kvorum-node:", env!("CARGO_PKG_VERSION")))]
    pub node_image: String,

    /// Look after KvClusters with the label kvorum.dev/class=CLASS; without it, after those without the label.
    #[arg(long, env = "KVORUM_CLASS")]
    pub class: Option<String>,

    /// Look after KvClusters of these namespaces only, without any right beyond them; without it, of all.
    /// Zones must then be listed in spec.placement.zones, as Nodes cannot be seen.
    #[arg(long, env = "KVORUM_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,

    /// Where to serve /metrics, /healthz and /readyz.
    #[arg(long, env = "KVORUM_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,

    /// Let only one of several operators act.
    #[arg(long, env = "KVORUM_LEADER_ELECT", default_value_t = true, action = clap::ArgAction::Set)]
    pub leader_elect: bool,

    /// The namespace of the Lease; without it, the one the operator runs in.
    #[arg(long, env = "KVORUM_LEASE_NAMESPACE")]
    pub lease_namespace: Option<String>,

    /// The name of the Lease.
    #[arg(long, env = "KVORUM_LEASE_NAME", default_value = "kvorum-operator")]
    pub lease_name: String,

    /// What to log: a level, or directives such as kvorum_operator=debug.
    #[arg(long, env = "KVORUM_LOG", default_value = "info")]
    pub log: String,

    /// Log lines as JSON.
    #[arg(long, env = "KVORUM_LOG_JSON", default_value_t = false, action = clap::ArgAction::Set)]
    pub log_json: bool,
}

/// What to explain.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// A file with one KvCluster, YAML or JSON; - reads standard input. One that `kubectl get kvc NAME -o yaml`
    /// gave is explained as it stands: what is under way and what it waits for. Or a dump: what the planner
    /// decides on it.
    #[arg(short, long, required_unless_present = "live")]
    pub filename: Option<PathBuf>,

    /// A KvCluster as a running operator sees it now: what comes next, and the gate that blocks it. Inside the
    /// operator's pod: kubectl exec deploy/kvorum-operator -- kvorum-operator explain --live NAMESPACE/NAME
    #[arg(long, value_name = "NAMESPACE/NAME", conflicts_with = "filename")]
    pub live: Option<String>,

    /// Where the operator listens; it answers callers of its own machine or pod only.
    #[arg(long, requires = "live", default_value = "127.0.0.1:8080")]
    pub operator: SocketAddr,

    /// Print what the operator sees as a dump, to be explained later, anywhere, with --filename.
    #[arg(long, requires = "live")]
    pub dump: bool,

    /// The zones of the Kubernetes cluster, where the KvCluster lists none.
    #[arg(long, value_delimiter = ',', default_value = "zone-a,zone-b,zone-c")]
    pub zones: Vec<String>,
}

/// What to check.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub struct CheckArgs {
    /// An operator's /readyz, such as http://kvorum-operator.kvorum-system.svc:8080/readyz.
    #[arg(long)]
    pub ready: Option<String>,

    /// Where a cluster serves etcd clients, such as http://my-cluster.default.svc:2379.
    #[arg(long)]
    pub endpoint: Option<String>,

    /// For an endpoint with https: the directory of a client's Secret, with ca.crt, tls.crt and tls.key.
    #[arg(long, requires = "endpoint")]
    pub certificates: Option<PathBuf>,
}
