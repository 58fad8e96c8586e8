//! What of each object is ever read: the rest is most of it, and would be kept a thousand times over.
//!
//! That somebody has changed the rest is seen all the same, see [`crate::fingerprint::version`].

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus, Pod, PodSpec,
    PodStatus, Service,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

/// Whether it runs, by which template, and how far Kubernetes has come with it.
pub(super) fn statefulset(set: &mut StatefulSet) {
    set.spec = StatefulSetSpec {
        replicas: set.spec.replicas,
        ..StatefulSetSpec::default()
    };
    set.status = set.status.take().map(|status| StatefulSetStatus {
        observed_generation: status.observed_generation,
        update_revision: status.update_revision,
        ..StatefulSetStatus::default()
    });
}

/// Where it runs and how it is.
pub(super) fn pod(pod: &mut Pod) {
    pod.metadata.annotations = None;
    pod.metadata.owner_references = None;
    let node_name = pod.spec.take().and_then(|spec| spec.node_name);
    pod.spec = Some(PodSpec {
        node_name,
        ..PodSpec::default()
    });
    pod.status = pod.status.take().map(|status| PodStatus {
        phase: status.phase,
        pod_ip: status.pod_ip,
        conditions: status.conditions,
        container_statuses: status.container_statuses,
        init_container_statuses: status.init_container_statuses,
        ..PodStatus::default()
    });
}

/// Its annotations say all of a member; beside them its disk matters.
pub(super) fn claim(claim: &mut PersistentVolumeClaim) {
    let volume_name = claim.spec.take().and_then(|spec| spec.volume_name);
    claim.spec = Some(PersistentVolumeClaimSpec {
        volume_name,
        ..PersistentVolumeClaimSpec::default()
    });
    claim.status = claim
        .status
        .take()
        .map(|status| PersistentVolumeClaimStatus {
            phase: status.phase,
            ..PersistentVolumeClaimStatus::default()
        });
}

/// That it is there.
pub(super) fn service(service: &mut Service) {
    (service.spec, service.status) = (None, None);
}

/// That it is there.
pub(super) fn budget(budget: &mut PodDisruptionBudget) {
    (budget.spec, budget.status) = (None, None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn made_lean<K>(lean: fn(&mut K), whole: Value) -> Value
    where
        K: serde::de::DeserializeOwned + serde::Serialize,
    {
        let mut object: K = serde_json::from_value(whole).unwrap();
        lean(&mut object);
        serde_json::to_value(object).unwrap()
    }

    #[test]
    fn a_pod_says_where_it_runs_and_how_it_is() {
        let whole = json!({
            "metadata": { "name": "a", "labels": { "b": "c" }, "annotations": { "d": "e" } },
            "spec": { "nodeName": "n", "containers": [{ "name": "x" }] },
            "status": { "phase": "Running", "podIP": "127.0.0.1", "qosClass": "Burstable" },
        });
        let lean = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": "a", "labels": { "b": "c" } },
            "spec": { "nodeName": "n", "containers": [] },
            "status": { "phase": "Running", "podIP": "127.0.0.1" },
        });
        assert_eq!(made_lean(pod, whole), lean);
    }

    #[test]
    fn a_statefulset_says_by_which_template_it_runs() {
        let whole = json!({
            "metadata": { "name": "a", "annotations": { "d": "e" }, "generation": 3 },
            "spec": { "replicas": 1, "serviceName": "x", "selector": { "matchLabels": { "l": "m" } },
                "template": { "spec": { "containers": [{ "name": "x" }] } } },
            "status": { "replicas": 1, "observedGeneration": 3, "updateRevision": "r", "readyReplicas": 1 },
        });
        let lean = json!({
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": { "name": "a", "annotations": { "d": "e" }, "generation": 3 },
            "spec": { "replicas": 1, "selector": {}, "template": {} },
            "status": { "replicas": 0, "observedGeneration": 3, "updateRevision": "r" },
        });
        assert_eq!(made_lean(statefulset, whole), lean);
    }

    #[test]
    fn a_claim_says_whose_it_is_and_where_its_disk_is() {
        let whole = json!({
            "metadata": { "name": "a", "annotations": { "d": "e" } },
            "spec": { "volumeName": "v", "storageClassName": "s", "accessModes": ["ReadWriteOnce"] },
            "status": { "phase": "Bound", "capacity": { "storage": "1Gi" } },
        });
        let lean = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": { "name": "a", "annotations": { "d": "e" } },
            "spec": { "volumeName": "v" },
            "status": { "phase": "Bound" },
        });
        assert_eq!(made_lean(claim, whole), lean);
    }

    #[test]
    fn services_and_budgets_say_that_they_are_there() {
        let whole = json!({ "metadata": { "name": "a" }, "spec": {}, "status": {} });
        let metadata = json!({ "name": "a" });
        assert_eq!(made_lean(service, whole.clone())["metadata"], metadata);
        assert_eq!(made_lean(service, whole.clone())["spec"], Value::Null);
        assert_eq!(made_lean(budget, whole)["spec"], Value::Null);
    }
}
