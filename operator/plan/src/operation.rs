//! What is under way in a cluster that lives, and the gates it may have to wait at.

use crate::MemberId;

/// What is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Of which kind.
    pub kind: OperationKind,
    /// Whom it is about.
    pub member: Option<MemberId>,
    /// What it waits for.
    pub gate: Option<Gated>,
}

impl Operation {
    pub(crate) fn of(kind: OperationKind, member: MemberId, gate: Option<Gated>) -> Self {
        Self {
            kind,
            member: Some(member),
            gate,
        }
    }
}

/// The kinds of things that are done to a cluster that lives; the names are metric labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperationKind {
    /// A member is given up and another takes its place.
    Replace,
    /// More members, or fewer.
    Scale,
    /// Members leave a zone.
    Drain,
    /// Members move for an even spread.
    Rebalance,
    /// Pods get a new template.
    Rollout,
    /// The leader goes where it is wanted.
    MoveLeader,
    /// Pods go, data stays.
    Hibernate,
    /// A member's pod goes.
    Fence,
}

impl OperationKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Replace,
        Self::Scale,
        Self::Drain,
        Self::Rebalance,
        Self::Rollout,
        Self::MoveLeader,
        Self::Hibernate,
        Self::Fence,
    ];

    /// CamelCase, as the status and conditions want it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "Replace",
            Self::Scale => "Scale",
            Self::Drain => "Drain",
            Self::Rebalance => "Rebalance",
            Self::Rollout => "Rollout",
            Self::MoveLeader => "MoveLeader",
            Self::Hibernate => "Hibernate",
            Self::Fence => "Fence",
        }
    }
}

/// A gate that is closed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gated {
    /// Which.
    pub gate: Gate,
    /// For people.
    pub message: String,
}

impl Gated {
    pub(crate) fn new(gate: Gate, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { gate, message }
    }
}

/// What a step may have to wait for; the names are metric labels and stand in the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// The rest must be a quorum that is heard of and up to date.
    Quorum,
    /// A new member must have the log.
    CaughtUp,
    /// A new member must run and answer.
    MemberUp,
    /// A half-done membership change must be finished.
    Uniform,
    /// No zone may gain a quorum.
    ZoneQuorum,
    /// Members that were updated must be healthy before the next one goes.
    MembersReady,
    /// A whole zone is away: no member of it counts as lost.
    ZoneDown,
    /// A loss must be seen twice.
    TwoProofs,
    /// Enough members were replaced today.
    Budget,
    /// Somebody must decide.
    Approval,
}

impl Gate {
    /// Every gate, for metrics.
    pub const ALL: [Self; 10] = [
        Self::Quorum,
        Self::CaughtUp,
        Self::MemberUp,
        Self::Uniform,
        Self::ZoneQuorum,
        Self::MembersReady,
        Self::ZoneDown,
        Self::TwoProofs,
        Self::Budget,
        Self::Approval,
    ];

    /// CamelCase, as metric labels and the status want it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quorum => "Quorum",
            Self::CaughtUp => "CaughtUp",
            Self::MemberUp => "MemberUp",
            Self::Uniform => "Uniform",
            Self::ZoneQuorum => "ZoneQuorum",
            Self::MembersReady => "MembersReady",
            Self::ZoneDown => "ZoneDown",
            Self::TwoProofs => "TwoProofs",
            Self::Budget => "Budget",
            Self::Approval => "Approval",
        }
    }
}
