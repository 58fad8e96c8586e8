//! The command line: etcd's flags, each also as `ETCD_<FLAG>`, and a few of ours.

pub mod accepted;
pub mod refused;
pub mod tls;

use clap::{ArgAction, Parser, ValueEnum};
use std::path::PathBuf;

/// Where peers are told to find a member that says nothing else.
pub(crate) const DEFAULT_PEER_URL: &str = "http://localhost:2380";

/// The replicated key-value server: etcd's v3 API over openraft.
///
/// Starts in one of two ways. Static: with --initial-cluster, as etcd does. Join: with --join,
/// --cluster-id and --member-id; an empty member then waits until the operator initializes the
/// cluster or it is added to one. An empty data directory never forms a cluster by itself.
#[derive(Debug, Clone, Parser)]
#[command(name = "kvorum-node", disable_version_flag = true)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "etcd's flags are what they are"
)]
pub struct Args {
    /// Name of this member.
    #[arg(long, env = "ETCD_NAME", default_value = "default")]
    pub name: String,

    /// Data directory [default: <name>.etcd].
    #[arg(long, env = "ETCD_DATA_DIR")]
    pub data_dir: Option<PathBuf>,

    /// Where to listen for clients.
    #[arg(
        long,
        env = "ETCD_LISTEN_CLIENT_URLS",
        default_value = "http://localhost:2379"
    )]
    pub listen_client_urls: String,

    /// Client URLs that clients are told.
    #[arg(
        long,
        env = "ETCD_ADVERTISE_CLIENT_URLS",
        default_value = "http://localhost:2379"
    )]
    pub advertise_client_urls: String,

    /// Where to listen for peers and the admin API.
    #[arg(
        long,
        env = "ETCD_LISTEN_PEER_URLS",
        default_value = "http://localhost:2380"
    )]
    pub listen_peer_urls: String,

    /// Peer URLs that the other members are told.
    #[arg(
        long,
        env = "ETCD_INITIAL_ADVERTISE_PEER_URLS",
        default_value = DEFAULT_PEER_URL
    )]
    pub initial_advertise_peer_urls: String,

    /// Where to serve /metrics, /health, /livez and /readyz beside the client port.
    #[arg(long, env = "ETCD_LISTEN_METRICS_URLS")]
    pub listen_metrics_urls: Option<String>,

    /// Members of the cluster to form: name=peer-url,…  [default: this member alone].
    #[arg(long, env = "ETCD_INITIAL_CLUSTER", conflicts_with = "join")]
    pub initial_cluster: Option<String>,

    /// Whether the cluster is to be formed, or is there already.
    #[arg(long, env = "ETCD_INITIAL_CLUSTER_STATE", default_value = "new")]
    pub initial_cluster_state: ClusterState,

    /// Tells clusters with the same URLs apart.
    #[arg(
        long,
        env = "ETCD_INITIAL_CLUSTER_TOKEN",
        default_value = "etcd-cluster"
    )]
    pub initial_cluster_token: String,

    /// Wait empty until initialized by the operator, or added to a cluster.
    #[arg(long, env = "KVORUM_JOIN", requires_all = ["cluster_id", "member_id"])]
    pub join: bool,

    /// Cluster ID, 16 hexadecimal digits (with --join).
    #[arg(long, env = "KVORUM_CLUSTER_ID", value_parser = parse_hex, requires = "join")]
    pub cluster_id: Option<u64>,

    /// Member ID, decimal (with --join).
    #[arg(long, env = "KVORUM_MEMBER_ID", requires = "join")]
    pub member_id: Option<u64>,

    /// Zone of this member.
    #[arg(long, env = "KVORUM_ZONE", default_value = "")]
    pub zone: String,

    /// Milliseconds between heartbeats, in etcd's measure.
    #[arg(long, env = "ETCD_HEARTBEAT_INTERVAL", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub heartbeat_interval: u64,

    /// Milliseconds without a leader before an election, in etcd's measure.
    #[arg(long, env = "ETCD_ELECTION_TIMEOUT", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub election_timeout: u64,

    /// Log entries between snapshots.
    #[arg(long, env = "ETCD_SNAPSHOT_COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub snapshot_count: u64,

    /// Bytes that keys and values may take; 0: 2 GiB, negative: no limit.
    #[arg(
        long,
        env = "ETCD_QUOTA_BACKEND_BYTES",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    pub quota_backend_bytes: i64,

    /// Largest request in bytes.
    #[arg(long, env = "ETCD_MAX_REQUEST_BYTES", default_value_t = crate::limits::REQUEST_BYTES_DEFAULT)]
    pub max_request_bytes: usize,

    /// Most operations in one transaction.
    #[arg(long, env = "ETCD_MAX_TXN_OPS", default_value_t = crate::limits::TXN_OPS_DEFAULT)]
    pub max_txn_ops: usize,

    /// Compact by time or by number of revisions.
    #[arg(long, env = "ETCD_AUTO_COMPACTION_MODE", default_value = "periodic")]
    pub auto_compaction_mode: CompactionMode,

    /// What to keep: a duration (5m, 1h; a bare number is hours) or a number of revisions. 0: never compact.
    #[arg(long, env = "ETCD_AUTO_COMPACTION_RETENTION", default_value = "0")]
    pub auto_compaction_retention: String,

    /// How often watchers that ask for it hear of progress.
    #[arg(
        long,
        env = "ETCD_WATCH_PROGRESS_NOTIFY_INTERVAL",
        default_value = "10m"
    )]
    pub watch_progress_notify_interval: String,

    /// How users show who they are: simple, or jwt,sign-method=METHOD,pub-key=FILE,priv-key=FILE,ttl=5m.
    #[arg(long, env = "ETCD_AUTH_TOKEN", default_value = "simple")]
    pub auth_token: String,

    /// Seconds that a simple token lives without being used.
    #[arg(long, env = "ETCD_AUTH_TOKEN_TTL", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    pub auth_token_ttl: u64,

    /// Cost of hashing a password with bcrypt: each step doubles it.
    #[arg(long, env = "ETCD_BCRYPT_COST", default_value_t = 10, value_parser = clap::value_parser!(u32).range(4..=31))]
    pub bcrypt_cost: u32,

    /// Serve every call as JSON too, under /v3/.
    #[arg(long, env = "ETCD_ENABLE_GRPC_GATEWAY", num_args = 0..=1, default_missing_value = "true", default_value_t = true, action = ArgAction::Set)]
    pub enable_grpc_gateway: bool,

    /// Do not wait for the disk. Loses data on a power cut: for tests of other programs only.
    #[arg(long, env = "ETCD_UNSAFE_NO_FSYNC", num_args = 0..=1, default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    pub unsafe_no_fsync: bool,

    /// debug, info, warn, error or a filter such as info,kvorum_node::peer=debug.
    #[arg(long, env = "ETCD_LOG_LEVEL", default_value = "info")]
    pub log_level: String,

    /// Log lines as text or JSON.
    #[arg(long, env = "KVORUM_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// Where to serve HTTP/1 (pages and the JSON gateway) beside the client port.
    #[arg(long, env = "ETCD_LISTEN_CLIENT_HTTP_URLS")]
    pub listen_client_http_urls: Option<String>,

    /// How much is measured: with extensive, how long each kind of call takes.
    #[arg(long, env = "ETCD_METRICS", default_value = "basic")]
    pub metrics: MetricsDetail,

    /// Most learners at a time.
    #[arg(long, env = "ETCD_MAX_LEARNERS", default_value_t = 1)]
    pub max_learners: usize,

    /// How often the leader compares all members' data: a duration; 0s: never.
    #[arg(long, env = "ETCD_CORRUPT_CHECK_TIME", default_value = "0s")]
    pub corrupt_check_time: String,

    /// How often compacted data is compared; taken together with --corrupt-check-time.
    #[arg(
        long,
        env = "ETCD_COMPACT_HASH_CHECK_TIME",
        default_value = "0s",
        hide = true
    )]
    pub compact_hash_check_time: String,

    /// How often a silent client is asked whether it is still there; 0s: never.
    #[arg(long, env = "ETCD_GRPC_KEEPALIVE_INTERVAL", default_value = "2h")]
    pub grpc_keepalive_interval: String,

    /// How long it may take to answer before its connection is closed.
    #[arg(long, env = "ETCD_GRPC_KEEPALIVE_TIMEOUT", default_value = "20s")]
    pub grpc_keepalive_timeout: String,

    /// Certificates.
    #[command(flatten)]
    pub tls: tls::TlsArgs,

    /// Check the flags, print what they come to, and end.
    #[arg(long)]
    pub print_config: bool,

    /// Print the versions and end.
    #[arg(long, short = 'V')]
    pub version: bool,

    /// Flags of etcd's that mean nothing here.
    #[command(flatten)]
    pub accepted: accepted::Accepted,

    /// Flags of etcd's that are refused.
    #[command(flatten)]
    pub refused: refused::Refused,
}

/// etcd's `--initial-cluster-state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ClusterState {
    /// To be formed by the members listed.
    New,
    /// There already: wait to be added.
    Existing,
}

/// etcd's `--metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MetricsDetail {
    /// Counts.
    Basic,
    /// Times of calls as well.
    Extensive,
}

/// etcd's `--auto-compaction-mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompactionMode {
    /// Keep a span of time.
    Periodic,
    /// Keep a number of revisions.
    Revision,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

fn parse_hex(text: &str) -> Result<u64, String> {
    match u64::from_str_radix(text, 16) {
        Ok(id) if text.len() == 16 && id != 0 => Ok(id),
        _ => Err("must be 16 hexadecimal digits, not all zero".to_owned()),
    }
}
