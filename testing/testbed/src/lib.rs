//! A real local Kubernetes with zones: kubelets, containerd and a control plane in namespaces of their own.
//!
//! [`Testbed::up`] starts one from nothing, [`Testbed::attach`] finds a running one by name, [`Testbed::down`]
//! removes every trace of it, also of one that died half way. All calls block: from a tokio test use
//! `spawn_blocking`, or call them directly where nothing else runs.
//!
//! Linux, root and cgroup v1 are needed; [`preflight::check`] says in one sentence what is missing.

pub mod addresses;
mod cgroups;
pub mod cli;
mod control_plane;
pub mod debian;
mod down;
mod dump;
mod faults;
pub mod forward;
mod images;
pub mod internal;
pub mod limits;
mod manifests;
mod network;
pub mod nft;
mod node_files;
mod node_init;
mod nodes;
pub mod oci;
mod pki;
pub mod preflight;
mod programs;
mod run;
mod state;
mod steps;
mod testbed;
pub mod tools;
mod up;

pub use cli::FaultCommand;
pub use nft::Cut;
pub use pki::write_account_keys;
pub use state::{NodeRecord, StateDir, cache_root};
pub use steps::Steps;
pub use testbed::Testbed;
pub use up::UpOptions;
