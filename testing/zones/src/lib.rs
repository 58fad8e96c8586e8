//! Tests of the product on a real Kubernetes with zones.
//!
//! Goal: what the README promises, shown on real kubelets, volumes and networks. Method: a namespace per
//! test, waits on conditions with a deadline, faults of the testbed one at a time.
//!
//! The environment says where: `KUBECONFIG` (any Kubernetes whose nodes have the images), `KVORUM_TESTBED`
//! (ours, for faults and for processes beside the cluster), `KVORUM_OPERATOR_BIN`, `KVORUM_HELM_BIN`,
//! `KVORUM_KUBECTL_BIN`, `KVORUM_APISERVER_BIN` (one to be started on our own members),
//! `KVORUM_CERT_MANAGER_DIR` (cert-manager with its definitions) and `KVORUM_ETCD_BIN`
//! (what ours is put beside).
//! `cargo xtask test --layer zones` sets all of it. Test programs whose names begin with `api` need only an
//! API server with its controllers, no member ever runs in them.

pub mod api_server;
pub mod cert_manager;
pub mod cluster;
pub mod etcd;
pub mod install;
pub mod limits;
pub mod load;
mod process;
pub mod program;
pub mod secure;
pub mod served;
pub mod world;

pub use api_server::ApiServer;
pub use cluster::{Cluster, Space};
pub use etcd::Etcd;
pub use load::Load;
pub use served::Served;
pub use world::World;
