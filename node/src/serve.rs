//! The listeners: clients, peers, metrics.

use crate::admin::AdminApi;
use crate::api::{Api, wants_leader};
use crate::limits::{CLIENT_STREAMS_MAX, GRPC_OVERHEAD_BYTES, PREFACE_TIMEOUT};
use crate::member::Member;
use crate::metrics::Metrics;
use crate::{gateway, http as pages, peer};
use axum::Router;
use axum::extract::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use kvorum_proto::admin::admin_server::AdminServer;
use kvorum_proto::etcdserverpb::cluster_server::ClusterServer;
use kvorum_proto::etcdserverpb::kv_server::KvServer;
use kvorum_proto::etcdserverpb::lease_server::LeaseServer;
use kvorum_proto::etcdserverpb::maintenance_server::MaintenanceServer;
use kvorum_proto::etcdserverpb::watch_server::WatchServer;
use kvorum_proto::health::health_server::HealthServer;
use kvorum_proto::v3electionpb::election_server::ElectionServer;
use kvorum_proto::v3lockpb::lock_server::LockServer;
use std::io;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
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
    let path = request.uri().path().to_owned();
    if wants_leader(request.headers())
        && let Err(status) = api.has_leader()
    {
        metrics.handled(&path, status.code());
        return status.into_http();
    }
    let response = next.run(request).await;
    // A refused call says so in its headers; an answered one in its trailers, as OK.
    let code = response
        .headers()
        .get("grpc-status")
        .map_or(tonic::Code::Ok, |v| tonic::Code::from_bytes(v.as_bytes()));
    metrics.handled(&path, code);
    response
}

/// Listens, with a clear error where that cannot be.
///
/// # Errors
/// If the address cannot be bound.
pub async fn listen(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| {
        anyhow::anyhow!("cannot listen on {address}: {e}; is another server running there?")
    })
}

async fn connection(socket: TcpStream, router: Router, serving: Serving) {
    let _ = socket.set_nodelay(true);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(CLIENT_STREAMS_MAX)
        .adaptive_window(true)
        .keep_alive_interval(None);
    let serve = builder.serve_connection(TokioIo::new(socket), TowerToHyperService::new(router));
    let mut serve = std::pin::pin!(serve);
    let outcome = tokio::select! {
        outcome = serve.as_mut() => outcome,
        () = serving.stop.cancelled() => {
            serve.as_mut().graceful_shutdown();
            serve.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "A connection ended");
    }
}

/// Serves HTTP on a listener until stopped.
pub async fn http(listener: TcpListener, router: Router, serving: Serving) {
    loop {
        let socket = tokio::select! {
            accepted = listener.accept() => accepted,
            () = serving.stop.cancelled() => return,
        };
        match socket {
            Ok((socket, _)) => {
                serving
                    .connections
                    .spawn(connection(socket, router.clone(), serving.clone()));
            }
            Err(error) => accept_failed(&error).await,
        }
    }
}

/// A burst of connections can use up the file descriptors: wait for some to end.
async fn accept_failed(error: &io::Error) {
    tracing::warn!(%error, "Accepting a connection failed");
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
}

/// Serves peers and the admin API, told apart by their first bytes.
pub async fn peers(listener: TcpListener, member: Arc<Member>, serving: Serving) {
    let mut routes = Routes::builder();
    routes.add_service(AdminServer::new(AdminApi::new(member.clone())));
    let admin = routes.routes().into_axum_router();
    loop {
        let socket = tokio::select! {
            accepted = listener.accept() => accepted,
            () = serving.stop.cancelled() => return,
        };
        match socket {
            Ok((socket, _)) => {
                let (member, admin, serving2) = (member.clone(), admin.clone(), serving.clone());
                serving.connections.spawn(async move {
                    if let Err(error) = peer_or_admin(socket, member, admin, serving2).await {
                        tracing::debug!(%error, "A peer connection ended");
                    }
                });
            }
            Err(error) => accept_failed(&error).await,
        }
    }
}

async fn peer_or_admin(
    mut socket: TcpStream,
    member: Arc<Member>,
    admin: Router,
    serving: Serving,
) -> io::Result<()> {
    let mut first = [0; 4];
    let seen = async {
        loop {
            let n = socket.peek(&mut first).await?;
            if n == first.len() || n == 0 {
                return Ok::<usize, io::Error>(n);
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    let seen = tokio::time::timeout(PREFACE_TIMEOUT, seen).await;
    if seen.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? == 0 {
        return Ok(());
    }
    if &first == peer::link::PREFACE {
        tokio::io::AsyncReadExt::read_exact(&mut socket, &mut first).await?;
        let stop = serving.stop.clone();
        tokio::select! {
            outcome = peer::server::serve(member, socket) => outcome,
            () = stop.cancelled() => Ok(()),
        }
    } else {
        connection(socket, admin, serving).await;
        Ok(())
    }
}
