//! Wire types: etcd's v3 API and kvorum's member admin API.
//!
//! Everything here is generated from `proto/*.proto` at build time. Byte fields are [`bytes::Bytes`].

/// etcd's client services and messages (`etcdserverpb`).
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated; the .proto files carry the documentation"
)]
pub mod etcdserverpb {
    include!(concat!(env!("OUT_DIR"), "/etcdserverpb.rs"));
}

/// Records and events (`mvccpb`).
#[allow(
    missing_docs,
    clippy::all,
    clippy::too_many_lines,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
pub mod mvccpb {
    include!(concat!(env!("OUT_DIR"), "/mvccpb.rs"));
}

/// Users, roles, permissions (`authpb`).
#[allow(
    missing_docs,
    clippy::all,
    clippy::too_many_lines,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
pub mod authpb {
    include!(concat!(env!("OUT_DIR"), "/authpb.rs"));
}

/// kvorum's member admin API, spoken on the peer port.
#[allow(
    missing_docs,
    clippy::all,
    clippy::too_many_lines,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
pub mod admin {
    include!(concat!(env!("OUT_DIR"), "/kvorum.admin.v1.rs"));
}

/// The replicated log's commands and their replies.
#[allow(
    missing_docs,
    clippy::all,
    clippy::too_many_lines,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
pub mod log {
    include!(concat!(env!("OUT_DIR"), "/kvorumlog.rs"));
}

/// What members say to each other.
#[allow(
    missing_docs,
    clippy::all,
    clippy::too_many_lines,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
pub mod peer {
    include!(concat!(env!("OUT_DIR"), "/kvorumpeer.rs"));
}
