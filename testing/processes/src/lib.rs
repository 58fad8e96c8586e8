//! Clusters of real server processes on this machine, ours or etcd's.
//!
//! A cluster gets loopback addresses of its own (127.a.b.1, .2, …) and the
//! usual ports, so that tests can run side by side; or places in network namespaces that
//! kvorum-faults makes. Programs are found by
//! environment: `KVORUM_NODE_BIN`, `KVORUM_ETCD_BIN`; `cargo xtask test` sets both.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

pub mod authority;
pub mod client;
pub mod cluster;
pub mod joined;
pub mod limits;
pub mod load;
pub mod member;
pub mod place;
pub mod program;

pub use authority::{Authority, Pair};
pub use client::Client;
pub use cluster::Cluster;
pub use joined::Joined;
pub use member::Member;
pub use place::Place;
pub use program::Program;
