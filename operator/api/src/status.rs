//! What the operator says about a cluster. Nothing here changes by the second.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is known about a cluster.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(oldSelf.clusterID) || (has(self.clusterID) && self.clusterID == oldSelf.clusterID)")
        .message("clusterID must never change once it is set")
        .reason(Reason::FieldValueForbidden),
    validation = Rule::new("!has(oldSelf.bootstrapped) || !oldSelf.bootstrapped || (has(self.bootstrapped) && self.bootstrapped)")
        .message("bootstrapped must never go back: a cluster is born once")
        .reason(Reason::FieldValueForbidden),
)]
pub struct KvClusterStatus {
    /// The generation of the spec that this status is about.
    #[serde(default = "unobserved")]
    pub observed_generation: i64,

    /// The identity of the replicated cluster: 16 hexadecimal digits, chosen once.
    #[serde(default, rename = "clusterID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub cluster_id: Option<String>,

    /// A read through quorum has succeeded once: from then on no member is ever initialized again.
    #[serde(default)]
    pub bootstrapped: bool,

    /// The oldest version that a member runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub version: Option<String>,

    /// How many members vote.
    #[serde(default)]
    pub voters: i32,

    /// The label selector of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub selector: Option<String>,

    /// Term and index of the membership that was last seen.
    #[serde(
        default,
        rename = "membershipLogID",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(length(max = 64))]
    pub membership_log_id: Option<String>,

    /// The short of it, for tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,

    /// The zones in the order in which members were given to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub planned_zones: Vec<String>,

    /// The zones that hold members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub zones: Vec<ZoneStatus>,

    /// The members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".to_owned()]))]
    pub members: Vec<MemberStatus>,

    /// What is under way, if anything: never two things at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationStatus>,

    /// Members that left the cluster and whose volume is still kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".to_owned()]))]
    pub retired: Vec<RetiredStatus>,

    /// When members were replaced lately: seconds since 1970.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub replacements: Vec<i64>,

    /// The members' own addresses: the recommended way in, as a client that knows them all finds another
    /// member at once when one is lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub endpoints: Vec<String>,

    /// How members talk to each other, and by which certificates; not there without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsStatus>,

    /// Ready, Available and the rest; True is good unless the description of the type says otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
}

/// No generation has been looked at: never equal to a real one.
fn unobserved() -> i64 {
    -1
}

/// The short of it, for tables.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Voters that are alive, of all voters: "3/3".
    #[schemars(length(max = 16))]
    pub voters: String,
    /// How many more members may be lost with the rest going on.
    pub can_lose_members: i32,
    /// Which zones may be lost with the rest going on: any, none, or "not zone-a".
    #[schemars(length(max = 1100))]
    pub can_lose_zone: String,
    /// The member that leads, and its zone: "m2 (zone-b)".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub leader: Option<String>,
}

/// One zone that holds members.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ZoneStatus {
    /// The value of the topology key.
    #[schemars(length(max = 63))]
    pub name: String,
    /// How many members belong to it.
    pub members: i32,
    /// How many of them are alive.
    pub live: i32,
    /// Whether the cluster would go on without it, as things are now.
    pub can_lose: bool,
}

/// One member.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// Never used twice in a cluster.
    pub id: i64,
    /// Of the StatefulSet.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Given for life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub zone: Option<String>,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub node: Option<String>,
    /// What it does in the cluster.
    pub role: MemberRole,
    /// It serves clients.
    pub ready: bool,
    /// It leads.
    pub leader: bool,
    /// What it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub version: Option<String>,
    /// Of its data directory.
    #[serde(default, rename = "storeUUID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub store_uuid: Option<String>,
    /// Its PersistentVolumeClaim.
    #[schemars(length(max = 63))]
    pub pvc: String,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub problem: Option<String>,
    /// What makes it look lost: VolumeGone, VolumeGoing, VolumeBroken, StoreGone, NodeGone, Unreachable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub loss: Option<String>,
    /// Since when, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_since: Option<i64>,
}

/// What is under way.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationStatus {
    /// Replace, Scale, Drain, Rebalance, Rollout, MoveLeader, Hibernate or Fence.
    #[serde(rename = "type")]
    #[schemars(length(max = 32))]
    pub type_: String,
    /// Whom it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub member: Option<String>,
    /// The gate that is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub gate: Option<String>,
    /// The gate and why it is closed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub waiting_for: Option<String>,
    /// Since when it is under way: seconds since 1970.
    pub since: i64,
}

/// A member that left the cluster and whose volume is still kept.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetiredStatus {
    /// Never used again.
    pub id: i64,
    /// Its PersistentVolumeClaim.
    #[schemars(length(max = 63))]
    pub pvc: String,
    /// When the volume is deleted: seconds since 1970.
    pub delete_after: i64,
}

/// What a member does in its cluster.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberRole {
    /// Not part of the cluster yet.
    Pending,
    /// Has a vote.
    Voter,
    /// Has none.
    Learner,
}

/// TLS as it is.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsStatus {
    /// What members' templates say: off, permissive or required.
    #[schemars(length(max = 16))]
    pub transport: String,

    /// When the first certificate ends, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<i64>,

    /// Where a change of CAs stands: Steady, Introducing (the new ones are trusted) or Switching (they sign).
    #[schemars(length(max = 16))]
    pub authorities: String,

    /// The Secret with a certificate for clients, unless clients have their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub client_secret: Option<String>,
}
