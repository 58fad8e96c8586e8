//! Settings of kvorum-node: a closed, typed set, never a map of flags.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of kvorum-node, with etcd's meaning. A change is rolled out one member at a time.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.electionTimeoutMilliseconds >= 5 * self.heartbeatMilliseconds")
        .message("electionTimeoutMilliseconds must be at least 5 times heartbeatMilliseconds: a few lost heartbeats are no reason for an election"),
)]
pub struct Config {
    /// How often a leader tells its followers that it is there.
    #[serde(default = "default_heartbeat")]
    #[schemars(range(min = 10, max = 5000))]
    pub heartbeat_milliseconds: i32,

    /// How long a follower waits for a heartbeat before it asks for votes.
    #[serde(default = "default_election_timeout")]
    #[schemars(range(min = 50, max = 50000))]
    pub election_timeout_milliseconds: i32,

    /// How many entries may be applied before a snapshot is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 10_000_000))]
    pub snapshot_count: Option<i32>,

    /// How big the data of a member may become before writes are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('16Mi')) >= 0 && quantity(string(self)).compareTo(quantity('1Ti')) <= 0")
        .message("must be a quantity between 16Mi and 1Ti, such as 8Gi"))]
    pub quota: Option<Quantity>,

    /// Compaction of old revisions without being asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_compaction: Option<AutoCompaction>,

    /// The biggest request that is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 104_857_600))]
    pub max_request_bytes: Option<i32>,
}

/// Compaction of old revisions without being asked.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.mode == 'Periodic' ? self.retention.matches('^[1-9][0-9]{0,6}(s|m|h)$') : self.retention.matches('^[1-9][0-9]{0,17}$')")
        .message("retention must be a time such as 30m or 1h with mode Periodic, and a number of revisions such as 10000 with mode Revision")
        .field_path(".retention"),
)]
pub struct AutoCompaction {
    /// What retention counts.
    pub mode: AutoCompactionMode,
    /// How much is kept: a time such as 30m, or a number of revisions.
    #[schemars(length(min = 1, max = 18))]
    pub retention: String,
}

/// What the retention of automatic compaction counts.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AutoCompactionMode {
    /// Time.
    Periodic,
    /// Revisions.
    Revision,
}

fn default_heartbeat() -> i32 {
    50
}

fn default_election_timeout() -> i32 {
    1000
}

impl Default for Config {
    fn default() -> Self {
        Self {
            heartbeat_milliseconds: default_heartbeat(),
            election_timeout_milliseconds: default_election_timeout(),
            snapshot_count: None,
            quota: None,
            auto_compaction: None,
            max_request_bytes: None,
        }
    }
}
