//! Stage 4: the objects of a cluster, as complete intents. Pure: from a checked KvCluster and what was
//! reserved to Kubernetes objects, the same every time.

mod budget;
mod overlay;
mod record;
mod services;
mod statefulset;
mod volume;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

pub use budget::budget;
pub use overlay::{OverlayRefused, merge};
pub use record::{read_record, record};
pub use services::{client_service, peer_service};
pub use statefulset::statefulset;
pub use volume::{latched_volume, read_volume, volume};

use crate::validate::ValidCluster;

/// Metadata of an object that goes when the KvCluster goes.
fn owned(cluster: &ValidCluster, name: String, labels: BTreeMap<String, String>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(cluster.names.namespace.clone()),
        labels: Some(labels),
        owner_references: Some(vec![OwnerReference {
            api_version: "kvorum.dev/v1alpha1".to_owned(),
            kind: "KvCluster".to_owned(),
            name: cluster.names.cluster.clone(),
            uid: cluster.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }]),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests;
