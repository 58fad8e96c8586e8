//! What the metrics are told.

/// How one look at one cluster ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// Well, and all is well.
    Success,
    /// Well, and another look follows soon.
    RequeueAfter,
    /// With an error.
    Error,
}

/// A part of a look, timed by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Finding out what is there, the members' answers apart.
    Observe,
    /// Asking the members.
    Members,
    /// Deciding, and doing what was decided.
    Act,
    /// Telling.
    Publish,
}

impl Part {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Members => "members",
            Self::Act => "act",
            Self::Publish => "publish",
        }
    }
}

/// The numbers of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterNumbers {
    /// Voters.
    pub voters: usize,
    /// How many more may be lost.
    pub can_lose: usize,
    /// Any one zone may be lost.
    pub zone_can_lose: bool,
    /// Ready.
    pub ready: bool,
    /// When the first certificate ends, in seconds since 1970; none without TLS.
    pub certificate_expiry: Option<i64>,
}
