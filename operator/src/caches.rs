//! What the operator keeps in memory: every object it may need, kept fresh by watches.

mod kept;
mod lean;
mod merged;
mod pace;

pub use kept::{Kept, belongs};
use kept::{Touched, kept, watched};

use std::fmt::Debug;
use std::sync::Arc;

use futures::future::{BoxFuture, Shared};
use futures::{FutureExt, StreamExt, TryStreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Node, PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Controller, PredicateConfig, WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use kvorum_api::KvCluster;
use serde::de::DeserializeOwned;

use crate::limits::{PAGE_SIZE, WATCH_SECONDS};
use crate::metrics::Metrics;
use crate::names::{CLUSTER_LABEL, FIELD_MANAGER, MANAGED_BY_LABEL};
use crate::scope::Scope;

/// A KvCluster that may be unreadable: one bad object must not stop all others.
pub type Guarded = DeserializeGuard<KvCluster>;

/// What belongs to a cluster: an object of a kind that Kubernetes knows, in a namespace.
pub trait Ours:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Ours for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// Everything that is kept.
#[derive(Clone)]
pub struct Caches {
    /// Of every cluster's members.
    pub statefulsets: Kept<StatefulSet>,
    /// Of every cluster's members.
    pub pods: Kept<Pod>,
    /// Of every cluster's members.
    pub claims: Kept<PersistentVolumeClaim>,
    /// Two of every cluster.
    pub services: Kept<Service>,
    /// One of every cluster.
    pub budgets: Kept<PodDisruptionBudget>,
    /// One of every cluster.
    pub records: Kept<ConfigMap>,
    /// All of them, where they may be seen.
    pub nodes: Kept<Node>,
    /// All of them, where they may be seen.
    pub classes: Kept<StorageClass>,
    /// What may be seen.
    pub scope: Scope,
}

/// Which KvClusters this operator looks after: those of its class, or those of no class.
#[must_use]
pub fn class_selector(class: Option<&str>) -> String {
    let label = crate::names::CLASS_LABEL;
    class.map_or_else(|| format!("!{label}"), |class| format!("{label}={class}"))
}

/// Starts the watches and ties them to a controller of KvClusters.
#[must_use]
pub fn controller(
    client: &Client,
    scope: &Scope,
    class: Option<&str>,
    metrics: &Arc<Metrics>,
) -> (Controller<Guarded>, Caches) {
    let (all, stream) = clusters(client, scope, class, metrics);
    let controller = Controller::for_stream(stream, all.clone());
    let selector = format!("{MANAGED_BY_LABEL}={FIELD_MANAGER},{CLUSTER_LABEL}");
    let ours = watching().labels(&selector).page_size(PAGE_SIZE);
    let place = (client, scope);
    let (controller, statefulsets) = ours_of(controller, place, &ours, lean::statefulset);
    let (controller, pods) = ours_of(controller, place, &ours, lean::pod);
    let (controller, claims) = ours_of(controller, place, &ours, lean::claim);
    let (controller, services) = ours_of(controller, place, &ours, lean::service);
    let (controller, budgets) = ours_of(controller, place, &ours, lean::budget);
    let (controller, records) = ours_of(controller, place, &ours, |_| {});

    let (controller, nodes, classes) = if scope.sees_nodes() {
        surroundings(controller, client, &all)
    } else {
        (controller, Kept::nothing(), Kept::nothing())
    };
    let caches = Caches {
        statefulsets,
        pods,
        claims,
        services,
        budgets,
        records,
        nodes,
        classes,
        scope: scope.clone(),
    };
    (controller, caches)
}

/// Keeps what is in no namespace; a change triggers a look at every cluster.
fn surroundings(
    controller: Controller<Guarded>,
    client: &Client,
    clusters: &Store<Guarded>,
) -> (Controller<Guarded>, Kept<Node>, Kept<StorageClass>) {
    let (nodes, stream) = kept(
        vec![Api::<Node>::all(client.clone())],
        &[None],
        &watching(),
        |_| {},
    );
    // Heartbeats of nodes change nothing for us.
    let stream = stream.predicate_filter(node_facts, PredicateConfig::default());
    let everyone = clusters.clone();
    let controller = controller.watches_stream(stream, move |_| references(&everyone));
    let classes = vec![Api::<StorageClass>::all(client.clone())];
    let (classes, stream) = kept(classes, &[None], &watching(), |_| {});
    let everyone = clusters.clone();
    let controller = controller.watches_stream(stream, move |_| references(&everyone));
    (controller, nodes, classes)
}

/// Resolves once every cache has been filled; to false if a watch has ended before.
pub type Filled = Shared<BoxFuture<'static, bool>>;

/// Waits for the caches, once for all who wait: a store wakes only the last of several who wait for it, and
/// with each look waiting by itself all but one would wait for ever.
pub fn filled(caches: Caches) -> Filled {
    async move { all_filled(&caches).await }.boxed().shared()
}

async fn all_filled(caches: &Caches) -> bool {
    let Caches {
        statefulsets,
        pods,
        claims,
        services,
        budgets,
        records,
        nodes,
        classes,
        scope: _,
    } = caches;
    futures::try_join!(
        statefulsets.filled(),
        pods.filled(),
        claims.filled(),
        services.filled(),
        budgets.filled(),
        records.filled(),
        nodes.filled(),
        classes.filled(),
    )
    .is_ok()
}

/// Keeps the KvClusters; a change of anything but the status triggers a look.
fn clusters(
    client: &Client,
    scope: &Scope,
    class: Option<&str>,
    metrics: &Arc<Metrics>,
) -> (Store<Guarded>, Touched<Guarded>) {
    let config = watching()
        .labels(&class_selector(class))
        .page_size(PAGE_SIZE);
    let (store, writer) = reflector::store();
    let (metrics, counted) = (Arc::clone(metrics), store.clone());
    let places = scope.places::<Guarded>(client);
    let stream = watched(places, &scope.names(), &config, store.clone())
        .modify(|cluster| cluster.managed_fields_mut().clear())
        .reflect(writer)
        .inspect_ok(move |event| {
            if let watcher::Event::Delete(cluster) = event {
                let namespace = cluster.namespace().unwrap_or_default();
                metrics.forget(&namespace, &cluster.name_any());
            }
            let unreadable = counted
                .state()
                .iter()
                .filter(|cluster| cluster.0.is_err())
                .count();
            metrics.undecodable(unreadable as u64);
        })
        .applied_objects()
        .predicate_filter(cluster_facts, PredicateConfig::default())
        .filter_map(told)
        .boxed();
    (store, stream)
}

/// What of a KvCluster is somebody's wish, not our own word.
fn cluster_facts(cluster: &Guarded) -> Option<u64> {
    let meta = cluster.meta();
    let facts = serde_json::json!([
        meta.uid,
        meta.generation,
        meta.annotations,
        meta.labels,
        meta.finalizers,
        meta.deletion_timestamp,
    ]);
    Some(crate::fingerprint::of(&facts))
}

/// Keeps the objects of one kind that are ours, each made lean before; a change triggers a look at the cluster
/// it belongs to.
fn ours_of<K>(
    controller: Controller<Guarded>,
    (client, scope): (&Client, &Scope),
    config: &watcher::Config,
    lean: fn(&mut K),
) -> (Controller<Guarded>, Kept<K>)
where
    K: Ours,
{
    let (kept, stream) = kept(scope.places::<K>(client), &scope.names(), config, lean);
    let controller = controller.watches_stream(stream, |object: K| {
        let cluster = object.labels().get(CLUSTER_LABEL).cloned()?;
        Some(ObjectRef::<Guarded>::new(&cluster).within(&object.namespace()?))
    });
    (controller, kept)
}

/// Says that a watch failed, and keeps it from the controller: for each failure of one watch, that lets all
/// of them wait, twice as long each time, and each watch has a pace of its own already.
async fn told<K>(event: Result<K, watcher::Error>) -> Option<Result<K, watcher::Error>> {
    if let Err(error) = &event {
        tracing::warn!(%error, "A watch failed and is started again");
    }
    event.ok().map(Ok)
}

/// How every watch asks: for short, so that a connection that died without a word is noticed soon. See
/// [`WATCH_SECONDS`].
fn watching() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS)
}

