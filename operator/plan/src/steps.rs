//! What a decision looks like: a list of steps, the reasons for not going on, and when to look again.

use std::collections::BTreeMap;
use std::fmt;

use crate::MemberId;
use crate::observed::{Reservation, Stage};
use crate::placement::Assigned;

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
    SyncServices,
    /// Creates the volume of a member; never touches one that is there.
    CreateVolume(Assigned),
    /// Brings a member's StatefulSet to what it should be.
    ApplyMember(Assigned),
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
}

impl Step {
    /// The step's name: in logs, metrics and failpoints.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Reserve { .. } => "reserve".to_owned(),
            Self::SyncServices => "services".to_owned(),
            Self::CreateVolume(member) => format!("volume-{}", member.id),
            Self::ApplyMember(member) => format!("member-{}", member.id),
            Self::Latch { stage, .. } => format!("latch-{stage}"),
            Self::Initialize { .. } => "initialize".to_owned(),
            Self::Confirm { .. } => "confirm".to_owned(),
        }
    }

    /// Neighbours of the same wave may run beside each other; steps without one run alone.
    #[must_use]
    pub fn wave(&self) -> Option<u8> {
        match self {
            Self::SyncServices | Self::CreateVolume(_) => Some(0),
            // After the volumes: the scheduler looks for them.
            Self::ApplyMember(_) => Some(1),
            Self::Reserve { .. }
            | Self::Latch { .. }
            | Self::Initialize { .. }
            | Self::Confirm { .. } => None,
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
    /// The spec asks for another number of members than the data has.
    SizeMismatch,
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
}

impl BlockedReason {
    /// CamelCase, as conditions and events want it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IdentityConflict => "IdentityConflict",
            Self::NameTaken => "NameTaken",
            Self::SizeMismatch => "SizeMismatch",
            Self::NotEnoughZones => "NotEnoughZones",
            Self::StorageClassMissing => "StorageClassMissing",
            Self::VolumeLost => "VolumeLost",
            Self::DataLost => "DataLost",
            Self::Unschedulable => "Unschedulable",
            Self::MembersNotStarting => "MembersNotStarting",
        }
    }
}
