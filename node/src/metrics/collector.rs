//! What is read from the member when the page is asked for.

use super::process;
use crate::api::{ETCD_CLUSTER_VERSION, ETCD_VERSION};
use crate::consensus::status::{Role, Status};
use crate::consensus::types::LogId;
use crate::member::Member;
use crate::socket::ByteCount;
use parking_lot::Mutex;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(super) struct Collector {
    pub(super) member: Arc<Member>,
    pub(super) client_bytes: Arc<ByteCount>,
    /// Leaders (by term) seen so far by this process.
    pub(super) seen: Mutex<HashSet<u64>>,
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
    fn gauges(&self, status: &Status) -> Vec<(&'static str, &'static str, i64)> {
        let store = self.member.store().summary();
        let learner = self.member.consensus().is_learner();
        vec![
            (
                "etcd_server_proposals_pending",
                "Proposals that wait for their commit",
                i64::try_from(self.member.consensus().proposals().0).unwrap_or(i64::MAX),
            ),
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

    fn counters(&self, status: &Status) -> Vec<(&'static str, &'static str, u64)> {
        let traffic = &self.member.context().traffic;
        let index = |id: Option<LogId>| id.map_or(0, |id| id.index);
        let leaders = {
            let mut seen = self.seen.lock();
            if status.leader.is_some() {
                seen.insert(status.term);
            }
            seen.len()
        };
        vec![
            (
                "etcd_server_proposals_failed",
                "Proposals that failed",
                self.member.consensus().proposals().1,
            ),
            (
                "etcd_network_client_grpc_sent_bytes",
                "Bytes sent to clients",
                self.client_bytes.sent.load(Ordering::Relaxed),
            ),
            (
                "etcd_network_client_grpc_received_bytes",
                "Bytes received from clients",
                self.client_bytes.received.load(Ordering::Relaxed),
            ),
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
        for (name, help, value) in process::gauges() {
            gauge(&mut encoder, name, help, value)?;
        }
        for (name, help, value) in self.counters(&status) {
            let metric = ConstCounter::new(value);
            let to = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
            metric.encode(to)?;
        }
        let versions = [
            ("server_version", ETCD_VERSION),
            ("cluster_version", ETCD_CLUSTER_VERSION),
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
