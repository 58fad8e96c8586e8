//! The names that etcd's dashboards and alerts read.

use crate::http::Posted;
use kvorum_processes::Client;

/// etcd-mixin's names: those of alerts and dashboards.
const NAMES: [&str; 19] = [
    "grpc_server_handled_total",
    "grpc_server_started_total",
    "etcd_server_has_leader",
    "etcd_server_leader_changes_seen_total",
    "etcd_server_proposals_committed_total",
    "etcd_server_proposals_applied_total",
    "etcd_server_proposals_pending",
    "etcd_server_proposals_failed_total",
    "etcd_server_quota_backend_bytes",
    "etcd_mvcc_db_total_size_in_bytes",
    "etcd_mvcc_db_total_size_in_use_in_bytes",
    "etcd_disk_wal_fsync_duration_seconds_bucket",
    "etcd_disk_backend_commit_duration_seconds_bucket",
    "etcd_network_client_grpc_sent_bytes_total",
    "etcd_network_client_grpc_received_bytes_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "etcd_debugging_mvcc_keys_total",
];

/// They are all there, and counters count.
pub async fn the_mixin_finds_its_names(client: &Client) {
    client.put("a", "1").await.unwrap();
    let page = Posted::send(client, "GET", "/metrics", &[], "")
        .await
        .whole()
        .await
        .body;
    let has = |name: &str| {
        page.lines().any(|l| {
            l.strip_prefix(name)
                .is_some_and(|r| r.starts_with([' ', '{']))
        })
    };
    let missing: Vec<&&str> = NAMES.iter().filter(|name| !has(name)).collect();
    assert!(missing.is_empty(), "{missing:?} are not in\n{page}");
    // etcd and kvorum-node write the labels in the same order.
    let put = r#"grpc_server_handled_total{grpc_code="OK",grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"}"#;
    let line = page.lines().find_map(|l| l.strip_prefix(put));
    assert!(line.is_some_and(|n| n.trim() != "0"), "{page}");
}
