//! Disks that can be reached from no node any more: a disk inside a node that is not part of Kubernetes.
//!
//! Asked only for claims whose node is gone, so in the life of a cluster hardly ever. Who may not see nodes
//! or volumes finds none: what cannot be proven is not claimed.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    Node, NodeSelectorRequirement, PersistentVolume, PersistentVolumeClaim,
};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt};

use crate::caches::Caches;

/// Kubernetes' own: the node that a volume was provisioned for.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// The names of claims whose disk no node can reach.
pub(super) async fn stranded(
    client: &Client,
    caches: &Caches,
    claims: &[PersistentVolumeClaim],
) -> BTreeSet<String> {
    let mut stranded = BTreeSet::new();
    if !caches.scope.sees_nodes() {
        return stranded;
    }
    for claim in claims {
        let node = claim.annotations().get(SELECTED_NODE);
        let gone = |node: &String| caches.nodes.get(&ObjectRef::new(node)).is_none();
        let volume = claim
            .spec
            .as_ref()
            .and_then(|spec| spec.volume_name.as_ref());
        let (Some(volume), true) = (volume, node.is_some_and(gone)) else {
            continue;
        };
        let volume = Api::<PersistentVolume>::all(client.clone())
            .get_opt(volume)
            .await;
        let nodes = caches.nodes.all();
        match volume {
            Ok(Some(volume)) if unreachable(&volume, nodes.iter().map(AsRef::as_ref)) => {
                stranded.insert(claim.name_any());
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "A volume cannot be read; it counts as there"),
        }
    }
    stranded
}

/// Whether the volume says which nodes reach it, and none of them is there. Pure.
fn unreachable<'a>(
    volume: &PersistentVolume,
    nodes: impl Iterator<Item = &'a Node> + Clone,
) -> bool {
    let affinity = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.node_affinity.as_ref());
    let Some(required) = affinity.and_then(|affinity| affinity.required.as_ref()) else {
        return false;
    };
    let reaches = |node: &Node| {
        required.node_selector_terms.iter().any(|term| {
            let labels = term.match_expressions.iter().flatten();
            let fields = term.match_fields.iter().flatten();
            let by_label = |rule: &NodeSelectorRequirement| {
                fits(rule, node.labels().get(&rule.key).map(String::as_str))
            };
            let name = node.name_any();
            labels.into_iter().all(by_label)
                && fields.into_iter().all(|rule| fits(rule, Some(&name)))
        })
    };
    let mut nodes = nodes;
    !nodes.any(reaches)
}

/// Whether a value is among those that a rule names. Other kinds of rules are taken to fit: they are not
/// about single nodes.
fn fits(rule: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    rule.operator != "In"
        || value.is_some_and(|value| rule.values.iter().flatten().any(|one| one == value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(name: &str, zone: &str) -> Node {
        let labels = json!({ "kubernetes.io/hostname": name, "zone": zone });
        serde_json::from_value(json!({ "metadata": { "name": name, "labels": labels } })).unwrap()
    }

    fn volume(affinity: Value) -> PersistentVolume {
        serde_json::from_value(json!({ "spec": { "nodeAffinity": affinity } })).unwrap()
    }

    fn only(key: &str, values: &[&str]) -> Value {
        let rule = json!({ "key": key, "operator": "In", "values": values });
        json!({ "required": { "nodeSelectorTerms": [{ "matchExpressions": [rule] }] } })
    }

    #[test]
    fn only_a_disk_inside_a_node_is_lost_with_it() {
        let nodes = [node("n1", "east"), node("n2", "west")];
        let lost = |affinity: Value| unreachable(&volume(affinity), nodes.iter());
        assert!(lost(only("kubernetes.io/hostname", &["n3"])), "local");
        assert!(!lost(only("kubernetes.io/hostname", &["n3", "n2"])));
        assert!(!lost(only("zone", &["east"])), "of a zone");
        assert!(lost(only("zone", &["north"])), "of a zone without nodes");
        assert!(!lost(Value::Null), "reached from everywhere");
    }
}
