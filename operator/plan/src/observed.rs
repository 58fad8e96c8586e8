//! What the planner is told about the world: the cluster's records, objects, members and surroundings.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::placement::Assigned;
use crate::{ClusterId, ClusterSize, MemberId, Zone};

/// Seconds since 1970: the only time the planner knows is the one it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixSeconds(pub i64);

/// How far the birth of a cluster has come. Only ever grows; recorded before the act it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// The cluster ID is chosen; no disk can hold data yet.
    Reserved,
    /// `Initialize` may have been called: from here on an empty disk is a lost disk.
    Initializing,
    /// A read through quorum has succeeded once.
    Bootstrapped,
}

/// What is decided once, before the first object of a cluster is created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reservation {
    /// The cluster's identity.
    pub cluster_id: ClusterId,
    /// Its first members are 1..n.
    pub size: ClusterSize,
    /// Members go round these zones in this order; empty if zones play no part.
    pub zones: Vec<Zone>,
}

impl Reservation {
    /// The first members and their zones.
    #[must_use]
    pub fn members(&self) -> Vec<Assigned> {
        self.size
            .first_ids()
            .enumerate()
            .map(|(turn, id)| Assigned {
                id,
                zone: (!self.zones.is_empty()).then(|| self.zones[turn % self.zones.len()].clone()),
            })
            .collect()
    }
}

/// Everything the planner may look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Observed {
    /// The KvCluster is being deleted.
    pub deleting: bool,
    /// When the KvCluster was created.
    pub created: UnixSeconds,
    /// The ID a new cluster would get: randomness is the caller's.
    pub fresh_cluster_id: ClusterId,
    /// First latch: the status.
    pub status: StatusLatch,
    /// Second latch: the record object.
    pub record: Option<Record>,
    /// Third latch: the volumes, by member.
    pub volumes: BTreeMap<MemberId, Volume>,
    /// Objects that have a name we need and are not ours.
    pub foreign: Vec<String>,
    /// Records that cannot be read: who wrote what.
    pub unreadable: Vec<String>,
    /// Members that have objects or answered.
    pub members: BTreeMap<MemberId, Member>,
    /// The Kubernetes cluster around.
    pub world: World,
}

/// What the status says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusLatch {
    /// Set once.
    pub cluster_id: Option<ClusterId>,
    /// Never goes back.
    pub bootstrapped: bool,
    /// The order of zones.
    pub zones: Vec<Zone>,
    /// Losses that were seen before, so that a second look can prove them.
    pub suspicions: BTreeMap<MemberId, Suspicion>,
    /// When members were replaced lately.
    pub replacements: Vec<UnixSeconds>,
}

/// What makes a member look lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Loss {
    /// Its volume claim is not there.
    VolumeGone,
    /// Its volume claim is being deleted: the data goes with its pod.
    VolumeGoing,
    /// Its volume claim has lost its disk.
    VolumeBroken,
    /// Its store is empty, or another one than it registered.
    StoreGone,
    /// The node that its disk is on is not part of Kubernetes any more.
    NodeGone,
    /// Nobody has heard of it. No proof: only time makes it one.
    Unreachable,
}

impl Loss {
    /// CamelCase, as the status wants it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VolumeGone => "VolumeGone",
            Self::VolumeGoing => "VolumeGoing",
            Self::VolumeBroken => "VolumeBroken",
            Self::StoreGone => "StoreGone",
            Self::NodeGone => "NodeGone",
            Self::Unreachable => "Unreachable",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::VolumeGone,
            Self::VolumeGoing,
            Self::VolumeBroken,
            Self::StoreGone,
            Self::NodeGone,
            Self::Unreachable,
        ]
        .into_iter()
        .find(|loss| loss.as_str() == text)
    }

    /// In words, after "its" or as a clause of its own.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::VolumeGone => "its volume claim is gone",
            Self::VolumeGoing => "its volume claim is being deleted",
            Self::VolumeBroken => "its volume claim has lost its disk",
            Self::StoreGone => "its store is empty or another one than it registered",
            Self::NodeGone => "the node that its disk is on is no longer part of Kubernetes",
            Self::Unreachable => "nobody hears of it",
        }
    }
}

/// A loss that was seen, and since when without a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Suspicion {
    /// What was seen.
    pub loss: Loss,
    /// Since when.
    pub since: UnixSeconds,
}

