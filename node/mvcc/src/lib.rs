//! The replicated state machine: a key space with revisions, leases and members,
//! with etcd v3's semantics.
//!
//! Deterministic: the same commands in the same order give the same state and
//! the same answers. No clock, no randomness, no sockets; the disk is behind
//! [`engine::Engine`].

pub mod auth;
pub mod engine;
pub mod limits;

mod allocation;
mod apply;
mod census;
mod changes;
mod compact;
mod hash;
mod index;
mod key;
mod lease;
mod range;
mod records;
mod rejection;
mod restore;
pub mod rows;
mod store;
mod txn;

pub use apply::Applier;
pub use changes::Change;
pub use compact::Sweep;
pub use hash::KeySpaceHash;
pub use key::{KeyRange, Position, Revision};
pub use lease::{LeaseTime, LeaseView};
pub use rejection::Rejection;
pub use restore::{meta_of, position_of};
pub use store::{Error, Store, Summary};
pub use txn::{writes, writes_collide};
