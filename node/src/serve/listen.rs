//! Listeners and their connections, with TLS or without.

use super::Serving;
use crate::admin::AdminApi;
use crate::config::Listen;
use crate::limits::{CLIENT_STREAMS_MAX, PREFACE_TIMEOUT};
use crate::member::Member;
use crate::peer;
use crate::socket::Socket;
use crate::tls::{CertificateName, Tls};
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use kvorum_proto::admin::admin_server::AdminServer;
use std::io;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// An open port.
pub struct Listener {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
}

/// Listens, with a clear error where that cannot be. `tls` counts where the URL says https.
///
/// # Errors
/// If the address cannot be bound.
pub async fn listen(at: &Listen, tls: Option<&Arc<Tls>>) -> anyhow::Result<Listener> {
    let address = &at.address;
    let listener = TcpListener::bind(address).await.map_err(|e| {
        anyhow::anyhow!("cannot listen on {address}: {e}; is another server running there?")
    })?;
    let tls = tls.filter(|_| at.tls).cloned();
    Ok(Listener { listener, tls })
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

/// Does the handshake, if there is one to do.
async fn greet(
    socket: TcpStream,
    tls: Option<Arc<Tls>>,
) -> io::Result<(Socket, Option<CertificateName>)> {
    let Some(tls) = tls else {
        return Ok((Socket::plain(socket), None));
    };
    let handshake = tokio::time::timeout(PREFACE_TIMEOUT, tls.accept(socket)).await;
    let (socket, name) = handshake.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok((socket, name.map(CertificateName)))
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
        let (tls, router) = (listener.tls.clone(), router.clone());
        let (spawner, serving) = (serving.connections.clone(), serving.clone());
        spawner.spawn(async move {
            match greet(socket, tls).await {
                Ok((socket, Some(name))) => {
                    let router = router.layer(axum::Extension(name));
                    connection(socket, router, &serving).await;
                }
                Ok((socket, None)) => connection(socket, router, &serving).await,
                Err(error) => tracing::warn!(%error, "Rejected a client's connection"),
            }
        });
    }
}

/// Serves peers and the admin API, told apart by their first bytes.
pub async fn peers(listener: Listener, member: Arc<Member>, serving: Serving) {
    let mut routes = Routes::builder();
    routes.add_service(AdminServer::new(AdminApi::new(member.clone())));
    let admin = routes.routes().into_axum_router();
    while let Some(socket) = listener.accept(&serving.stop).await {
        let (tls, member, admin) = (listener.tls.clone(), member.clone(), admin.clone());
        let (spawner, serving) = (serving.connections.clone(), serving.clone());
        spawner.spawn(async move {
            let outcome = match greet(socket, tls).await {
                Ok((socket, _)) => peer_or_admin(socket, member, admin, &serving).await,
                Err(error) => {
                    tracing::warn!(%error, "Rejected a peer's connection");
                    Ok(())
                }
            };
            if let Err(error) = outcome {
                tracing::debug!(%error, "A peer connection ended");
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