/// What the record object says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// What was reserved.
    pub reservation: Reservation,
    /// How far it came.
    pub stage: Stage,
}

/// A member's volume claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// What was reserved when it was created.
    pub reservation: Reservation,
    /// How far the cluster came, as this volume's annotations say.
    pub stage: Stage,
    /// The member's zone, for life.
    pub zone: Option<Zone>,
    /// The store that was on it when its member joined.
    pub store_uuid: Option<String>,
    /// Since when its member is no longer part of the cluster: kept for a while, then deleted.
    pub retired: Option<UnixSeconds>,
    /// Someone deleted it; it goes when its pod goes.
    pub terminating: bool,
    /// The node that it was provisioned for is not there any more.
    pub node_gone: bool,
    /// Why it is not bound, as far as Kubernetes says.
    pub problem: Option<String>,
}

/// One member as seen now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Member {
    /// Its StatefulSet.
    pub set: Option<Set>,
    /// Its pod.
    pub pod: Option<Pod>,
    /// What it answered; none if it did not.
    pub report: Option<Report>,
}

/// A member's StatefulSet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Set {
    /// It wants a pod.
    pub running: bool,
    /// Kubernetes has not looked at its newest template yet, so nobody knows whose pod is up to date.
    pub unsettled: bool,
}

/// A member's pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pod {
    /// Kubernetes sends it clients.
    pub ready: bool,
    /// Being deleted.
    pub terminating: bool,
    /// Where it runs.
    pub node: Option<String>,
    /// What its node's label says; none if there is no node or no label.
    pub node_zone: Option<Zone>,
    /// Its node is known and Kubernetes does not take it for ready.
    pub node_down: bool,
    /// When it was created.
    pub created: Option<UnixSeconds>,
    /// Built from the newest template.
    pub up_to_date: bool,
    /// What keeps it from running: a reason and a sentence.
    pub problem: Option<PodProblem>,
}

/// What keeps a pod from running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodProblem {
    /// Since when no node takes it, if that is the problem.
    pub unschedulable_since: Option<UnixSeconds>,
    /// For people.
    pub message: String,
}

/// Where a member stands in its own life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Life {
    /// Empty, waits for `Initialize`.
    Waiting,
    /// Follows without a vote.
    Learner,
    /// Votes and follows.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
    /// No longer a member.
    Removed,
}

/// A member's own answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Report {
    /// Its data directory.
    pub store_uuid: String,
    /// Where it stands.
    pub life: Life,
    /// Its log holds a cluster.
    pub initialized: bool,
    /// Sees a leader and is not far behind.
    pub ready: bool,
    /// A read through quorum at this member succeeded just now.
    pub confirmed: bool,
    /// The leader it knows.
    pub leader: Option<MemberId>,
    /// Its Raft term.
    pub term: u64,
    /// The membership it knows.
    pub membership: Membership,
    /// The version it runs.
    pub version: String,
}

/// A membership, as one member knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Membership {
    /// Term and index of its log entry: what a change is compared with.
    pub log: (u64, u64),
    /// A change is half done: between two sets of voters, or not committed yet.
    pub joint: bool,
    /// Voters and learners.
    pub seats: BTreeMap<MemberId, Seat>,
    /// Members that were removed.
    pub removed: BTreeSet<MemberId>,
}

impl Membership {
    /// Who votes.
    pub fn voters(&self) -> impl Iterator<Item = MemberId> {
        let voters = self.seats.iter().filter(|(_, seat)| seat.voter);
        voters.map(|(id, _)| *id)
    }
}

/// One place in a membership.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Seat {
    /// Has a vote.
    pub voter: bool,
    /// Where it was added.
    pub zone: Option<Zone>,
    /// The store it registered.
    pub store_uuid: Option<String>,
    /// Entries its log lags behind the leader's; only the leader knows.
    pub lag: Option<u64>,
    /// Milliseconds since the leader heard of it; only the leader knows.
    pub heard_millis: Option<u64>,
}

/// The Kubernetes cluster around.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct World {
    /// Zones by label, with the number of nodes that could take a member.
    pub zones: BTreeMap<Zone, usize>,
    /// The storage class question.
    pub storage_class: StorageClass,
}

/// Whether the storage class that new volumes need is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StorageClass {
    /// There, or not needed.
    #[default]
    Found,
    /// The named one is not there.
    Missing,
    /// None was named and there is no default.
    NoDefault,
}
