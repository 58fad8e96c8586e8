//! Custom resource types of `kvorum.dev` and their rules, nothing else.
//!
//! [`KvCluster`] is what users write; [`crd`] is what the API server is told about it: the derived schema
//! after a polish pass, with every rule in CEL, so that a spec that cannot work is refused at once and
//! with words. The files below `crds/` and in the chart are written from here (`cargo xtask codegen`).

#![allow(
    unreachable_pub,
    reason = "the schema derive repeats each struct inside a function"
)]

mod chart;
mod cluster;
mod config;
mod crd;
mod placement;
mod pod;
mod polish;
#[cfg(feature = "rules")]
pub mod rules;
mod status;
mod storage;
mod tls;
mod upkeep;

pub use chart::cluster_chart_schema;
pub use cluster::{KvCluster, KvClusterSpec};
pub use config::{AutoCompaction, AutoCompactionMode, Config};
pub use crd::{chart_crd_template, crd, crd_yaml};
pub use placement::{NodeSpread, Placement, Rebalance, ZoneOutage, ZoneSpread};
pub use pod::{Image, PullPolicy, Resources, SecretName};
pub use status::{
    KvClusterStatus, MemberRole, MemberStatus, OperationStatus, RetiredStatus, Summary, TlsStatus,
    ZoneStatus,
};
pub use storage::Storage;
pub use tls::{ClientAuth, ClientTls, IssuerRef, Tls, TlsMode, TlsSecrets};
pub use upkeep::{ApplyOperatorChanges, Replacement, ReplacementPolicy, UpdateStrategy, Updates};

/// The API group.
pub const GROUP: &str = "kvorum.dev";
