//! What a decision looks like: a list of steps, the reasons for not going on, and when to look again.

use std::collections::BTreeMap;
use std::fmt;

use crate::observed::{Reservation, Stage, Suspicion, UnixSeconds};
use crate::operation::Operation;
use crate::placement::Assigned;
use crate::{MemberId, Zone};

/// The decision for one look at one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where the cluster stands.
    pub phase: Phase,
    /// What was reserved, as soon as it is; later stages build every object from it.
    pub reservation: Option<Reservation>,
    /// What to do now, in this order.
    pub steps: Vec<Step>,
    /// Why it does not go on by itself: each needs somebody, or the world, to change.
    pub blocked: Vec<Blocked>,
    /// What is being waited for, in words.
    pub waiting: Vec<String>,
    /// What is under way, if anything: never two things at once.
    pub operation: Option<Operation>,
    /// Losses as seen in this look, to be remembered.
    pub suspicions: BTreeMap<MemberId, Suspicion>,
    /// When to look again if nothing happens before.
    pub recheck: Recheck,
}

/// Where a cluster stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Two records of who this cluster is disagree: nothing is touched.
    Frozen,
    /// The KvCluster is going away.
    Deleting,
    /// The user said hands off.
    Paused,
    /// Cannot start yet.
    Blocked,
    /// Being born.
    Bootstrapping,
    /// Lives.
    Running,
    /// Lives, and too few members are alive to agree on anything: nothing is done that could make it worse.
    QuorumLost,
    /// Asleep: data without pods.
    Hibernated,
}

/// When to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recheck {
    /// Something is expected within the second that sends no event.
    Soon,
    /// Something is not as it should be.
    Watchful,
    /// All is well.
    Calm,
}

/// One thing to do. Every step may be repeated, and may be the last before a crash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Writes identity and zones into the status, then into the record object.
    Reserve {
        /// Who and where.
        reservation: Reservation,
        /// How far the cluster is: more than reserved when its data is found again.
        stage: Stage,
    },
    /// Brings the objects that belong to no member: Services, disruption budget.
    SyncServices {
        /// Pods that no drain may take away; none where a budget would only make every drain hang.
        at_least: Option<usize>,
    },
    /// Creates the volume of a member; never touches one that is there.
    CreateVolume(Assigned),
    /// Brings a member's StatefulSet to what it should be.
    ApplyMember {
        /// Whose.
        member: Assigned,
        /// With a pod.
        running: bool,
    },
    /// Records how far the cluster came, on every volume, then in the record object.
    Latch {
        /// What to record.
        stage: Stage,
        /// The store of every member.
        stores: BTreeMap<MemberId, String>,
    },
    /// Forms the cluster. At most once in its life.
    Initialize {
        /// The member that is asked.
        via: MemberId,
        /// All voters, each with the store it reported.
        stores: BTreeMap<MemberId, String>,
    },
    /// Reads through quorum.
    Confirm {
        /// The member that is asked.
        via: MemberId,
    },
    /// Has an ID allotted and creates the volume of a new member. The key makes a repetition get the same ID.
    Enlist {
        /// The leader.
        via: MemberId,
        /// Names this very want.
        key: String,
        /// Where the new member lives.
        zone: Option<Zone>,
        /// It stands for a member that was lost.
        replaces: bool,
    },
    /// Has a member added that has no vote yet.
    AddLearner {
        /// The leader.
        via: MemberId,
        /// The membership this was decided on.
        expected: (u64, u64),
        /// Who, and where.
        member: Assigned,
        /// Its store, as it reported it.
        store_uuid: String,
    },
    /// Has a member without a vote removed.
    RemoveLearner {
        /// The leader.
        via: MemberId,
        /// The membership this was decided on.
        expected: (u64, u64),
        /// Who.
        id: MemberId,
    },
    /// One change to exactly these voters, an odd number.
    ChangeVoters {
        /// The leader.
        via: MemberId,
        /// The membership this was decided on.
        expected: (u64, u64),
        /// Who votes from then on.
        voters: Vec<MemberId>,
    },
    /// Hands leadership over.
    TransferLeader {
        /// The leader.
        via: MemberId,
        /// Who shall lead.
        to: MemberId,
    },
    /// Marks the volume of a member that is not part of the cluster, and takes its StatefulSet away.
    Retire {
        /// Who.
        id: MemberId,
        /// Marked with this time; none if it is marked already.
        at: Option<UnixSeconds>,
    },
    /// Deletes the volume of a member that left long ago.
    DeleteVolume {
        /// Whose.
        id: MemberId,
    },
    /// Has a pod made anew from the newest template.
    Restart {
        /// Whose.
        id: MemberId,
        /// By the Eviction API, which asks the disruption budget: for a pod that is Ready.
        evict: bool,
    },
}

