//! A member's StatefulSet: one replica, replaced only when the operator or its user says so.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy};
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, Container, ContainerPort, EnvVar, HTTPGetAction, LocalObjectReference,
    NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm,
    PersistentVolumeClaimVolumeSource, PodAffinityTerm, PodAntiAffinity, PodSecurityContext,
    PodSpec, PodTemplateSpec, Probe, SeccompProfile, SecurityContext, Volume, VolumeMount,
    WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use kvorum_plan::Transport;
use kvorum_plan::observed::Reservation;
use kvorum_plan::placement::Assigned;

use super::overlay::{OverlayRefused, merge};
use super::{owned, tls};
use crate::fingerprint::lasting;
use crate::limits::TERMINATION_GRACE_SECONDS;
use crate::names::{ASKED, CLIENT_PORT, METRICS_PORT, PEER_PORT, TEMPLATE, TRANSPORT};
use crate::validate::{ValidCluster, nodes_required};

/// The unprivileged user that images of ours have.
const USER: i64 = 65532;

/// Where the volume is mounted; the data directory is below it.
const MOUNT: &str = "/var/lib/kvorum";

/// The StatefulSet of one member.
///
/// # Errors
/// When the user's overlay does not make a pod template.
pub fn statefulset(
    cluster: &ValidCluster,
    reservation: &Reservation,
    member: &Assigned,
    running: bool,
) -> Result<StatefulSet, OverlayRefused> {
    let names = &cluster.names;
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(names.member_labels(member.id)),
            ..ObjectMeta::default()
        }),
        spec: Some(pod(cluster, reservation, member)),
    };
    let template = merge(template, cluster.pod.overlay.as_ref())?;
    let written = serde_json::to_value(&template).unwrap_or_default();
    let mut metadata = owned(
        cluster,
        names.member(member.id),
        names.member_labels(member.id),
    );
    metadata.annotations = Some(
        [
            (ASKED.to_owned(), asked(cluster)),
            (TEMPLATE.to_owned(), lasting(&written)),
        ]
        .into(),
    );
    if cluster.transport != Transport::Off
        && let Some(annotations) = &mut metadata.annotations
    {
        annotations.insert(TRANSPORT.to_owned(), cluster.transport.to_string());
    }
    Ok(StatefulSet {
        metadata,
        spec: StatefulSetSpec {
            replicas: Some(i32::from(running)),
            service_name: Some(names.peers()),
            selector: names.member_selector(member.id),
            pod_management_policy: Some("Parallel".to_owned()),
            // A changed template waits until a pod is replaced for a reason of its own.
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".to_owned()),
                rolling_update: None,
            }),
            template,
            ..StatefulSetSpec::default()
        },
        status: None,
    })
}

/// The wish that the template answers: with each step towards TLS, another.
fn asked(cluster: &ValidCluster) -> String {
    match cluster.transport {
        Transport::Permissive => format!("{}-permissive", cluster.asked),
        Transport::Off | Transport::Required => cluster.asked.clone(),
    }
}

/// Whether the user wants nothing else than when `seen` was applied, and the template would still change: a
/// new version of the operator makes it differently.
#[must_use]
pub fn only_operator_changed(seen: &StatefulSet, intent: &StatefulSet) -> bool {
    let of = |set: &StatefulSet, key: &str| set.annotations().get(key).cloned();
    let same_wish = of(seen, ASKED).is_some_and(|asked| Some(asked) == of(intent, ASKED));
    let applied = of(seen, TEMPLATE);
    same_wish && applied.is_some_and(|applied| Some(applied) != of(intent, TEMPLATE))
}

fn pod(cluster: &ValidCluster, reservation: &Reservation, member: &Assigned) -> PodSpec {
    let placement = &cluster.pod.placement;
    let secrets = &cluster.pod.pull_secrets;
    PodSpec {
        affinity: Some(affinity(cluster, member)),
        automount_service_account_token: Some(false),
        containers: vec![container(cluster, reservation, member)],
        enable_service_links: Some(false),
        image_pull_secrets: (!secrets.is_empty()).then(|| {
            let reference = |name: &String| LocalObjectReference { name: name.clone() };
            secrets.iter().map(reference).collect()
        }),
        node_selector: (!placement.node_selector.is_empty())
            .then(|| placement.node_selector.clone()),
        priority_class_name: placement.priority_class_name.clone(),
        scheduler_name: placement.scheduler_name.clone(),
        security_context: Some(PodSecurityContext {
            fs_group: Some(USER),
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            run_as_group: Some(USER),
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        termination_grace_period_seconds: Some(TERMINATION_GRACE_SECONDS),
        tolerations: (!placement.tolerations.is_empty()).then(|| placement.tolerations.clone()),
        volumes: Some(volumes(cluster, member)),
        ..PodSpec::default()
    }
}

fn volumes(cluster: &ValidCluster, member: &Assigned) -> Vec<Volume> {
    let data = Volume {
        name: "data".to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: cluster.names.volume(member.id),
            read_only: None,
        }),
        ..Volume::default()
    };
    let certificates = tls::volume(cluster);
    [data].into_iter().chain(certificates).collect()
}

