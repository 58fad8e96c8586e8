//! Clusters of real server processes on this machine, ours or etcd's.
//!
//! Each cluster gets loopback addresses of its own (127.a.b.1, .2, …) and the
//! usual ports, so that tests can run side by side. Programs are found by
//! environment: `KVORUM_NODE_BIN`, `KVORUM_ETCD_BIN`; `cargo xtask test` sets both.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

pub mod client;
pub mod cluster;
pub mod limits;
pub mod load;
pub mod program;

pub use client::Client;
pub use cluster::{Cluster, Member};
pub use program::Program;
