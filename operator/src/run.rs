//! `kvorum-operator run`: from start to shutdown.

use std::process::ExitCode;
use std::sync::Arc;

use kube::api::ListParams;
use kube::{Client, Config};
use kvorum_api::KvCluster;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::cli::RunArgs;
use crate::controller::{self, Settings};
use crate::http::{self, Readiness};
use crate::inspect::Inspector;
use crate::lease::Candidate;
use crate::limits::{DEFINITION_RETRY, SILENCE_MAX};
use crate::metrics::Metrics;
use crate::scope::Scope;

/// How the operator ended.
enum End {
    /// It was asked to.
    Asked,
    /// It is not the leader any more: the process must not go on.
    LeaseLost,
}

/// Runs until SIGTERM or SIGINT, or until the Lease is lost.
#[must_use]
pub fn run(args: RunArgs) -> ExitCode {
    if let Err(problem) = log(&args) {
        eprintln!("kvorum-operator: {problem}");
        return ExitCode::from(2);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "The runtime cannot start");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serve(args)) {
        Ok(End::Asked) => ExitCode::SUCCESS,
        Ok(End::LeaseLost) => {
            tracing::error!("The Lease is lost; ending, so that nothing is done that another does");
            ExitCode::FAILURE
        }
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "The operator cannot go on");
            ExitCode::FAILURE
        }
    }
}

fn log(args: &RunArgs) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&args.log)
        .map_err(|error| anyhow::anyhow!("--log {:?} cannot be used: {error}", args.log))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if args.log_json {
        builder.json().init();
    } else {
        builder.init();
    }
    Ok(())
}

async fn serve(args: RunArgs) -> anyhow::Result<End> {
    let mut config = Config::infer().await.map_err(|error| {
        anyhow::anyhow!("no Kubernetes cluster: {error}; set KUBECONFIG, or run inside a cluster")
    })?;
    config.read_timeout = Some(SILENCE_MAX);
    let namespace = args
        .lease_namespace
        .clone()
        .unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config)?;
    let identity = identity();
    let metrics = Arc::new(Metrics::default());
    let readiness = Readiness::default();
    let inspector = Inspector::default();
    let candidate = Candidate::new(
        client.clone(),
        &namespace,
        &args.lease_name,
        identity.clone(),
    );
    let settings = Settings {
        client,
        class: args.class.clone(),
        scope: Scope::of(&args.namespaces),
        node_image: args.node_image.clone(),
        instance: identity,
        metrics: Arc::clone(&metrics),
        inspector: inspector.clone(),
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        node_image = args.node_image,
        class = args.class,
        namespaces = args.namespaces.join(","),
        "Starting"
    );
    tokio::select! {
        served = http::serve(args.listen, metrics, readiness.clone(), inspector) => {
            served.and_then(|()| anyhow::bail!("the HTTP server has ended"))
        }
        end = work(&args, settings, candidate, &readiness) => end,
    }
}

/// Waits for the definition and the Lease, then looks after clusters.
async fn work(
    args: &RunArgs,
    settings: Settings,
    mut candidate: Candidate,
    readiness: &Readiness,
) -> anyhow::Result<End> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let metrics = Arc::clone(&settings.metrics);
    let prepare = async {
        definition(&settings.client, &settings.scope, readiness).await;
        if args.leader_elect {
            candidate.acquire().await;
        }
    };
    tokio::select! {
        () = prepare => {}
        _ = terminate.recv() => return Ok(End::Asked),
        _ = interrupt.recv() => return Ok(End::Asked),
    }
    metrics.leads(&args.lease_name, true);
    if !settings.scope.sees_nodes() {
        tracing::warn!(
            "Looking after single namespaces: Nodes and StorageClasses cannot be seen, zones are taken as spec.placement.zones lists them"
        );
    }
    tracing::info!("Looking after KvClusters");
    let (stop, stopped) = watch::channel(false);
    let mut stopped = stopped;
    let controller = controller::run(settings, async move {
        // An error means that the sender is gone, which is as good a reason to stop.
        let _ = stopped.wait_for(|stop| *stop).await;
    });
    tokio::pin!(controller);
    let lost = async {
        if args.leader_elect {
            candidate.hold().await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = &mut controller => anyhow::bail!("the controller has ended by itself"),
        () = lost => return Ok(End::LeaseLost),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("Finishing what has begun");
    stop.send_replace(true);
    controller.await;
    if args.leader_elect {
        candidate.release().await;
    }
    metrics.leads(&args.lease_name, false);
    Ok(End::Asked)
}

/// Returns once KvClusters can be listed. Installing the definition is not the operator's business.
async fn definition(client: &Client, scope: &Scope, readiness: &Readiness) {
    let mut said = false;
    // A scope has at least one place.
    let Some(api) = scope.places::<KvCluster>(client).into_iter().next() else {
        return;
    };
    loop {
        match api.list(&ListParams::default().limit(1)).await {
            Ok(_) => return readiness.set(true),
            Err(kube::Error::Api(status)) if status.code == 404 => {
                if !said {
                    tracing::warn!(
                        "The definition kvclusters.kvorum.dev is not installed; waiting. Install the chart with crds.enabled, or: kvorum-operator crd | kubectl apply -f -"
                    );
                    said = true;
                }
            }
            // An object that cannot be read shows that the definition is there.
            Err(kube::Error::SerdeError(_)) => return readiness.set(true),
            Err(error) => tracing::warn!(%error, "The API server does not answer; trying again"),
        }
        tokio::time::sleep(DEFINITION_RETRY).await;
    }
}

/// The pod's name, or the machine's, with something that no other process has.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "kvorum-operator".to_owned());
    format!("{host}_{:08x}", rand::random::<u32>())
}
