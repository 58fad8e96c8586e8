//! Asks a running operator what it sees.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};

use crate::ask;
use crate::limits::{CHECK_REQUEST, RECONCILE_DEADLINE};

/// The dump of `NAMESPACE/NAME`, from the operator that listens there.
///
/// # Errors
/// Why there is none, in words.
pub(super) fn dump(operator: &SocketAddr, cluster: &str) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let asked = runtime
        .context("the runtime cannot start")
        .and_then(|runtime| runtime.block_on(ask(*operator, cluster)));
    asked.map_err(|error| format!("{error:#}"))
}

async fn ask(operator: SocketAddr, cluster: &str) -> Result<String> {
    let plain = |part: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        !part.is_empty() && part.chars().all(allowed)
    };
    let parts = cluster.split_once('/');
    let Some((namespace, name)) = parts.filter(|(one, two)| plain(one) && plain(two)) else {
        bail!("{cluster:?} names no KvCluster: use NAMESPACE/NAME");
    };
    let path = format!("/dump/{namespace}/{name}");
    let asking = ask::get(operator, &path);
    // The operator's own look has its own deadline.
    let answer = tokio::time::timeout(RECONCILE_DEADLINE + CHECK_REQUEST, asking)
        .await
        .with_context(|| format!("http://{operator} does not answer"))??;
    if answer.status != 200 {
        bail!(
            "http://{operator} answers {}: {}",
            answer.status,
            answer.body
        );
    }
    Ok(answer.body)
}
