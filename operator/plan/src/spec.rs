//! What the user asks for, already checked: the planner never sees a spec that breaks its own rules.

use crate::{ClusterSize, Zone};

/// The part of a cluster's spec that decisions depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

/// Where the zones come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZoneChoice {
    /// From the labels of schedulable nodes, then pinned.
    Discover,
    /// The user named them.
    Listed(Vec<Zone>),
}

/// How strict to be about zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneSpread {
    /// Not without three zones.
    Required,
    /// Over the zones there are.
    Preferred,
    /// Zones play no part; the scheduler decides.
    Disabled,
}
