//! The etcd API as clients see it: cases that hold for any server that speaks it.
//!
//! Every case takes a fresh, empty server with one member and asserts what etcd
//! 3.7 does, to the letter of its error texts. `tests/` runs all of them against
//! a real etcd and against kvorum-node.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

pub mod admission;
pub mod asking;
pub mod auth;
pub mod compaction;
pub mod election;
pub mod errors;
pub mod gateway;
pub mod health;
pub mod http;
pub mod kv;
pub mod lease;
pub mod lock;
pub mod maintenance;
pub mod metrics;
pub mod permission;
pub mod server;
pub mod sorting;
pub mod streaming;
pub mod txn;
pub mod watch;
pub mod watching;

use tonic::{Code, Status};

/// Asserts that a request was refused with this code and this very text.
///
/// # Panics
/// If it was not.
pub fn refused<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, text: &str) {
    match result {
        Ok(answer) => panic!("not refused with {text:?}, but answered {answer:?}"),
        Err(status) => assert_eq!((status.code(), status.message()), (code, text)),
    }
}
