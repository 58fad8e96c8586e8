//! A look at one cluster for somebody who asks: the same look as any, but nothing is done and nothing written.

use std::sync::{Arc, OnceLock};

use kube::Api;
use kube::core::DeserializeGuard;
use kvorum_api::KvCluster;
use tokio::sync::Semaphore;

use crate::caches::{Filled, Guarded};
use crate::explain::Dump;
use crate::limits::RECONCILE_DEADLINE;
use crate::observe;
use crate::reconcile::{Context, check, fresh_cluster_id, unix_seconds};

/// Why there is no dump.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another operator acts, and only that one knows.
    #[error(
        "this operator does not look after clusters now: the Lease that it waits for names the one that does (kubectl get lease -A)"
    )]
    StandsBy,
    /// One at a time, as each asks every member.
    #[error("this operator is being asked already; try again")]
    Busy,
    /// No such object.
    #[error("there is no KvCluster {0}")]
    NotFound(String),
    /// Not this operator's to look after, or not as it should be.
    #[error("{0}")]
    Invalid(String),
    /// The API server, or time.
    #[error("the look failed: {0}")]
    Failed(String),
}

/// Where looks are asked for. Knows nothing until this operator acts.
#[derive(Clone)]
pub struct Inspector {
    working: Arc<OnceLock<(Arc<Context>, Filled)>>,
    turn: Arc<Semaphore>,
}

impl Default for Inspector {
    fn default() -> Self {
        Self {
            working: Arc::default(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Inspector {
    /// From now on this operator acts, with what every look shares.
    pub(crate) fn acts(&self, context: Arc<Context>, filled: Filled) {
        // Once in a process: a second controller is never started.
        let _ = self.working.set((context, filled));
    }

    /// What the planner would be told about a cluster now.
    ///
    /// # Errors
    /// When this operator does not know, or the API server does not answer.
    pub async fn dump(&self, namespace: &str, name: &str) -> Result<Dump, Refused> {
        let (context, filled) = self.working.get().ok_or(Refused::StandsBy)?;
        let _turn = self.turn.try_acquire().map_err(|_| Refused::Busy)?;
        let look = async {
            if !filled.clone().await {
                return Err(Refused::StandsBy);
            }
            look(context, namespace, name).await
        };
        let looked = tokio::time::timeout(RECONCILE_DEADLINE, look).await;
        looked.unwrap_or_else(|_| Err(Refused::Failed("it took too long".to_owned())))
    }
}

async fn look(context: &Context, namespace: &str, name: &str) -> Result<Dump, Refused> {
    let failed = |error: &dyn std::fmt::Display| Refused::Failed(error.to_string());
    let api = Api::<Guarded>::namespaced(context.client.clone(), namespace);
    let found = api.get_opt(name).await.map_err(|error| failed(&error))?;
    let DeserializeGuard(cluster) =
        found.ok_or_else(|| Refused::NotFound(format!("{namespace}/{name}")))?;
    let cluster: KvCluster = cluster.map_err(|unreadable| Refused::Invalid(unreadable.error))?;
    let valid =
        check(&cluster, context).map_err(|invalid| Refused::Invalid(invalid.to_string()))?;
    if valid.class != context.class {
        let class = valid.class.as_deref().unwrap_or("none");
        let text = format!("KvCluster {namespace}/{name} has the class {class}: ask its operator");
        return Err(Refused::Invalid(text));
    }
    let sight = observe::observe(context.eyes(), &cluster, &valid, fresh_cluster_id())
        .await
        .map_err(|error| failed(&error))?;
    Ok(Dump::new(
        namespace,
        name,
        unix_seconds(),
        valid.spec,
        sight.observed,
    ))
}
