//! /health, /livez, /readyz, /version and /metrics.

use crate::api::{ETCD_CLUSTER_VERSION, ETCD_VERSION};
use crate::limits::REQUEST_TIMEOUT;
use crate::member::Member;
use crate::metrics::Metrics;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

#[derive(Clone)]
struct Pages {
    member: Arc<Member>,
    metrics: Metrics,
}

/// The pages of one member.
pub fn router(member: Arc<Member>, metrics: Metrics) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/version", get(version))
        .route("/metrics", get(page))
        .with_state(Pages { member, metrics })
}

async fn page(State(pages): State<Pages>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], pages.metrics.page()).into_response()
}

async fn version() -> Response {
    let body = format!(
        r#"{{"etcdserver":"{ETCD_VERSION}","etcdcluster":"{ETCD_CLUSTER_VERSION}","storage":"{ETCD_CLUSTER_VERSION}"}}"#
    );
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// etcd's /health: a linearizable read goes through (or, if asked so, a local one).
async fn health(
    State(pages): State<Pages>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let local = query.get("serializable").is_some_and(|v| v == "true");
    let reason = if pages.member.consensus().status().leader.is_none() && !local {
        "RAFT NO LEADER".to_owned()
    } else if local {
        String::new()
    } else {
        match tokio::time::timeout(REQUEST_TIMEOUT, pages.member.consensus().linearize()).await {
            Ok(Ok(())) => String::new(),
            Ok(Err(failure)) => format!("QGET ERROR:{failure}"),
            Err(_) => "QGET ERROR:timed out".to_owned(),
        }
    };
    let healthy = reason.is_empty();
    let code = if healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = format!(r#"{{"health":"{healthy}","reason":"{reason}"}}"#);
    (code, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// The process works; nothing about the cluster.
async fn livez(State(_): State<Pages>, Query(query): Query<HashMap<String, String>>) -> Response {
    checks(
        "livez",
        &[("serializable_read", Ok(()))],
        query.contains_key("verbose"),
    )
}

/// This member can serve.
async fn readyz(
    State(pages): State<Pages>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let ready = pages.member.ready();
    checks(
        "readyz",
        &[("serializable_read", Ok(())), ("linearizable_read", ready)],
        query.contains_key("verbose"),
    )
}

fn checks(page: &str, results: &[(&str, Result<(), &str>)], verbose: bool) -> Response {
    let failed = results.iter().any(|(_, r)| r.is_err());
    let mut text = String::new();
    for (name, result) in results {
        // Writing to a string cannot fail.
        let _ = match result {
            Ok(()) => writeln!(text, "[+]{name} ok"),
            Err(reason) => writeln!(text, "[-]{name} failed: {reason}"),
        };
    }
    match (failed, verbose) {
        (true, _) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{text}{page} check failed\n"),
        )
            .into_response(),
        (false, true) => format!("{text}ok\n").into_response(),
        (false, false) => "ok\n".into_response(),
    }
}
