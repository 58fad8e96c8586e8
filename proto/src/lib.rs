//! Wire types: etcd's v3 API and kvorum's own.
//!
//! Everything here but [`encoded`] is generated from `proto/*.proto` at build time; those files
//! carry the documentation. Byte fields are [`bytes::Bytes`].

pub mod encoded;

/// What the .proto files say, as a `google.protobuf.FileDescriptorSet`: for whoever maps
/// messages to something else than the wire.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// A module for the code that was generated for a package.
macro_rules! package {
    ($(#[$doc:meta])* $module:ident, $package:literal) => {
        $(#[$doc])*
        #[allow(
            missing_docs,
            unreachable_pub,
            clippy::all,
            clippy::pedantic,
            clippy::allow_attributes_without_reason,
            clippy::too_many_lines,
            reason = "generated"
        )]
        pub mod $module {
            include!(concat!(env!("OUT_DIR"), "/", $package, ".rs"));
        }
    };
}

package! {
    /// etcd's client services and messages.
    etcdserverpb, "etcdserverpb"
}
package! {
    /// Records and events.
    mvccpb, "mvccpb"
}
package! {
    /// Users, roles, permissions.
    authpb, "authpb"
}
package! {
    /// etcd's lock service.
    v3lockpb, "v3lockpb"
}
package! {
    /// etcd's election service.
    v3electionpb, "v3electionpb"
}
package! {
    /// gRPC's health checking protocol.
    health, "grpc.health.v1"
}
package! {
    /// kvorum's member admin API, spoken on the peer port.
    admin, "kvorum.admin.v1"
}
package! {
    /// The replicated log's commands and their replies.
    log, "kvorumlog"
}
package! {
    /// What members say to each other.
    peer, "kvorumpeer"
}
#[cfg(feature = "grpc")]
package! {
    /// The server of etcd's Watch service, with answers that share their events.
    encoded_watch, "etcdserverpb.Watch"
}
