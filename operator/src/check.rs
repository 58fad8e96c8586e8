//! `kvorum-operator check`: what `helm test` runs, in a pod of its own: is the operator ready, does a cluster
//! keep what it is told.
//!
//! Exit codes: 0 yes; 1 no, and why.

use std::future::Future;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use kvorum_proto::etcdserverpb::kv_client::KvClient;
use kvorum_proto::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use crate::ask;
use crate::certificates::{Issued, Pair};
use crate::cli::CheckArgs;
use crate::explain::print;
use crate::limits::{CHECK_DEADLINE, CHECK_REQUEST, CHECK_RETRY};

/// Checks what the arguments name.
#[must_use]
pub fn run(args: &CheckArgs) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let checked = runtime
        .context("the runtime cannot start")
        .and_then(|runtime| runtime.block_on(check(args)));
    match checked {
        Ok(text) => print(&text),
        Err(error) => {
            eprintln!("kvorum-operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn check(args: &CheckArgs) -> Result<String> {
    let mut text = String::new();
    if let Some(url) = &args.ready {
        until(|| ready(url)).await?;
        text.push_str(&format!("{url} answers 200\n"));
    }
    if let Some(endpoint) = &args.endpoint {
        let tls = args.certificates.as_deref().map(tls).transpose()?;
        let key = until(|| write_and_read(endpoint, tls.clone())).await?;
        text.push_str(&format!(
            "{endpoint} wrote, read and deleted the key {key}\n"
        ));
    }
    Ok(text)
}

/// Tries until it works: what is checked may have started a moment ago.
async fn until<T, F>(mut attempt: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let started = Instant::now();
    loop {
        let tried = tokio::time::timeout(CHECK_REQUEST, attempt()).await;
        let error = match tried {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => error,
            Err(_) => anyhow::anyhow!("no answer within {CHECK_REQUEST:?}"),
        };
        if started.elapsed() > CHECK_DEADLINE {
            return Err(error);
        }
        tokio::time::sleep(CHECK_RETRY).await;
    }
}

/// What the operator says of itself.
async fn ready(url: &str) -> Result<()> {
    let uri: http::Uri = url
        .parse()
        .with_context(|| format!("{url} is no address"))?;
    let host = uri.host().with_context(|| format!("{url} has no host"))?;
    let port = uri.port_u16().unwrap_or(80);
    let answer = ask::get(&format!("{host}:{port}"), uri.path()).await?;
    ensure!(
        answer.status == 200,
        "{url} answers {} {:?}",
        answer.status,
        answer.body
    );
    Ok(())
}

/// What a client does that has a cluster's client Secret.
fn tls(directory: &Path) -> Result<ClientTlsConfig> {
    let text = |name: &str| {
        let path = directory.join(name);
        std::fs::read_to_string(&path).with_context(|| {
            format!(
                "{} cannot be read: mount a client's Secret there",
                path.display()
            )
        })
    };
    let pair = Pair {
        cert: text("tls.crt")?,
        key: text("tls.key")?,
    };
    let trust = text("ca.crt")?;
    Ok(Issued { pair, trust }.client())
}

/// Writes a key of its own, reads it through quorum, and takes it away again.
async fn write_and_read(endpoint: &str, tls: Option<ClientTlsConfig>) -> Result<String> {
    let mut target = Endpoint::from_shared(endpoint.to_owned())
        .with_context(|| format!("{endpoint} is no address"))?;
    if let Some(tls) = tls {
        target = target.tls_config(tls)?;
    }
    let channel: Channel = target
        .connect_timeout(CHECK_REQUEST)
        .connect()
        .await
        .with_context(|| format!("{endpoint} cannot be reached"))?;
    let mut client = KvClient::new(channel);
    let key = format!("kvorum.dev/check/{:016x}", rand::random::<u64>());
    let value = format!("{:016x}", rand::random::<u64>());
    let put = PutRequest {
        key: key.clone().into(),
        value: value.clone().into(),
        ..PutRequest::default()
    };
    client.put(put).await.context("the write failed")?;
    let range = RangeRequest {
        key: key.clone().into(),
        ..RangeRequest::default()
    };
    let read = client
        .range(range)
        .await
        .context("the read failed")?
        .into_inner();
    let delete = DeleteRangeRequest {
        key: key.clone().into(),
        ..DeleteRangeRequest::default()
    };
    client
        .delete_range(delete)
        .await
        .context("the key cannot be deleted")?;
    match read.kvs.as_slice() {
        [found] if found.value == value => Ok(key),
        other => bail!("{value} was written to {key} and {other:?} was read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Readiness;
    use crate::inspect::Inspector;
    use crate::metrics::Metrics;
    use std::sync::Arc;

    #[tokio::test]
    async fn an_operator_is_ready_when_it_says_so() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let readiness = Readiness::default();
        let metrics = Arc::new(Metrics::default());
        let serving = crate::http::serve(address, metrics, readiness.clone(), Inspector::default());
        let serving = tokio::spawn(serving);
        let url = format!("http://{address}/readyz");
        let not_yet = loop {
            let error = format!("{:#}", ready(&url).await.unwrap_err());
            if error.contains("503") {
                break error;
            }
            tokio::task::yield_now().await;
        };
        assert!(not_yet.contains("is not installed"), "{not_yet}");
        readiness.set(true);
        ready(&url).await.unwrap();
        // It has not been told to look after clusters yet.
        let refused = ask::get(address, "/dump/shop/orders").await.unwrap();
        assert_eq!(refused.status, 503, "{}", refused.body);
        assert!(refused.body.contains("names the one that does"));
        serving.abort();
    }
}
