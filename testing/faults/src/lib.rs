//! Faults on real processes: every member in a network namespace of its own, links between
//! zones cut and healed, members killed at exact steps; and what Raft's rules predict.
//!
//! Linux and root are needed. The programs are found as kvorum-processes finds them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

pub mod faults;
pub mod history;
pub mod limits;
pub mod names;
pub mod network;
pub mod predict;
pub mod reads;
pub mod replacement;
pub mod report;
pub mod rules;
pub mod world;

pub use network::Network;
pub use world::World;
