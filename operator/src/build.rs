//! Stage 4: the objects of a cluster, as complete intents. Pure: from a checked KvCluster and what was
//! reserved to Kubernetes objects, the same every time.

mod budget;
mod overlay;
mod record;
mod services;
mod statefulset;
mod tls;
mod volume;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

pub use budget::budget;
pub use overlay::{OverlayRefused, merge};
pub use record::{read_record, record};
pub use services::{client_service, peer_service};
pub use statefulset::{only_operator_changed, statefulset};
pub use volume::{latched_volume, read_volume, retired_volume, volume};

use crate::names::CLASS_LABEL;
use crate::validate::ValidCluster;

/// Metadata of an object that goes when the KvCluster goes.
pub(crate) fn owned(
    cluster: &ValidCluster,
    name: String,
    labels: BTreeMap<String, String>,
) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(cluster.names.namespace.clone()),
        labels: Some(classed(cluster, labels)),
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

/// Says which operator an object belongs to, so that the policies of another leave it alone. Only where it
/// is not the one of no class, and never on pods: a template that changes would restart them.
fn classed(
    cluster: &ValidCluster,
    mut labels: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    if let Some(class) = &cluster.class {
        labels.insert(CLASS_LABEL.to_owned(), class.clone());
    }
    labels
}

#[cfg(test)]
mod tests;
