//! What the planner is told about the world: the cluster's records, objects, members and surroundings.

use std::collections::BTreeMap;

use crate::placement::Assigned;
use crate::{ClusterId, ClusterSize, MemberId, Zone};

/// Seconds since 1970: the only time the planner knows is the one it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixSeconds(pub i64);

/// How far the birth of a cluster has come. Only ever grows; recorded before the act it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The cluster ID is chosen; no disk can hold data yet.
    Reserved,
    /// `Initialize` may have been called: from here on an empty disk is a lost disk.
    Initializing,
    /// A read through quorum has succeeded once.
    Bootstrapped,
}

/// What is decided once, before the first object of a cluster is created.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusLatch {
    /// Set once.
    pub cluster_id: Option<ClusterId>,
    /// Never goes back.
    pub bootstrapped: bool,
    /// The order of zones.
    pub zones: Vec<Zone>,
}

/// What the record object says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What was reserved.
    pub reservation: Reservation,
    /// How far it came.
    pub stage: Stage,
}

/// A member's volume claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// What was reserved when it was created.
    pub reservation: Reservation,
    /// How far the cluster came, as this volume's annotations say.
    pub stage: Stage,
    /// The store that was on it when the cluster was initialized.
    pub store_uuid: Option<String>,
    /// Someone deleted it; it goes when its pod goes.
    pub terminating: bool,
    /// Why it is not bound, as far as Kubernetes says.
    pub problem: Option<String>,
}

/// One member as seen now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its pod.
    pub pod: Option<Pod>,
    /// What it answered; none if it did not.
    pub report: Option<Report>,
}

/// A member's pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Kubernetes sends it clients.
    pub ready: bool,
    /// Being deleted.
    pub terminating: bool,
    /// Where it runs.
    pub node: Option<String>,
    /// What its node's label says; none if there is no node or no label.
    pub node_zone: Option<Zone>,
    /// Built from the newest template.
    pub up_to_date: bool,
    /// What keeps it from running: a reason and a sentence.
    pub problem: Option<PodProblem>,
}

/// What keeps a pod from running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodProblem {
    /// Since when no node takes it, if that is the problem.
    pub unschedulable_since: Option<UnixSeconds>,
    /// For people.
    pub message: String,
}

/// Where a member stands in its own life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Term and index of the membership it knows.
    pub membership_log: (u64, u64),
    /// The voters it knows.
    pub voters: Vec<MemberId>,
    /// The version it runs.
    pub version: String,
}

/// The Kubernetes cluster around.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    /// Zones by label, with the number of nodes that could take a member.
    pub zones: BTreeMap<Zone, usize>,
    /// The storage class question.
    pub storage_class: StorageClass,
}

/// Whether the storage class that new volumes need is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StorageClass {
    /// There, or not needed.
    #[default]
    Found,
    /// The named one is not there.
    Missing,
    /// None was named and there is no default.
    NoDefault,
}
