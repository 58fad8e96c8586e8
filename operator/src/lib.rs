//! The controller: makes what a `KvCluster` declares true, and says so when it is not.
//!
//! One look at one cluster is a pipeline, one file a stage:
//! [`observe`] -> [`validate`] -> plan (crate `kvorum-plan`) -> [`build`] -> [`act`] -> [`publish`].
//! Only observe, act and publish talk to anybody; the rest are functions from values to values. Nothing is
//! remembered between two looks, so a restart at any point converges.

pub mod act;
pub mod ask;
pub mod backoff;
pub mod build;
pub mod caches;
pub mod certificates;
pub mod check;
pub mod cli;
pub mod controller;
pub mod events;
pub mod explain;
pub mod failpoint;
pub mod fingerprint;
pub mod http;
pub mod inspect;
pub mod lease;
pub mod limits;
pub mod members;
pub mod metrics;
pub mod names;
pub mod observe;
pub mod publish;
pub mod quantity;
pub mod reconcile;
pub mod run;
pub mod scope;
pub mod span;
pub mod status;
pub mod validate;
pub mod world;
