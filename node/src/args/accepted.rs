//! etcd's flags that mean nothing here. They are taken, so that whatever starts an etcd
//! can start this program, and named in a warning.

use clap::Args;

macro_rules! accepted {
    ($($field:ident: $flag:literal, $env:literal;)*) => {
        /// Flags that are taken and ignored.
        #[derive(Debug, Clone, Args)]
        pub struct Accepted {
            $(
                #[allow(missing_docs, reason = "etcd's own")]
                #[arg(long = $flag, env = $env, hide = true, num_args = 0..=1, default_missing_value = "true", allow_hyphen_values = true)]
                pub $field: Option<String>,
            )*
        }

        impl Accepted {
            /// Names of those that were given.
            #[must_use]
            pub fn given(&self) -> Vec<&'static str> {
                let mut given = Vec::new();
                $(if self.$field.is_some() { given.push($flag); })*
                given
            }
        }
    };
}

accepted! {
    logger: "logger", "ETCD_LOGGER";
    log_outputs: "log-outputs", "ETCD_LOG_OUTPUTS";
    enable_log_rotation: "enable-log-rotation", "ETCD_ENABLE_LOG_ROTATION";
    log_rotation_config_json: "log-rotation-config-json", "ETCD_LOG_ROTATION_CONFIG_JSON";
    wal_dir: "wal-dir", "ETCD_WAL_DIR";
    max_wals: "max-wals", "ETCD_MAX_WALS";
    max_snapshots: "max-snapshots", "ETCD_MAX_SNAPSHOTS";
    snapshot_catchup_entries: "snapshot-catchup-entries", "ETCD_SNAPSHOT_CATCHUP_ENTRIES";
    backend_batch_interval: "backend-batch-interval", "ETCD_BACKEND_BATCH_INTERVAL";
    backend_batch_limit: "backend-batch-limit", "ETCD_BACKEND_BATCH_LIMIT";
    backend_bbolt_freelist_type: "backend-bbolt-freelist-type", "ETCD_BACKEND_BBOLT_FREELIST_TYPE";
    bootstrap_defrag_threshold_megabytes: "bootstrap-defrag-threshold-megabytes", "ETCD_BOOTSTRAP_DEFRAG_THRESHOLD_MEGABYTES";
    compaction_batch_limit: "compaction-batch-limit", "ETCD_COMPACTION_BATCH_LIMIT";
    compaction_sleep_interval: "compaction-sleep-interval", "ETCD_COMPACTION_SLEEP_INTERVAL";
    initial_election_tick_advance: "initial-election-tick-advance", "ETCD_INITIAL_ELECTION_TICK_ADVANCE";
    pre_vote: "pre-vote", "ETCD_PRE_VOTE";
    strict_reconfig_check: "strict-reconfig-check", "ETCD_STRICT_RECONFIG_CHECK";
    v2_deprecation: "v2-deprecation", "ETCD_V2_DEPRECATION";
    enable_v2: "enable-v2", "ETCD_ENABLE_V2";
    enable_pprof: "enable-pprof", "ETCD_ENABLE_PPROF";
    feature_gates: "feature-gates", "ETCD_FEATURE_GATES";
    warning_apply_duration: "warning-apply-duration", "ETCD_WARNING_APPLY_DURATION";
    warning_unary_request_duration: "warning-unary-request-duration", "ETCD_WARNING_UNARY_REQUEST_DURATION";
    downgrade_check_time: "downgrade-check-time", "ETCD_DOWNGRADE_CHECK_TIME";
    memory_mlock: "memory-mlock", "ETCD_MEMORY_MLOCK";
    host_whitelist: "host-whitelist", "ETCD_HOST_WHITELIST";
    cors: "cors", "ETCD_CORS";
    socket_reuse_port: "socket-reuse-port", "ETCD_SOCKET_REUSE_PORT";
    socket_reuse_address: "socket-reuse-address", "ETCD_SOCKET_REUSE_ADDRESS";
    raft_read_timeout: "raft-read-timeout", "ETCD_RAFT_READ_TIMEOUT";
    raft_write_timeout: "raft-write-timeout", "ETCD_RAFT_WRITE_TIMEOUT";
    self_signed_cert_validity: "self-signed-cert-validity", "ETCD_SELF_SIGNED_CERT_VALIDITY";
    peer_skip_client_san_verification: "peer-skip-client-san-verification", "ETCD_PEER_SKIP_CLIENT_SAN_VERIFICATION";
    grpc_keepalive_min_time: "grpc-keepalive-min-time", "ETCD_GRPC_KEEPALIVE_MIN_TIME";
    max_concurrent_streams: "max-concurrent-streams", "ETCD_MAX_CONCURRENT_STREAMS";
    enable_distributed_tracing: "enable-distributed-tracing", "ETCD_ENABLE_DISTRIBUTED_TRACING";
    lease_checkpoint: "experimental-enable-lease-checkpoint", "ETCD_EXPERIMENTAL_ENABLE_LEASE_CHECKPOINT";
    lease_checkpoint_persist: "experimental-enable-lease-checkpoint-persist", "ETCD_EXPERIMENTAL_ENABLE_LEASE_CHECKPOINT_PERSIST";
    experimental_initial_corrupt_check: "experimental-initial-corrupt-check", "ETCD_EXPERIMENTAL_INITIAL_CORRUPT_CHECK";
    experimental_watch_progress: "experimental-watch-progress-notify-interval", "ETCD_EXPERIMENTAL_WATCH_PROGRESS_NOTIFY_INTERVAL";
    discovery_dial_timeout: "discovery-dial-timeout", "ETCD_DISCOVERY_DIAL_TIMEOUT";
    discovery_request_timeout: "discovery-request-timeout", "ETCD_DISCOVERY_REQUEST_TIMEOUT";
    discovery_keepalive_time: "discovery-keepalive-time", "ETCD_DISCOVERY_KEEPALIVE_TIME";
    discovery_keepalive_timeout: "discovery-keepalive-timeout", "ETCD_DISCOVERY_KEEPALIVE_TIMEOUT";
    discovery_insecure_transport: "discovery-insecure-transport", "ETCD_DISCOVERY_INSECURE_TRANSPORT";
    discovery_insecure_skip_tls_verify: "discovery-insecure-skip-tls-verify", "ETCD_DISCOVERY_INSECURE_SKIP_TLS_VERIFY";
    discovery_cert: "discovery-cert", "ETCD_DISCOVERY_CERT";
    discovery_key: "discovery-key", "ETCD_DISCOVERY_KEY";
    discovery_cacert: "discovery-cacert", "ETCD_DISCOVERY_CACERT";
    discovery_user: "discovery-user", "ETCD_DISCOVERY_USER";
    discovery_password: "discovery-password", "ETCD_DISCOVERY_PASSWORD";
    discovery_fallback: "discovery-fallback", "ETCD_DISCOVERY_FALLBACK";
    discovery_proxy: "discovery-proxy", "ETCD_DISCOVERY_PROXY";
    discovery_srv_name: "discovery-srv-name", "ETCD_DISCOVERY_SRV_NAME";
    distributed_tracing_address: "distributed-tracing-address", "ETCD_DISTRIBUTED_TRACING_ADDRESS";
    distributed_tracing_service_name: "distributed-tracing-service-name", "ETCD_DISTRIBUTED_TRACING_SERVICE_NAME";
    distributed_tracing_instance_id: "distributed-tracing-instance-id", "ETCD_DISTRIBUTED_TRACING_INSTANCE_ID";
    distributed_tracing_sampling_rate: "distributed-tracing-sampling-rate", "ETCD_DISTRIBUTED_TRACING_SAMPLING_RATE";
    client_cert_file: "client-cert-file", "ETCD_CLIENT_CERT_FILE";
    client_key_file: "client-key-file", "ETCD_CLIENT_KEY_FILE";
}