impl Step {
    /// The step's name: in logs, metrics and failpoints.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Reserve { .. } => "reserve".to_owned(),
            Self::SyncServices { .. } => "services".to_owned(),
            Self::CreateVolume(member) => format!("volume-{}", member.id),
            Self::ApplyMember { member, .. } => format!("member-{}", member.id),
            Self::Latch { stage, .. } => format!("latch-{stage}"),
            Self::Initialize { .. } => "initialize".to_owned(),
            Self::Confirm { .. } => "confirm".to_owned(),
            Self::Enlist { .. } => "enlist".to_owned(),
            Self::AddLearner { member, .. } => format!("add-{}", member.id),
            Self::RemoveLearner { id, .. } => format!("remove-{id}"),
            Self::ChangeVoters { .. } => "voters".to_owned(),
            Self::TransferLeader { .. } => "leader".to_owned(),
            Self::Retire { id, .. } => format!("retire-{id}"),
            Self::DeleteVolume { id } => format!("delete-volume-{id}"),
            Self::Restart { id, .. } => format!("restart-{id}"),
        }
    }

    /// Neighbours of the same wave may run beside each other; steps without one run alone.
    #[must_use]
    pub fn wave(&self) -> Option<u8> {
        match self {
            Self::SyncServices { .. } | Self::CreateVolume(_) => Some(0),
            // After the volumes: the scheduler looks for them.
            Self::ApplyMember { .. } => Some(1),
            Self::Reserve { .. }
            | Self::Latch { .. }
            | Self::Initialize { .. }
            | Self::Confirm { .. }
            | Self::Enlist { .. }
            | Self::AddLearner { .. }
            | Self::RemoveLearner { .. }
            | Self::ChangeVoters { .. }
            | Self::TransferLeader { .. }
            | Self::Retire { .. }
            | Self::DeleteVolume { .. }
            | Self::Restart { .. } => None,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Reserved => "reserved",
            Self::Initializing => "initializing",
            Self::Bootstrapped => "bootstrapped",
        })
    }
}

impl Stage {
    /// Reads what [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Reserved, Self::Initializing, Self::Bootstrapped]
            .into_iter()
            .find(|stage| stage.to_string() == text)
    }
}

/// Why a cluster does not go on by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Machine-readable.
    pub reason: BlockedReason,
    /// Says what to do.
    pub message: String,
}

impl Blocked {
    pub(crate) fn new(reason: BlockedReason, message: String) -> Self {
        Self { reason, message }
    }
}

/// The kinds of being blocked; the names are condition reasons and metric labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlockedReason {
    /// Two records of who this cluster is disagree.
    IdentityConflict,
    /// A name we need belongs to somebody else.
    NameTaken,
    /// Too few zones, or a listed zone without a node.
    NotEnoughZones,
    /// The storage class is not there.
    StorageClassMissing,
    /// A member's volume is gone or going.
    VolumeLost,
    /// The volumes are there and empty, though the cluster was alive once.
    DataLost,
    /// A pod fits on no node.
    Unschedulable,
    /// Members do not come up in time.
    MembersNotStarting,
    /// Too few members are alive to agree on anything.
    QuorumLost,
    /// A pod of the newest template does not become healthy.
    RolloutStuck,
    /// A member is lost, and the rules forbid to replace it by itself.
    MemberLost,
    /// The change that was asked for would give one zone a quorum.
    ZoneQuorum,
}

impl BlockedReason {
    /// CamelCase, as conditions and events want it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IdentityConflict => "IdentityConflict",
            Self::NameTaken => "NameTaken",
            Self::NotEnoughZones => "NotEnoughZones",
            Self::StorageClassMissing => "StorageClassMissing",
            Self::VolumeLost => "VolumeLost",
            Self::DataLost => "DataLost",
            Self::Unschedulable => "Unschedulable",
            Self::MembersNotStarting => "MembersNotStarting",
            Self::QuorumLost => "QuorumLost",
            Self::RolloutStuck => "RolloutStuck",
            Self::MemberLost => "MemberLost",
            Self::ZoneQuorum => "ZoneQuorum",
        }
    }
}
