//! What a member's pod looks like from outside. Pure.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ContainerStatus, Node, Pod as KubePod, PodStatus};
use kube::ResourceExt;
use kvorum_plan::Zone;
use kvorum_plan::observed::{Pod, PodProblem, UnixSeconds};

/// Reads a pod with its StatefulSet and its node.
pub(super) fn read(
    pod: &KubePod,
    statefulset: Option<&StatefulSet>,
    node: Option<&Node>,
    topology_key: &str,
) -> Pod {
    let status = pod.status.clone().unwrap_or_default();
    let revision = pod.labels().get("controller-revision-hash");
    let newest = statefulset
        .and_then(|set| set.status.as_ref())
        .and_then(|status| status.update_revision.as_ref());
    Pod {
        ready: is_true(&status, "Ready"),
        terminating: pod.metadata.deletion_timestamp.is_some(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        node_zone: node
            .and_then(|node| node.labels().get(topology_key))
            .map(Zone::new),
        node_down: node.is_some_and(|node| !crate::world::node_is_ready(node)),
        created: pod
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| UnixSeconds(time.0.as_second())),
        up_to_date: revision.is_some() && revision == newest,
        problem: problem(&status),
    }
}

fn is_true(status: &PodStatus, type_: &str) -> bool {
    let mut conditions = status.conditions.iter().flatten();
    conditions.any(|condition| condition.type_ == type_ && condition.status == "True")
}

fn problem(status: &PodStatus) -> Option<PodProblem> {
    let unscheduled = status.conditions.iter().flatten().find(|condition| {
        condition.type_ == "PodScheduled" && condition.reason.as_deref() == Some("Unschedulable")
    });
    if let Some(condition) = unscheduled {
        let since = condition
            .last_transition_time
            .as_ref()
            .map(|time| time.0.as_second());
        return Some(PodProblem {
            unschedulable_since: since.map(UnixSeconds),
            message: condition.message.clone().unwrap_or_default(),
        });
    }
    let containers = status.container_statuses.iter().flatten();
    let init = status.init_container_statuses.iter().flatten();
    init.chain(containers)
        .find_map(container_problem)
        .map(|message| PodProblem {
            unschedulable_since: None,
            message,
        })
}

/// Why a container does not run, if it is more than that it starts just now.
fn container_problem(container: &ContainerStatus) -> Option<String> {
    let state = container.state.as_ref()?;
    let ended = container
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref())
        .or(state.terminated.as_ref());
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        if matches!(reason, "ContainerCreating" | "PodInitializing" | "") {
            return None;
        }
        let message = waiting.message.as_deref().unwrap_or_default();
        let exit = ended.map(|ended| format!("; it last exited with code {}", ended.exit_code));
        let exit = exit.unwrap_or_default();
        return Some(format!(
            "container {} waits: {reason}: {message}{exit}",
            container.name
        ));
    }
    let terminated = state.terminated.as_ref()?;
    Some(format!(
        "container {} exited with code {}",
        container.name, terminated.exit_code
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(status: serde_json::Value) -> KubePod {
        serde_json::from_value(json!({
            "metadata": { "name": "orders-m1-0", "creationTimestamp": "2023-11-14T22:13:20Z", "labels": { "controller-revision-hash": "r2" } },
            "spec": { "nodeName": "n1", "containers": [] },
            "status": status,
        }))
        .unwrap()
    }

    fn problem_of(status: serde_json::Value) -> Option<String> {
        read(&pod(status), None, None, "zone")
            .problem
            .map(|problem| problem.message)
    }

    #[test]
    fn a_ready_pod_has_no_problem() {
        let set: StatefulSet = serde_json::from_value(json!({
            "spec": { "selector": {}, "template": {} }, "status": { "replicas": 1, "updateRevision": "r2" },
        }))
        .unwrap();
        let node: Node =
            serde_json::from_value(json!({ "metadata": { "labels": { "zone": "a" } } })).unwrap();
        let pod = pod(json!({ "conditions": [{ "type": "Ready", "status": "True" }] }));
        assert_eq!(
            read(&pod, Some(&set), Some(&node), "zone"),
            Pod {
                ready: true,
                terminating: false,
                node: Some("n1".to_owned()),
                node_zone: Some(Zone::new("a")),
                node_down: true,
                created: Some(UnixSeconds(1_700_000_000)),
                up_to_date: true,
                problem: None,
            }
        );
    }

    #[test]
    fn problems_are_said_in_words() {
        let waiting = |reason: &str| {
            json!({ "containerStatuses": [{ "name": "kvorum", "image": "", "imageID": "", "ready": false,
                "restartCount": 1, "state": { "waiting": { "reason": reason, "message": "why" } },
                "lastState": { "terminated": { "exitCode": 1 } } }] })
        };
        assert_eq!(problem_of(waiting("ContainerCreating")), None);
        assert_eq!(
            problem_of(waiting("CrashLoopBackOff")).unwrap(),
            "container kvorum waits: CrashLoopBackOff: why; it last exited with code 1"
        );
        assert_eq!(
            problem_of(
                json!({ "conditions": [{ "type": "PodScheduled", "status": "False",
                "reason": "Unschedulable", "message": "0/3 nodes are available" }] })
            )
            .unwrap(),
            "0/3 nodes are available"
        );
    }
}