fn container(cluster: &ValidCluster, reservation: &Reservation, member: &Assigned) -> Container {
    Container {
        name: "kvorum".to_owned(),
        image: Some(cluster.pod.image.clone()),
        image_pull_policy: Some(cluster.pod.pull_policy.to_owned()),
        args: Some(arguments(cluster, reservation, member)),
        env: Some(vec![EnvVar {
            name: "KVORUM_ZONE".to_owned(),
            value: Some(
                member
                    .zone
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            ),
            value_from: None,
        }]),
        ports: Some(
            [
                ("client", CLIENT_PORT),
                ("peer", PEER_PORT),
                ("metrics", METRICS_PORT),
            ]
            .map(|(name, port)| ContainerPort {
                name: Some(name.to_owned()),
                container_port: port,
                protocol: Some("TCP".to_owned()),
                ..ContainerPort::default()
            })
            .into(),
        ),
        // A member that reads a long log at its start may take its time.
        startup_probe: Some(probe("/livez", 1, 600)),
        liveness_probe: Some(probe("/livez", 10, 6)),
        readiness_probe: Some(probe("/readyz", 1, 3)),
        resources: Some(cluster.pod.resources.clone()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                add: None,
                drop: Some(vec!["ALL".to_owned()]),
            }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(
            [VolumeMount {
                name: "data".to_owned(),
                mount_path: MOUNT.to_owned(),
                ..VolumeMount::default()
            }]
            .into_iter()
            .chain(tls::mount(cluster))
            .collect(),
        ),
        ..Container::default()
    }
}

/// Join mode: the member never forms a cluster by itself.
fn arguments(cluster: &ValidCluster, reservation: &Reservation, member: &Assigned) -> Vec<String> {
    let names = &cluster.names;
    let mut arguments = vec![
        format!("--name={}", names.member(member.id)),
        format!("--data-dir={MOUNT}/data"),
        "--join".to_owned(),
        format!("--cluster-id={}", reservation.cluster_id),
        format!("--member-id={}", member.id.0),
        format!(
            "--listen-client-urls={}://0.0.0.0:{CLIENT_PORT}",
            tls::scheme(cluster)
        ),
        format!("--advertise-client-urls={}", names.client_url(member.id)),
        format!(
            "--listen-peer-urls={}://0.0.0.0:{PEER_PORT}",
            names.scheme()
        ),
        format!(
            "--initial-advertise-peer-urls={}",
            names.peer_url(member.id)
        ),
        format!("--listen-metrics-urls=http://0.0.0.0:{METRICS_PORT}"),
    ];
    arguments.extend(tls::flags(cluster));
    arguments.extend(cluster.pod.flags.iter().cloned());
    arguments
}

fn affinity(cluster: &ValidCluster, member: &Assigned) -> Affinity {
    let apart = PodAffinityTerm {
        label_selector: Some(LabelSelector {
            match_labels: Some(cluster.names.selector()),
            match_expressions: None,
        }),
        topology_key: "kubernetes.io/hostname".to_owned(),
        ..PodAffinityTerm::default()
    };
    let required = nodes_required(&cluster.pod.placement);
    Affinity {
        node_affinity: member.zone.as_ref().map(|zone| NodeAffinity {
            required_during_scheduling_ignored_during_execution: Some(NodeSelector {
                node_selector_terms: vec![NodeSelectorTerm {
                    match_expressions: Some(vec![NodeSelectorRequirement {
                        key: cluster.spec.topology_key.clone(),
                        operator: "In".to_owned(),
                        values: Some(vec![zone.to_string()]),
                    }]),
                    match_fields: None,
                }],
            }),
            preferred_during_scheduling_ignored_during_execution: None,
        }),
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: (!required).then(|| {
                vec![WeightedPodAffinityTerm {
                    weight: 100,
                    pod_affinity_term: apart.clone(),
                }]
            }),
            required_during_scheduling_ignored_during_execution: required.then(|| vec![apart]),
        }),
        pod_affinity: None,
    }
}

fn probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(METRICS_PORT),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failure_threshold),
        // A busy machine is no dead member.
        timeout_seconds: Some(5),
        ..Probe::default()
    }
}
