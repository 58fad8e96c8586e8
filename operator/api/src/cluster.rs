//! `KvCluster`: one replicated key-value cluster, as its user declares it.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::{
    Config, Image, KvClusterStatus, Placement, Replacement, Resources, Storage, Tls, Updates,
};

/// A replicated key-value cluster that speaks the etcd v3 API: how many members it has, and which zones
/// they are spread over.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "kvorum.dev",
    version = "v1alpha1",
    kind = "KvCluster",
    plural = "kvclusters",
    namespaced,
    status = "KvClusterStatus",
    derive = "PartialEq",
    shortname = "kvc",
    category = "kvorum",
    selectable = ".spec.version",
    doc = "A replicated key-value cluster that speaks the etcd v3 API, spread over zones.",
    scale(
        spec_replicas_path = ".spec.members",
        status_replicas_path = ".status.voters",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Voters", type_ = "string", json_path = ".status.summary.voters",
        description = "Voters that are alive, of all voters"),
    printcolumn(name = "CanLose", type_ = "integer", json_path = ".status.summary.canLoseMembers",
        description = "How many more members may be lost with the rest going on"),
    printcolumn(name = "CanLoseZone", type_ = "string", json_path = ".status.summary.canLoseZone",
        description = "Which zones may be lost with the rest going on: any, none, or all but some"),
    printcolumn(name = "Leader", type_ = "string", json_path = ".status.summary.leader",
        description = "The member that leads, and its zone"),
    printcolumn(name = "Ready", type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Every member serves and the newest spec is applied"),
    printcolumn(name = "Operation", type_ = "string", json_path = ".status.operation.type",
        description = "What is under way"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Waiting-For", type_ = "string", json_path = ".status.operation.waitingFor", priority = "1",
        description = "The gate that is closed, and why"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version", priority = "1",
        description = "The oldest version that a member runs"),
    printcolumn(name = "ClusterID", type_ = "string", json_path = ".status.clusterID", priority = "1"),
    printcolumn(name = "Message", type_ = "string", priority = "1",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must start with a letter and hold only lower-case letters, digits and '-': Services are named after it"),
    validation = Rule::new("size(self.metadata.name) <= 40")
        .message("metadata.name must be at most 40 characters: names of pods and labels are made from it"),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.placement.zoneSpread != 'Required' || self.members >= 3")
        .message("placement.zoneSpread Required needs at least 3 members: one member survives no zone loss; use 3 members, or Preferred")
        .field_path(".placement.zoneSpread"),
)]
pub struct KvClusterSpec {
    /// How many members: 1, 3, 5, 7 or 9. n members survive the loss of (n-1)/2. May be changed at any time:
    /// new members catch up without a vote, then one change makes the new, odd set of voters.
    #[serde(default = "default_members")]
    #[x_kube(
        validation = Rule::new("self >= 1").message("must be at least 1: use 1, 3, 5, 7 or 9"),
        validation = Rule::new("self <= 9")
            .message("must be at most 9: every write goes to every member; use 9, or more clusters"),
        validation = Rule::new("self < 1 || self > 9 || self % 2 == 1").message(Message::Expression(EVEN.to_owned())),
    )]
    pub members: i32,

    /// The version of kvorum-node to run; without it, the operator's own. A new version is rolled out one
    /// member at a time, see updates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 128),
        regex(pattern = r"^[0-9A-Za-z_][0-9A-Za-z_.-]*$")
    )]
    pub version: Option<String>,

    /// Where the image of kvorum-node comes from; without a repository, the operator's default image.
    #[serde(default)]
    pub image: Image,

    /// Where members may live. The operator gives each member a zone when it is created, for life.
    #[serde(default)]
    pub placement: Placement,

    /// The volume of each member. Volumes outlive the KvCluster: one that is created again under the same
    /// name takes them up.
    #[serde(default)]
    pub storage: Storage,

    /// CPU and memory of each member.
    #[serde(default)]
    pub resources: Resources,

    /// Settings of kvorum-node, with etcd's meaning. A change is rolled out one member at a time.
    #[serde(default)]
    pub config: Config,

    /// Who may talk to the cluster, and by which certificates. A change is rolled out one member at a time.
    #[serde(default)]
    pub tls: Tls,

    /// How pods get a new template.
    #[serde(default)]
    pub updates: Updates,

    /// When a member is given up and another takes its place.
    #[serde(default)]
    pub replacement: Replacement,

    /// Hands off: the operator changes nothing and only keeps the status up to date.
    #[serde(default)]
    pub paused: bool,

    /// While this is true, the KvCluster cannot be deleted, where the policies of the operator's chart are
    /// installed. The deletion of its whole namespace is not held up by it.
    #[serde(default = "protected")]
    pub deletion_protection: bool,

    /// No pods: the cluster sleeps, its size and its data are remembered. Set to false to wake it.
    #[serde(default)]
    pub hibernated: bool,

    /// IDs of members that shall have no pod, for work on their node or disk; at most as many as quorum
    /// allows are stopped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 9), inner(range(min = 1)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub fenced_members: Vec<i64>,

    /// Merged into the pod template of every member (`metadata` labels and annotations, `spec`). Lists of
    /// things that have a name are merged by name; what the operator sets itself wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub pod_overlay: Option<serde_json::Value>,
}

/// What to use instead of an even number: literals only, as text built from integers is too dear for CEL.
const EVEN: &str = "self == 2 ? 'must be odd: 2 members survive no loss, exactly like 1; use 1 or 3' : \
     self == 4 ? 'must be odd: 4 members survive the loss of 1, exactly like 3; use 3 or 5' : \
     self == 6 ? 'must be odd: 6 members survive the loss of 2, exactly like 5; use 5 or 7' : \
     'must be odd: 8 members survive the loss of 3, exactly like 7; use 7 or 9'";

fn default_members() -> i32 {
    3
}

fn protected() -> bool {
    true
}

fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
    })
}

impl Default for KvClusterSpec {
    fn default() -> Self {
        Self {
            members: default_members(),
            version: None,
            image: Image::default(),
            placement: Placement::default(),
            storage: Storage::default(),
            resources: Resources::default(),
            config: Config::default(),
            tls: Tls::default(),
            updates: Updates::default(),
            replacement: Replacement::default(),
            paused: false,
            deletion_protection: protected(),
            hibernated: false,
            fenced_members: Vec::new(),
            pod_overlay: None,
        }
    }
}
