//! gRPC's health checks.

use crate::refused;
use kvorum_processes::Client;
use kvorum_proto::health::HealthCheckRequest;
use kvorum_proto::health::health_check_response::ServingStatus;
use tonic::Code::NotFound;

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

/// The server as a whole is asked for without a name.
pub async fn the_server_is_healthy(client: &Client) {
    let checked = client.health().check(of("")).await.unwrap().into_inner();
    assert_eq!(checked.status(), ServingStatus::Serving);
}

/// No other service has a health of its own.
pub async fn an_unknown_service_is_told(client: &Client) {
    refused(
        client.health().check(of("etcdserverpb.KV")).await,
        NotFound,
        "unknown service",
    );
    let watched = client.health().watch(of("etcdserverpb.KV")).await.unwrap();
    let first = watched.into_inner().message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::ServiceUnknown);
}

/// A watcher hears the present state at once.
pub async fn health_is_watched(client: &Client) {
    let watched = client.health().watch(of("")).await.unwrap();
    let first = watched.into_inner().message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
}
