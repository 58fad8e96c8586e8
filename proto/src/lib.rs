//! Wire types: etcd's v3 API and kvorum's member admin API.
//!
//! Everything here is generated from `proto/*.proto` at build time. Byte fields are [`bytes::Bytes`].

/// etcd's client services and messages (`etcdserverpb`).
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    reason = "generated; the .proto files carry the documentation"
)]
pub mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");
}

/// Records and events (`mvccpb`).
#[allow(missing_docs, clippy::all, reason = "generated")]
pub mod mvccpb {
    tonic::include_proto!("mvccpb");
}

/// Users, roles, permissions (`authpb`).
#[allow(missing_docs, clippy::all, reason = "generated")]
pub mod authpb {
    tonic::include_proto!("authpb");
}

/// kvorum's member admin API, spoken on the peer port.
#[allow(missing_docs, clippy::all, reason = "generated")]
pub mod admin {
    tonic::include_proto!("kvorum.admin.v1");
}
