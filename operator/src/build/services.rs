//! The two Services: one name per member, and one for all of them.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};

use super::owned;
use crate::names::{CLIENT_PORT, METRICS_PORT, PEER_PORT};
use crate::validate::ValidCluster;

/// The headless Service: every member has a name in it, ready or not, as members must find each other
/// before any is ready. Also the recommended way in for clients.
#[must_use]
pub fn peer_service(cluster: &ValidCluster) -> Service {
    let names = &cluster.names;
    Service {
        metadata: owned(cluster, names.peers(), names.labels()),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            ports: Some(vec![
                port("client", CLIENT_PORT),
                port("peer", PEER_PORT),
                port("metrics", METRICS_PORT),
            ]),
            selector: Some(names.selector()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// The client Service: any ready member, one in the client's own zone where there is one.
#[must_use]
pub fn client_service(cluster: &ValidCluster) -> Service {
    let names = &cluster.names;
    Service {
        metadata: owned(cluster, names.cluster.clone(), names.labels()),
        spec: Some(ServiceSpec {
            ports: Some(vec![port("client", CLIENT_PORT)]),
            selector: Some(names.selector()),
            // The newer name PreferSameZone means the same and is unknown to Kubernetes before 1.34.
            traffic_distribution: Some("PreferClose".to_owned()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn port(name: &str, port: i32) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port,
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}
