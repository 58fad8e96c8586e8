//! What the user asks for, already checked: the planner never sees a spec that breaks its own rules.

use serde::{Deserialize, Serialize};

use crate::{ClusterSize, MemberId, Zone};

/// The part of a cluster's spec that decisions depend on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// How many members.
    pub size: ClusterSize,
    /// Which zones to use.
    pub zones: ZoneChoice,
    /// How strict to be about zones.
    pub zone_spread: ZoneSpread,
    /// The node label that names a zone; only for messages.
    pub topology_key: String,
    /// The storage class by name; none means the Kubernetes cluster's default class.
    pub storage_class: Option<String>,
    /// Hands off.
    pub paused: bool,
    /// Zones that members shall leave.
    pub drain_zones: Vec<Zone>,
    /// Where the leader should be, best first; empty if it plays no part.
    pub leader_zones: Vec<Zone>,
    /// What to do when a whole zone stays away.
    pub zone_outage: ZoneOutage,
    /// Whether members move just to be spread evenly.
    pub rebalance: Rebalance,
    /// When a member is given up.
    pub replacement: Replacement,
    /// How pods get a new template.
    pub rollout: Rollout,
    /// For how long the volume of a member that left is kept.
    pub keep_replaced_seconds: i64,
    /// No pods: size and data are remembered.
    pub hibernated: bool,
    /// Members without a pod.
    pub fenced: Vec<MemberId>,
}

impl Spec {
    /// How good a place for the leader a zone is: 0 is the best, the greatest number none at all.
    #[must_use]
    pub fn leader_rank(&self, zone: Option<&Zone>) -> usize {
        let place = self.leader_zones.iter().position(|one| Some(one) == zone);
        place.unwrap_or(usize::MAX)
    }
}

/// What to do when a whole zone stays away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ZoneOutage {
    /// Wait for it: its members keep their votes.
    Wait,
    /// Give its members to other zones, where no zone gets a quorum by it.
    Relocate,
}

/// Whether members move just to be spread evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rebalance {
    /// Only said.
    Manual,
    /// Done.
    Auto,
}

/// When a member is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Replacement {
    /// What counts as lost.
    pub policy: ReplacementPolicy,
    /// How long nobody must have heard of a member.
    pub unreachable_after_seconds: i64,
    /// How many a day.
    pub max_per_day: usize,
}

/// What counts as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplacementPolicy {
    /// A proof, or silence for long enough.
    Automatic,
    /// A proof.
    ProvenLossOnly,
    /// Only said.
    Manual,
}

/// How pods get a new template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rollout {
    /// One after the other.
    Automatic,
    /// The leader's pod is left to a person.
    PauseBeforeLeader,
    /// When somebody deletes them.
    OnDemand,
}

/// Where the zones come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ZoneChoice {
    /// From the labels of schedulable nodes, then pinned.
    Discover,
    /// The user named them.
    Listed(Vec<Zone>),
}

/// How strict to be about zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ZoneSpread {
    /// Not without three zones.
    Required,
    /// Over the zones there are.
    Preferred,
    /// Zones play no part; the scheduler decides.
    Disabled,
}
