//! Watches on one side, looks on the other: the loop that never ends by itself.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::Client;
use kube::runtime::controller::{Action, Config};

use crate::act::Applied;
use crate::backoff::Backoff;
use crate::caches::{self, Guarded};
use crate::events::Events;
use crate::failpoint::Failpoint;
use crate::inspect::Inspector;
use crate::limits::{DEBOUNCE, FAILURE_SLOWEST, RECONCILES_AT_ONCE};
use crate::metrics::Metrics;
use crate::reconcile::{Context, reconcile};
use crate::scope::Scope;

/// What the controller needs to run.
pub struct Settings {
    /// To the API server.
    pub client: Client,
    /// Which KvClusters to look after.
    pub class: Option<String>,
    /// Where to look for them.
    pub scope: Scope,
    /// For clusters that name no image.
    pub node_image: String,
    /// Who we are, in events.
    pub instance: String,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Looks for others.
    pub inspector: Inspector,
}

/// Looks after all clusters until `stop`; looks that have begun are finished first.
pub async fn run(settings: Settings, stop: impl Future<Output = ()> + Send + Sync + 'static) {
    let Settings {
        client,
        class,
        scope,
        node_image,
        instance,
        metrics,
        inspector,
    } = settings;
    let (controller, caches) = caches::controller(&client, &scope, class.as_deref(), &metrics);
    let context = Arc::new(Context {
        keeper: crate::certificates::Keeper::default(),
        connections: crate::members::Connections::default(),
        events: Events::new(client.clone(), &instance),
        client,
        caches: caches.clone(),
        applied: Applied::default(),
        backoff: Backoff::default(),
        metrics,
        failpoint: Failpoint::from_environment(),
        node_image,
        class,
    });
    let config = Config::default()
        .concurrency(RECONCILES_AT_ONCE)
        .debounce(DEBOUNCE);
    let filled = caches::filled(context.caches.clone());
    inspector.acts(Arc::clone(&context), filled.clone());
    let look = move |cluster: Arc<Guarded>, context: Arc<Context>| {
        let filled = filled.clone();
        async move {
            // A decision on half-filled caches would be one on an imagined world.
            if filled.await {
                Ok::<Action, Infallible>(reconcile(cluster, context).await)
            } else {
                Ok(Action::requeue(Duration::from_secs(1)))
            }
        }
    };
    controller
        .with_config(config)
        .graceful_shutdown_on(stop)
        .run(look, |_, _, _| Action::requeue(FAILURE_SLOWEST), context)
        .for_each(|result| async move {
            if let Err(error) = result {
                // An object that is gone when its turn comes is no error.
                tracing::debug!(%error, "The controller skipped an object");
            }
        })
        .await;
}
