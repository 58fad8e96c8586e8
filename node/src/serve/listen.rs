//! Listeners and their connections, with TLS or without.

use super::Serving;
use crate::admin::AdminApi;
use crate::config::Listen;
use crate::limits::{CLIENT_STREAMS_MAX, PREFACE_TIMEOUT};
use crate::member::Member;
use crate::peer;
use crate::socket::Socket;
use crate::tls::{CertificateName, Port, Presented};
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use kvorum_proto::admin::admin_server::AdminServer;
use std::io;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::service::Routes;

/// An open port.
pub struct Listener {
    listener: TcpListener,
    port: Port,
}

/// Listens, with a clear error where that cannot be.
///
/// # Errors
/// If the address cannot be bound.
pub async fn listen(at: &Listen, port: &Port) -> anyhow::Result<Listener> {
    let address = &at.address;
    let listener = TcpListener::bind(address).await.map_err(|e| {
        anyhow::anyhow!("cannot listen on {address}: {e}; is another server running there?")
    })?;
    let port = port.at(at.tls);
    Ok(Listener { listener, port })
}

impl Listener {
    /// The next connection; `None` once told to stop.
    async fn accept(&self, stop: &CancellationToken) -> Option<TcpStream> {
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => return None,
            };
            match accepted {
                Ok((socket, _)) => {
                    let _ = socket.set_nodelay(true);
                    return Some(socket);
                }
                // A burst of connections can use up the file descriptors: wait for some to end.
                Err(error) => {
                    tracing::warn!(%error, "Accepting a connection failed");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    }
}

async fn connection(socket: Socket, router: Router, serving: &Serving) {
    let socket = socket.counted(serving.traffic.clone());
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(CLIENT_STREAMS_MAX)
        .adaptive_window(true)
        .keep_alive_interval(serving.keepalive.interval)
        .keep_alive_timeout(serving.keepalive.timeout);
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
pub async fn http(listener: Listener, router: Router, serving: Serving) {
    while let Some(socket) = listener.accept(&serving.stop).await {
        let (port, router) = (listener.port.clone(), router.clone());
        let (spawner, serving) = (serving.connections.clone(), serving.clone());
        spawner.spawn(async move {
            match port.accept(socket).await {
                Ok((socket, presented)) => {
                    let router = match presented.and_then(|is| is.common_name) {
                        Some(name) => router.layer(axum::Extension(CertificateName(name))),
                        None => router,
                    };
                    connection(socket, router, &serving).await;
                }
                Err(error) => tracing::warn!(%error, "Rejected a client's connection"),
            }
        });
    }
}

/// Who may call the admin API on the peer port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdminCallers(pub Vec<String>);

impl AdminCallers {
    /// Whether this one may: where names are demanded, its certificate must have one of them, letter for
    /// letter. Who came without TLS was let in on purpose: see [`crate::tls::Mode::Permissive`].
    fn admit(&self, presented: Option<&Presented>) -> bool {
        let Some(presented) = presented else {
            return true;
        };
        let mut names = presented.hostnames.iter();
        self.0.is_empty() || names.any(|name| self.0.contains(name))
    }
}

/// Answers every call with why it is not for the caller.
fn not_admitted() -> Router {
    let refuse = || async {
        let text = "the admin API is not for this certificate: it has none of the names of --admin-cert-allowed-hostname";
        Status::permission_denied(text).into_http::<tonic::body::Body>()
    };
    Router::new().fallback(refuse)
}

/// Serves peers and the admin API, told apart by their first bytes.
pub async fn peers(
    listener: Listener,
    member: Arc<Member>,
    callers: Arc<AdminCallers>,
    serving: Serving,
) {
    let mut routes = Routes::builder();
    routes.add_service(AdminServer::new(AdminApi::new(member.clone())));
    let admin = routes.routes().into_axum_router();
    while let Some(socket) = listener.accept(&serving.stop).await {
        let (port, member, admin) = (listener.port.clone(), member.clone(), admin.clone());
        let callers = callers.clone();
        let (spawner, serving) = (serving.connections.clone(), serving.clone());
        spawner.spawn(async move {
            let outcome = match port.accept(socket).await {
                Ok((socket, presented)) => {
                    let admitted = callers.admit(presented.as_ref());
                    let admin = if admitted { admin } else { not_admitted() };
                    peer_or_admin(socket, member, admin, &serving).await
                }
                Err(error) => {
                    tracing::warn!(%error, "Rejected a peer's connection");
                    Ok(())
                }
            };
            match outcome {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tracing::warn!(%error, "Closed a connection to the peer port: no member of this version sends this");
                }
                Err(error) => tracing::debug!(%error, "A peer connection ended"),
            }
        });
    }
}

async fn peer_or_admin(
    mut socket: Socket,
    member: Arc<Member>,
    admin: Router,
    serving: &Serving,
) -> io::Result<()> {
    const LENGTH: usize = peer::link::PREFACE.len();
    let first = tokio::time::timeout(PREFACE_TIMEOUT, socket.peek::<LENGTH>()).await;
    let first = first.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    if first.is_empty() {
        return Ok(());
    }
    if &first[..] == peer::link::PREFACE {
        socket.consume();
        tokio::select! {
            outcome = peer::server::serve(member, socket) => outcome,
            () = serving.stop.cancelled() => Ok(()),
        }
    } else {
        connection(socket, admin, serving).await;
        Ok(())
    }
}
