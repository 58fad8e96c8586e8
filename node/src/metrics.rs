//! The metrics page: etcd's names, read from the parts when it is asked for.

mod collector;
mod process;

use crate::limits::CALL_KINDS_MAX;
use crate::member::Member;
use crate::peer::RoundTrips;
use crate::socket::ByteCount;
use collector::Collector;
use parking_lot::{Mutex, RwLock};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

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
    /// Seconds that one durable point of the store took.
    pub backend_commit: Histogram,
    /// Seconds from an append to its answer.
    pub round_trips: RoundTrips,
    /// Bytes to and from clients.
    pub client_bytes: Arc<ByteCount>,
    calls: Family<Call, Counter>,
    started: Family<Kind, Counter>,
    kinds: Arc<RwLock<HashMap<String, Arc<KindCounters>>>>,
    /// Only with `--metrics=extensive`.
    times: Option<Family<Kind, Histogram>>,
}

/// Labels of a kind of call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Kind {
    grpc_method: String,
    grpc_service: String,
    grpc_type: &'static str,
}

impl Kind {
    /// From `/package.Service/Method`.
    fn new(path: &str) -> Self {
        let mut parts = path.trim_start_matches('/').splitn(2, '/');
        let service = parts.next().unwrap_or_default();
        let method = parts.next().unwrap_or_default();
        let grpc_type = match method {
            "Watch" | "LeaseKeepAlive" => "bidi_stream",
            "Snapshot" | "RangeStream" | "Observe" => "server_stream",
            _ => "unary",
        };
        Self {
            grpc_method: method.to_owned(),
            grpc_service: service.to_owned(),
            grpc_type,
        }
    }
}

impl Call {
    fn new(kind: &Kind, code: tonic::Code) -> Self {
        Self {
            grpc_code: code_name(code),
            grpc_method: kind.grpc_method.clone(),
            grpc_service: kind.grpc_service.clone(),
            grpc_type: kind.grpc_type,
        }
    }
}

/// The counters of one kind of call.
pub struct KindCounters {
    kind: Kind,
    started: Counter,
    ok: Counter,
    time: Option<Histogram>,
    calls: Family<Call, Counter>,
}

impl KindCounters {
    /// Counts a call that begins.
    pub fn started(&self) {
        self.started.inc();
    }

    /// Counts an answered call.
    pub fn handled(&self, code: tonic::Code, took: Duration) {
        if code == tonic::Code::Ok {
            self.ok.inc();
        } else {
            self.calls.get_or_create(&Call::new(&self.kind, code)).inc();
        }
        if let Some(time) = &self.time {
            time.observe(took.as_secs_f64());
        }
    }
}

impl Metrics {
    /// An empty page; `extensive` also times calls.
    #[must_use]
    pub fn new(extensive: bool) -> Self {
        let mut registry = Registry::default();
        let disk = || Histogram::new(exponential_buckets(0.001, 2.0, 14));
        let times = extensive.then(|| {
            Family::<Kind, Histogram>::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.0005, 2.0, 16))
            })
        });
        let metrics = Self {
            wal_fsync: disk(),
            backend_commit: disk(),
            round_trips: RoundTrips::default(),
            client_bytes: Arc::default(),
            calls: Family::default(),
            started: Family::default(),
            kinds: Arc::default(),
            times: times.clone(),
            registry: Arc::default(),
        };
        registry.register(
            "etcd_disk_wal_fsync_duration_seconds",
            "How long one fdatasync of the write-ahead log took",
            metrics.wal_fsync.clone(),
        );
        registry.register(
            "etcd_disk_backend_commit_duration_seconds",
            "How long one durable point of the store took",
            metrics.backend_commit.clone(),
        );
        registry.register(
            "etcd_network_peer_round_trip_time_seconds",
            "How long a peer took to answer an append",
            metrics.round_trips.family(),
        );
        registry.register(
            "grpc_server_handled",
            "Calls that were answered, by code",
            metrics.calls.clone(),
        );
        registry.register(
            "grpc_server_started",
            "Calls that were begun",
            metrics.started.clone(),
        );
        if let Some(times) = times {
            registry.register("grpc_server_handling_seconds", "How long calls took", times);
        }
        *metrics.registry.lock() = registry;
        metrics
    }

    /// The counters of a kind of call, found once for a call and made when first
    /// needed. `path` is `/package.Service/Method`; paths beyond a bound share one.
    #[must_use]
    pub fn kind(&self, path: &str) -> Arc<KindCounters> {
        if let Some(known) = self.kinds.read().get(path) {
            return known.clone();
        }
        let mut kinds = self.kinds.write();
        let path = if kinds.len() < CALL_KINDS_MAX {
            path
        } else {
            "/other/other"
        };
        if let Some(known) = kinds.get(path) {
            return known.clone();
        }
        let kind = Kind::new(path);
        let counters = Arc::new(KindCounters {
            started: self.started.get_or_create(&kind).clone(),
            ok: self
                .calls
                .get_or_create(&Call::new(&kind, tonic::Code::Ok))
                .clone(),
            time: self.times.as_ref().map(|t| t.get_or_create(&kind).clone()),
            calls: self.calls.clone(),
            kind,
        });
        kinds.insert(path.to_owned(), counters.clone());
        counters
    }

    /// Adds what is read from the member when the page is asked for.
    pub fn watch(&self, member: Arc<Member>) {
        self.registry.lock().register_collector(Box::new(Collector {
            member,
            client_bytes: self.client_bytes.clone(),
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
