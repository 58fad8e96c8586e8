//! /metrics, /healthz and /readyz; and, for callers of this machine or pod alone, what the planner is told about
//! a cluster.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::inspect::{Inspector, Refused};
use crate::metrics::Metrics;

/// Whether the operator can do its work: the definition is installed.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// From now on.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Shared {
    metrics: Arc<Metrics>,
    readiness: Readiness,
    inspector: Inspector,
}

/// Serves until the process ends.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    inspector: Inspector,
) -> anyhow::Result<()> {
    let shared = Shared {
        metrics,
        readiness,
        inspector,
    };
    let router = Router::new()
        .route("/metrics", get(text))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/dump/{namespace}/{name}", get(dump))
        .with_state(shared);
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .map_err(|error| {
            anyhow::anyhow!("cannot listen on {address}: {error}; choose another with --listen")
        })?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await?;
    Ok(())
}

async fn text(State(shared): State<Shared>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shared.metrics.text())
}

async fn ready(State(shared): State<Shared>) -> impl IntoResponse {
    if shared.readiness.get() {
        (StatusCode::OK, "ok")
    } else {
        let text = "the definition kvclusters.kvorum.dev is not installed";
        (StatusCode::SERVICE_UNAVAILABLE, text)
    }
}

/// Only for those who may enter the pod: Kubernetes has asked them who they are.
async fn dump(
    ConnectInfo(caller): ConnectInfo<SocketAddr>,
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    if !caller.ip().to_canonical().is_loopback() {
        let text =
            "dumps are for callers of this machine: use kubectl exec or kubectl port-forward";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    match shared.inspector.dump(&namespace, &name).await {
        Ok(dump) => axum::Json(dump).into_response(),
        Err(refused) => (code(&refused), refused.to_string()).into_response(),
    }
}

fn code(refused: &Refused) -> StatusCode {
    match refused {
        Refused::StandsBy => StatusCode::SERVICE_UNAVAILABLE,
        Refused::Busy => StatusCode::TOO_MANY_REQUESTS,
        Refused::NotFound(_) => StatusCode::NOT_FOUND,
        Refused::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refused::Failed(_) => StatusCode::BAD_GATEWAY,
    }
}
