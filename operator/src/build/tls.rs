//! What of a pod is there for TLS: the certificates, and the flags that name them.

use k8s_openapi::api::core::v1::{
    KeyToPath, ProjectedVolumeSource, SecretProjection, Volume, VolumeMount, VolumeProjection,
};
use kvorum_plan::Transport;

use crate::certificates::Leaf;
use crate::validate::ValidCluster;

/// Where the certificates are.
const MOUNT: &str = "/etc/kvorum/tls";

/// How clients call the client port.
pub(super) fn scheme(cluster: &ValidCluster) -> &'static str {
    if cluster.transport == Transport::Off {
        "http"
    } else {
        "https"
    }
}

/// The certificates of a member, in one directory that changes as a whole.
pub(super) fn volume(cluster: &ValidCluster) -> Option<Volume> {
    let source = |leaf: Leaf, name: &str| {
        let item = |key: &str, path: String| KeyToPath {
            key: key.to_owned(),
            path,
            ..KeyToPath::default()
        };
        VolumeProjection {
            secret: Some(SecretProjection {
                name: cluster.names.leaf_secret(leaf),
                items: Some(vec![
                    item("tls.crt", format!("{name}.crt")),
                    item("tls.key", format!("{name}.key")),
                    item("ca.crt", format!("{name}-ca.crt")),
                ]),
                optional: None,
            }),
            ..VolumeProjection::default()
        }
    };
    (cluster.transport != Transport::Off).then(|| Volume {
        name: "certificates".to_owned(),
        projected: Some(ProjectedVolumeSource {
            default_mode: Some(0o440),
            sources: Some(vec![
                source(Leaf::Server, "server"),
                source(Leaf::Peer, "peer"),
            ]),
            ..ProjectedVolumeSource::default()
        }),
        ..Volume::default()
    })
}

/// The mount of [`volume`].
pub(super) fn mount(cluster: &ValidCluster) -> Option<VolumeMount> {
    (cluster.transport != Transport::Off).then(|| VolumeMount {
        name: "certificates".to_owned(),
        mount_path: MOUNT.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    })
}

/// The flags.
pub(super) fn flags(cluster: &ValidCluster) -> Vec<String> {
    if cluster.transport == Transport::Off {
        return Vec::new();
    }
    let mut flags = vec![
        format!("--cert-file={MOUNT}/server.crt"),
        format!("--key-file={MOUNT}/server.key"),
        format!("--peer-cert-file={MOUNT}/peer.crt"),
        format!("--peer-key-file={MOUNT}/peer.key"),
        format!("--peer-trusted-ca-file={MOUNT}/peer-ca.crt"),
        "--peer-client-cert-auth".to_owned(),
        format!("--peer-tls={}", cluster.transport),
        // Whoever signs for members may sign for others, too.
        format!(
            "--peer-cert-allowed-hostname={},{}",
            cluster.names.any_member(),
            cluster.names.operator_host()
        ),
        format!(
            "--admin-cert-allowed-hostname={}",
            cluster.names.operator_host()
        ),
    ];
    let asked = cluster.tls.as_ref();
    if asked.is_none_or(|tls| tls.clients_show) {
        flags.push(format!("--trusted-ca-file={MOUNT}/server-ca.crt"));
        flags.push("--client-cert-auth".to_owned());
    }
    if cluster.transport == Transport::Permissive || asked.is_some_and(|tls| tls.clients_permissive)
    {
        flags.push("--client-tls-permissive".to_owned());
    }
    flags
}
