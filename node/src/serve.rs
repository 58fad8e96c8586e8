//! What is served where: clients, peers, metrics.

mod listen;

pub use listen::{AdminCallers, Listener, http, listen, peers};

use crate::api::{Api, wants_leader};
use crate::config::Keepalive;
use crate::limits::GRPC_OVERHEAD_BYTES;
use crate::member::Member;
use crate::metrics::Metrics;
use crate::socket::ByteCount;
use crate::{gateway, http as pages};
use axum::Router;
use axum::extract::Request;
use kvorum_proto::encoded_watch::watch_server::WatchServer;
use kvorum_proto::etcdserverpb::auth_server::AuthServer;
use kvorum_proto::etcdserverpb::cluster_server::ClusterServer;
use kvorum_proto::etcdserverpb::kv_server::KvServer;
use kvorum_proto::etcdserverpb::lease_server::LeaseServer;
use kvorum_proto::etcdserverpb::maintenance_server::MaintenanceServer;
use kvorum_proto::health::health_server::HealthServer;
use kvorum_proto::v3electionpb::election_server::ElectionServer;
use kvorum_proto::v3lockpb::lock_server::LockServer;
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;

/// Everything that serves, and how it ends.
#[derive(Clone)]
pub struct Serving {
    /// Cancelled on the way out.
    pub stop: CancellationToken,
    /// Open connections.
    pub connections: TaskTracker,
    /// How silent clients are found out.
    pub keepalive: Keepalive,
    /// Counts bytes, if anybody wants to know.
    pub traffic: Option<Arc<ByteCount>>,
}

/// The client port's services: gRPC, the same as JSON if wanted, and the pages over HTTP/1.
///
/// # Errors
/// If the JSON gateway has a path for a call that there is not.
pub fn client_router(
    member: &Arc<Member>,
    metrics: &Metrics,
    with_gateway: bool,
) -> anyhow::Result<Router> {
    let api = Api::new(member.clone());
    let max = member.limits().bytes + GRPC_OVERHEAD_BYTES;
    let guard = api.clone();
    let mut routes = Routes::builder();
    routes
        .add_service(
            KvServer::new(api.clone())
                .max_decoding_message_size(max)
                .max_encoding_message_size(usize::MAX),
        )
        .add_service(
            WatchServer::new(api.clone())
                .max_decoding_message_size(max)
                .max_encoding_message_size(usize::MAX),
        )
        .add_service(LeaseServer::new(api.clone()))
        .add_service(ClusterServer::new(api.clone()))
        .add_service(MaintenanceServer::new(api.clone()))
        .add_service(AuthServer::new(api.clone()))
        .add_service(HealthServer::new(api.clone()))
        .add_service(LockServer::new(api.clone()))
        .add_service(ElectionServer::new(api));
    let counted = metrics.clone();
    let grpc = routes
        .routes()
        .into_axum_router()
        .layer(axum::middleware::from_fn(
            move |request: Request, next: axum::middleware::Next| {
                let (guard, counted) = (guard.clone(), counted.clone());
                async move { guarded(guard, counted, request, next).await }
            },
        ));
    let mut router = grpc
        .clone()
        .merge(pages::router(member.clone(), metrics.clone()));
    if with_gateway {
        router = router.merge(gateway::router(grpc, max)?);
    }
    Ok(router)
}

/// Refuses calls that want a leader where there is none, and counts answers.
async fn guarded(
    api: Api,
    metrics: Metrics,
    request: Request,
    next: axum::middleware::Next,
) -> axum::response::Response {
    let kind = metrics.kind(request.uri().path());
    kind.started();
    let began = Instant::now();
    if wants_leader(request.headers())
        && let Err(status) = api.has_leader()
    {
        kind.handled(status.code(), began.elapsed());
        return status.into_http();
    }
    let response = next.run(request).await;
    // A refused call says so in its headers; an answered one in its trailers, as OK.
    let code = response
        .headers()
        .get("grpc-status")
        .map_or(tonic::Code::Ok, |v| tonic::Code::from_bytes(v.as_bytes()));
    kind.handled(code, began.elapsed());
    response
}
