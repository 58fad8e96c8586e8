//! A model check of the operator's planner: the real `kvorum_plan::plan` against a toy Kubernetes and a toy
//! Raft, in one process, without a clock, by a seed.
//!
//! A step of a plan is executed write by write, with the preconditions that the operator's shell gives them.
//! Between any two writes the operator may die, another may look, caches may lag, zones may be cut, nodes
//! and disks may go. After everything that happens the rules I1 to I15 of the design are checked
//! ([`invariants`]); after every walk, what is asked for must come about once faults stop ([`settle`]).
//! [`search`] goes through all orders in small worlds, [`walk`] draws long ones in bigger worlds, and
//! [`breakage`] holds planners that are broken on purpose, to see each check fail.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

pub mod act;
pub mod breakage;
pub mod chance;
pub mod invariants;
pub mod kube;
pub mod limits;
pub mod raft;
pub mod scenarios;
pub mod search;
pub mod settle;
pub mod shrink;
pub mod suite;
pub mod view;
pub mod walk;
pub mod wish;
pub mod world;

pub use breakage::Breakage;
pub use invariants::{Invariant, Violation};
pub use wish::Wish;
pub use world::{Action, Fault, World};
