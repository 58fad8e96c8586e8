//! Steps of a write's life at which a test build can be made to die.
//!
//! Built in only with the cargo feature `faultpoints`, and armed only by the environment:
//! `KVORUM_FAULTPOINT=<name>[:<count>]`. A step is taken for the marked write alone, the one
//! whose key or value holds [`MARK`]; everything else goes on as always. Without the feature
//! every step below is an empty function.

#[cfg(not(feature = "faultpoints"))]
mod absent;
#[cfg(feature = "faultpoints")]
mod armed;

#[cfg(not(feature = "faultpoints"))]
pub(crate) use absent::{answered, answering, appending, applying, flushed, sending};
#[cfg(feature = "faultpoints")]
pub(crate) use armed::{answered, answering, appending, applying, flushed, sending};

/// What the marked write holds.
pub const MARK: &str = "faultpoint-write";

/// Where the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Before the leader's log gets the write.
    BeforeLog,
    /// It is durable in the leader's log; no follower was sent it.
    InLog,
    /// As many followers as the count says have acknowledged it; the others were not sent it.
    SomeFollowers,
    /// As many followers as the count says have acknowledged it; the leader has not yet
    /// counted them.
    AllFollowers,
    /// The leader knows that it is committed, has not applied it and told nobody.
    CommittedOnLeader,
    /// As many followers as the count says know that it is committed; the client was not
    /// answered.
    CommittedEverywhere,
}

impl Point {
    /// All points with their names.
    pub const ALL: [(&str, Self); 6] = [
        ("before-log", Self::BeforeLog),
        ("in-log", Self::InLog),
        ("some-followers", Self::SomeFollowers),
        ("all-followers", Self::AllFollowers),
        ("committed-on-leader", Self::CommittedOnLeader),
        ("committed-everywhere", Self::CommittedEverywhere),
    ];
}
