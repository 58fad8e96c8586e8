//! Waiting for the API server and for nodes, with a Kubernetes client.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use k8s_openapi::api::core::v1::Node;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

const PAUSE: Duration = Duration::from_millis(100);

/// A client for the testbed's API server.
pub(crate) async fn client(kubeconfig: &Path) -> Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig)
        .with_context(|| format!("cannot read {}", kubeconfig.display()))?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Client::try_from(config).context("cannot make a Kubernetes client")
}

/// Returns when /readyz says ok.
pub(crate) fn wait_api(kubeconfig: &Path, limit: u64) -> Result<()> {
    wait("the API server did not become ready", limit, async {
        let client = client(kubeconfig).await?;
        loop {
            let request = http_get("/readyz")?;
            if client.request_text(request).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
}

fn http_get(path: &str) -> Result<http::Request<Vec<u8>>> {
    http::Request::get(path)
        .body(Vec::new())
        .context("cannot make a request")
}

/// Returns when `count` nodes are Ready and none of them tainted.
pub(crate) fn wait_nodes(kubeconfig: &Path, limit: u64, count: usize) -> Result<()> {
    wait("not all nodes became Ready", limit, async {
        let nodes: Api<Node> = Api::all(client(kubeconfig).await?);
        loop {
            if nodes
                .list(&kube::api::ListParams::default())
                .await
                .is_ok_and(|list| list.items.iter().filter(|node| usable(node)).count() >= count)
            {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
}

fn usable(node: &Node) -> bool {
    let untainted = node
        .spec
        .as_ref()
        .is_none_or(|spec| spec.taints.as_ref().is_none_or(Vec::is_empty));
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    untainted
        && conditions.is_some_and(|all| {
            all.iter()
                .any(|each| each.type_ == "Ready" && each.status == "True")
        })
}

fn wait(
    failure: &'static str,
    limit: u64,
    waiting: impl Future<Output = Result<()>>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(limit), waiting)
            .await
            .map_err(|_| anyhow!("{failure} within {limit} s"))?
    })
}
