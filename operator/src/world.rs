//! The Kubernetes cluster around: zones with schedulable nodes, and storage classes. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Taint, Toleration};
use k8s_openapi::api::storage::v1::StorageClass as Class;
use kube::ResourceExt;
use kvorum_api::Placement;
use kvorum_plan::Zone;
use kvorum_plan::observed::StorageClass;

/// The zones that have a node which could take a member, with the number of such nodes.
pub fn zones<'a>(
    nodes: impl IntoIterator<Item = &'a Node>,
    placement: &Placement,
) -> BTreeMap<Zone, usize> {
    let mut zones = BTreeMap::new();
    for node in nodes {
        let zone = node.labels().get(&placement.topology_key);
        if let Some(zone) = zone.filter(|_| takes_members(node, placement)) {
            *zones.entry(Zone::new(zone)).or_insert(0) += 1;
        }
    }
    zones
}

/// Whether the node exists for good, is open, selected and tolerated.
fn takes_members(node: &Node, placement: &Placement) -> bool {
    let spec = node.spec.as_ref();
    let closed = spec.and_then(|spec| spec.unschedulable).unwrap_or(false);
    let labels = node.labels();
    let selected = placement
        .node_selector
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value));
    let mut taints = spec
        .and_then(|spec| spec.taints.as_ref())
        .into_iter()
        .flatten();
    let tolerated = taints.all(|taint| {
        // Kubernetes' own taints say that a node is away for a while; its zone is still there.
        taint.key.starts_with("node.kubernetes.io/")
            || taint.effect == "PreferNoSchedule"
            || placement
                .tolerations
                .iter()
                .any(|toleration| tolerates(toleration, taint))
    });
    !closed && selected && tolerated
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let same = |wanted: &Option<String>, is: &str| {
        wanted
            .as_deref()
            .is_none_or(|wanted| wanted.is_empty() || wanted == is)
    };
    let value = taint.value.as_deref().unwrap_or_default();
    same(&toleration.effect, &taint.effect)
        && same(&toleration.key, &taint.key)
        && match toleration.operator.as_deref() {
            Some("Exists") => true,
            _ => toleration.value.as_deref().unwrap_or_default() == value,
        }
}

/// Whether Kubernetes takes the node for ready.
#[must_use]
pub fn node_is_ready(node: &Node) -> bool {
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether the class that volumes of this KvCluster need is there.
pub fn storage_class<'a>(
    classes: impl IntoIterator<Item = &'a Class>,
    wanted: Option<&str>,
) -> StorageClass {
    let default = "storageclass.kubernetes.io/is-default-class";
    let mut classes = classes.into_iter();
    let (found, otherwise) = match wanted {
        Some(wanted) => (
            classes.any(|class| class.name_any() == wanted),
            StorageClass::Missing,
        ),
        None => (
            classes.any(|class| {
                class
                    .annotations()
                    .get(default)
                    .is_some_and(|yes| yes == "true")
            }),
            StorageClass::NoDefault,
        ),
    };
    if found {
        StorageClass::Found
    } else {
        otherwise
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(zone: &str, spec: serde_json::Value) -> Node {
        serde_json::from_value(json!({
            "metadata": { "name": "n", "labels": { "topology.kubernetes.io/zone": zone, "disk": zone } },
            "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn zones_are_those_with_a_node_that_takes_members() {
        let nodes = [
            node("a", json!({})),
            node("a", json!({})),
            node("b", json!({ "unschedulable": true })),
            node(
                "c",
                json!({ "taints": [{ "key": "gpu", "effect": "NoSchedule" }] }),
            ),
            node(
                "d",
                json!({ "taints": [{ "key": "node.kubernetes.io/unreachable", "effect": "NoExecute" }] }),
            ),
        ];
        let names = |placement: &Placement| -> Vec<(String, usize)> {
            zones(&nodes, placement)
                .into_iter()
                .map(|(zone, nodes)| (zone.to_string(), nodes))
                .collect()
        };
        let plain = Placement::default();
        assert_eq!(names(&plain), [("a".to_owned(), 2), ("d".to_owned(), 1)]);
        let tolerant: Placement = serde_json::from_value(
            json!({ "tolerations": [{ "key": "gpu", "operator": "Exists" }] }),
        )
        .unwrap();
        assert_eq!(names(&tolerant).len(), 3);
        let picky: Placement =
            serde_json::from_value(json!({ "nodeSelector": { "disk": "a" } })).unwrap();
        assert_eq!(names(&picky), [("a".to_owned(), 2)]);
    }

    #[test]
    fn storage_classes_are_found_by_name_or_default() {
        let class = |name: &str, default: &str| -> Class {
            serde_json::from_value(json!({
                "metadata": { "name": name, "annotations": { "storageclass.kubernetes.io/is-default-class": default } },
                "provisioner": "p",
            }))
            .unwrap()
        };
        let plain = [class("slow", "false")];
        let both = [class("slow", "false"), class("fast", "true")];
        assert_eq!(storage_class(&plain, Some("slow")), StorageClass::Found);
        assert_eq!(storage_class(&plain, Some("fast")), StorageClass::Missing);
        assert_eq!(storage_class(&plain, None), StorageClass::NoDefault);
        assert_eq!(storage_class(&both, None), StorageClass::Found);
    }
}
