//! Where members may live: zones, nodes, and what the scheduler is told.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where members may live. The operator gives each member a zone when it is created, for life.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.zoneSpread != 'Required' || !has(self.zones) || self.zones.size() == 0 || self.zones.size() >= 3")
        .message("zoneSpread Required needs three zones: over one or two, there is always a zone whose loss loses quorum; list three, or use Preferred")
        .field_path(".zones"),
    validation = Rule::new("self.zoneSpread != 'Disabled' || !has(self.zones) || self.zones.size() == 0")
        .message("zones must be empty with zoneSpread Disabled: zones play no part then")
        .field_path(".zones"),
    validation = Rule::new("!has(self.drainZones) || !has(self.zones) || self.zones.size() == 0 || self.drainZones.all(zone, zone in self.zones)")
        .message("drainZones must be among zones: a zone that is not listed holds no members anyway")
        .field_path(".drainZones"),
    validation = Rule::new("self.zoneSpread != 'Required' || !has(self.drainZones) || !has(self.zones) || self.zones.size() == 0 || self.zones.filter(zone, !(zone in self.drainZones)).size() >= 3")
        .message("zoneSpread Required needs three zones that are not drained: list more zones, or use Preferred")
        .field_path(".drainZones"),
    validation = Rule::new("self.zoneSpread != 'Disabled' || ((!has(self.drainZones) || self.drainZones.size() == 0) && (!has(self.leaderZones) || self.leaderZones.size() == 0))")
        .message("drainZones and leaderZones must be empty with zoneSpread Disabled: zones play no part then"),
)]
pub struct Placement {
    /// The node label that names a zone.
    #[serde(default = "default_topology_key")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("must not change: volumes are bound to zones by it; create another KvCluster")
        .reason(Reason::FieldValueForbidden))]
    pub topology_key: String,

    /// The zones to use: values of the topology key. Empty: every zone that has a schedulable node. A zone
    /// that is taken off the list is left by its members; one that is added takes new members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(
            length(min = 1, max = 63),
            regex(pattern = r"^[0-9A-Za-z]([0-9A-Za-z_.-]*[0-9A-Za-z])?$")
        )
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub zones: Vec<String>,

    /// Zones that members shall leave: each of them moves to another zone, one learner for each, then one
    /// change of voters. Refused where a zone would get a quorum by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub drain_zones: Vec<String>,

    /// Where the leader should be, best first. It is moved there while every member is well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub leader_zones: Vec<String>,

    /// Wait: members of a zone that stays away keep their votes. Relocate: after
    /// replacement.unreachableAfter, they move to other zones, where three are left and none gets a quorum.
    #[serde(default)]
    pub zone_outage: ZoneOutage,

    /// Auto: members also move just to be spread evenly, such as into a new zone. Manual: they stay.
    #[serde(default)]
    pub rebalance: Rebalance,

    /// Required: do not create the cluster without three zones. Preferred: spread over the zones there are.
    /// Disabled: zones play no part.
    #[serde(default)]
    #[x_kube(validation = Rule::new("(self == 'Disabled') == (oldSelf == 'Disabled')")
        .message("must not change to or from Disabled yet: members have their zones for life")
        .reason(Reason::FieldValueForbidden))]
    pub zone_spread: ZoneSpread,

    /// Required: never two members on one node. Preferred: only where there is another node.
    #[serde(default)]
    pub node_spread: NodeSpread,

    /// Labels a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub node_selector: BTreeMap<String, String>,

    /// Taints the members tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub tolerations: Vec<Toleration>,

    /// The priority class of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,

    /// The scheduler of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub scheduler_name: Option<String>,
}

/// How strict to be about zones.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ZoneSpread {
    /// Not without three zones.
    Required,
    /// Over the zones there are.
    #[default]
    Preferred,
    /// Zones play no part.
    Disabled,
}

/// How strict to be about nodes.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeSpread {
    /// Never two members on one node.
    #[default]
    Required,
    /// Two members on one node only where there is no other.
    Preferred,
}

/// What to do when a whole zone stays away.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ZoneOutage {
    /// Wait for it.
    #[default]
    Wait,
    /// Give its members to other zones.
    Relocate,
}

/// Whether members move just to be spread evenly.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rebalance {
    /// They stay.
    #[default]
    Manual,
    /// They move.
    Auto,
}

fn default_topology_key() -> String {
    "topology.kubernetes.io/zone".to_owned()
}

impl Default for Placement {
    fn default() -> Self {
        Self {
            topology_key: default_topology_key(),
            zones: Vec::new(),
            drain_zones: Vec::new(),
            leader_zones: Vec::new(),
            zone_outage: ZoneOutage::default(),
            rebalance: Rebalance::default(),
            zone_spread: ZoneSpread::default(),
            node_spread: NodeSpread::default(),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            priority_class_name: None,
            scheduler_name: None,
        }
    }
}