fn references(clusters: &Store<Guarded>) -> Vec<ObjectRef<Guarded>> {
    let reference = |cluster: &Arc<Guarded>| ObjectRef::from_obj(cluster.as_ref());
    clusters.state().iter().map(reference).collect()
}

/// What of a node matters: labels, whether it takes pods, whether it is ready.
fn node_facts(node: &Node) -> Option<u64> {
    let spec = node.spec.as_ref();
    let facts = serde_json::json!([
        node.labels(),
        spec.map(|spec| (spec.unschedulable, &spec.taints)),
        crate::world::node_is_ready(node),
    ]);
    Some(crate::fingerprint::of(&facts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream::FuturesUnordered;

    #[test]
    fn all_who_wait_for_the_caches_are_told() {
        let (nodes, mut late) = reflector::store();
        let caches = Caches {
            statefulsets: Kept::nothing(),
            pods: Kept::nothing(),
            claims: Kept::nothing(),
            services: Kept::nothing(),
            budgets: Kept::nothing(),
            records: Kept::nothing(),
            nodes: Kept::of_store(nodes),
            classes: Kept::nothing(),
            scope: Scope::default(),
        };
        let filled = filled(caches);
        let mut looks: FuturesUnordered<Filled> = (0..10).map(|_| filled.clone()).collect();
        assert!(looks.next().now_or_never().is_none(), "nodes are not there");
        late.apply_watcher_event(&watcher::Event::Init);
        late.apply_watcher_event(&watcher::Event::InitDone);
        for look in 0..10 {
            assert_eq!(looks.next().now_or_never(), Some(Some(true)), "{look}");
        }
    }
}
