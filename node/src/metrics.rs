//! The metrics page: etcd's names, read from the parts when it is asked for.

use crate::api::ETCD_VERSION;
use crate::consensus::status::{Role, Status};
use crate::consensus::types::LogId;
use crate::member::Member;
use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Labels of etcd's gRPC counters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Call {
    grpc_code: &'static str,
    grpc_method: String,
    grpc_service: String,
    grpc_type: &'static str,
}

/// What is counted as it happens.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    /// Seconds that one fdatasync of the log took.
    pub wal_fsync: Histogram,
    calls: Family<Call, Counter>,
}

impl Metrics {
    /// An empty page.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let wal_fsync = Histogram::new(exponential_buckets(0.001, 2.0, 14));
        registry.register(
            "etcd_disk_wal_fsync_duration_seconds",
            "How long one fdatasync of the write-ahead log took",
            wal_fsync.clone(),
        );
        let calls = Family::<Call, Counter>::default();
        registry.register(
            "grpc_server_handled",
            "Calls that were answered, by code",
            calls.clone(),
        );
        Self {
            registry: Arc::new(Mutex::new(registry)),
            wal_fsync,
            calls,
        }
    }

    /// Counts an answered call. `path` is `/package.Service/Method`.
    pub fn handled(&self, path: &str, code: tonic::Code) {
        let mut parts = path.trim_start_matches('/').splitn(2, '/');
        let service = parts.next().unwrap_or_default();
        let method = parts.next().unwrap_or_default();
        let streams = matches!(
            method,
            "Watch" | "LeaseKeepAlive" | "Snapshot" | "RangeStream"
        );
        let call = Call {
            grpc_code: code_name(code),
            grpc_method: method.to_owned(),
            grpc_service: service.to_owned(),
            grpc_type: if streams { "bidi_stream" } else { "unary" },
        };
        self.calls.get_or_create(&call).inc();
    }

    /// Adds what is read from the member when the page is asked for.
    pub fn watch(&self, member: Arc<Member>) {
        self.registry.lock().register_collector(Box::new(Collector {
            member,
            seen: Mutex::default(),
        }));
    }

    /// The page, in the `OpenMetrics` text format.
    #[must_use]
    pub fn page(&self) -> String {
        let mut out = String::new();
        match encode(&mut out, &self.registry.lock()) {
            Ok(()) => out,
            Err(_) => String::new(),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn code_name(code: tonic::Code) -> &'static str {
    use tonic::Code;
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

struct Collector {
    member: Arc<Member>,
    /// Leaders (by term) seen so far by this process.
    seen: Mutex<HashSet<u64>>,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Collector")
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Collector {
    fn gauges(&self, status: &Status) -> [(&'static str, &'static str, i64); 13] {
        let store = self.member.store().summary();
        let learner = self.member.consensus().is_learner();
        [
            (
                "etcd_server_has_leader",
                "1 if this member knows a leader",
                i64::from(status.leader.is_some()),
            ),
            (
                "etcd_server_is_leader",
                "1 if this member leads",
                i64::from(status.role == Role::Leader),
            ),
            (
                "etcd_server_is_learner",
                "1 if this member has no vote",
                i64::from(learner),
            ),
            (
                "etcd_server_quota_backend_bytes",
                "Quota in bytes",
                self.member.limits().quota,
            ),
            (
                "etcd_mvcc_db_total_size_in_bytes",
                "Bytes of the store on disk",
                signed(self.member.store().disk_bytes()),
            ),
            (
                "etcd_mvcc_db_total_size_in_use_in_bytes",
                "Bytes of readable records",
                store.live_bytes,
            ),
            (
                "etcd_debugging_mvcc_current_revision",
                "Current revision",
                store.revision,
            ),
            (
                "etcd_debugging_mvcc_compact_revision",
                "Compacted revision",
                store.compacted,
            ),
            (
                "etcd_debugging_mvcc_keys_total",
                "Keys that are there",
                i64::try_from(store.keys).unwrap_or(i64::MAX),
            ),
            (
                "kvorum_node_leases",
                "Leases that are there",
                i64::try_from(store.leases).unwrap_or(i64::MAX),
            ),
            ("kvorum_node_raft_term", "Raft term", signed(status.term)),
            (
                "kvorum_node_voters",
                "Voters of the membership",
                i64::try_from(status.voters.len()).unwrap_or(i64::MAX),
            ),
            (
                "kvorum_node_ready",
                "1 if this member can serve",
                i64::from(self.member.ready().is_ok()),
            ),
        ]
    }

    fn counters(&self, status: &Status) -> [(&'static str, &'static str, u64); 6] {
        let traffic = &self.member.context().traffic;
        let index = |id: Option<LogId>| id.map_or(0, |id| id.index);
        let leaders = {
            let mut seen = self.seen.lock();
            if status.leader.is_some() {
                seen.insert(status.term);
            }
            seen.len()
        };
        [
            (
                "etcd_server_leader_changes_seen",
                "Leaders seen",
                leaders as u64,
            ),
            (
                "etcd_server_proposals_committed",
                "Log entries committed",
                index(status.committed),
            ),
            (
                "etcd_server_proposals_applied",
                "Log entries applied",
                index(status.applied),
            ),
            (
                "etcd_network_peer_sent_bytes",
                "Bytes sent to peers",
                traffic.sent.load(Ordering::Relaxed),
            ),
            (
                "etcd_network_peer_received_bytes",
                "Bytes received from peers",
                traffic.received.load(Ordering::Relaxed),
            ),
            (
                "etcd_network_peer_sent_failures",
                "Calls to peers that failed",
                traffic.failures.load(Ordering::Relaxed),
            ),
        ]
    }
}

impl prometheus_client::collector::Collector for Collector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let status = self.member.consensus().status();
        for (name, help, value) in self.gauges(&status) {
            gauge(&mut encoder, name, help, value)?;
        }
        for (name, help, value) in self.counters(&status) {
            let metric = ConstCounter::new(value);
            let to = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
            metric.encode(to)?;
        }
        let versions = [
            ("server_version", ETCD_VERSION),
            ("kvorum_version", env!("CARGO_PKG_VERSION")),
        ];
        let info = prometheus_client::metrics::info::Info::new(versions);
        let to = encoder.encode_descriptor("kvorum_node", "Versions", None, info.metric_type())?;
        info.encode(to)
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: i64,
) -> Result<(), std::fmt::Error> {
    let metric = ConstGauge::new(value);
    let to = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
    metric.encode(to)
}
