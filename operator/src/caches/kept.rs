//! Objects of one kind as the watches tell them, found by name or by the cluster they belong to.
//!
//! kube's store finds by name alone: with many clusters, going through everybody's objects at each look would
//! be most of the look.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use kube::runtime::reflector::store::{Writer, WriterDropped};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use parking_lot::RwLock;
use serde::de::DeserializeOwned;

use super::{merged, pace, told};
use crate::names::{CLUSTER_LABEL, Names};

/// Objects of one kind.
#[derive(Clone, Debug)]
pub struct Kept<K: Resource<DynamicType = ()> + Clone + 'static> {
    store: Store<K>,
    index: Arc<RwLock<Index>>,
}

/// The names of objects, by namespace and name of the cluster that they belong to.
type Named = HashMap<String, BTreeSet<String>>;

#[derive(Debug, Default)]
struct Index {
    named: Named,
    /// Those of a list that is under way.
    listed: Named,
}

fn key(namespace: &str, cluster: &str) -> String {
    format!("{namespace}/{cluster}")
}

fn add<K: Resource>(named: &mut Named, object: &K) {
    if let (Some(namespace), Some(cluster)) =
        (&object.meta().namespace, object.labels().get(CLUSTER_LABEL))
    {
        let names = named.entry(key(namespace, cluster)).or_default();
        names.insert(object.name_any());
    }
}

fn remove<K: Resource>(named: &mut Named, object: &K) {
    if let (Some(namespace), Some(cluster)) =
        (&object.meta().namespace, object.labels().get(CLUSTER_LABEL))
    {
        let key = key(namespace, cluster);
        if let Some(names) = named.get_mut(&key) {
            names.remove(&object.name_any());
            if names.is_empty() {
                named.remove(&key);
            }
        }
    }
}

impl Index {
    /// Follows what the store does at the same event.
    fn follow<K: Resource>(&mut self, event: &Event<K>) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(object) => add(&mut self.listed, object),
            Event::InitDone => self.named = std::mem::take(&mut self.listed),
            Event::Apply(object) => add(&mut self.named, object),
            Event::Delete(object) => remove(&mut self.named, object),
        }
    }
}

/// Whether an object is labelled as one of this cluster's.
pub fn belongs<K: Resource>(object: &K, names: &Names) -> bool {
    object.meta().namespace.as_deref() == Some(&names.namespace)
        && object.labels().get(CLUSTER_LABEL) == Some(&names.cluster)
}

impl<K> Kept<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    /// Nothing, filled.
    pub(super) fn nothing() -> Self {
        let (store, mut writer) = reflector::store();
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitDone);
        Self::of_store(store)
    }

    pub(super) fn of_store(store: Store<K>) -> Self {
        let index = Arc::default();
        Self { store, index }
    }

    /// The object of this name.
    #[must_use]
    pub fn get(&self, name: &ObjectRef<K>) -> Option<Arc<K>> {
        self.store.get(name)
    }

    /// All objects.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<K>> {
        self.store.state()
    }

    /// The objects of a cluster, by name.
    #[must_use]
    pub fn of(&self, cluster: &Names) -> Vec<Arc<K>> {
        let index = self.index.read();
        let names = index
            .named
            .get(&key(&cluster.namespace, &cluster.cluster))
            .into_iter()
            .flatten();
        names
            .filter_map(|name| {
                self.get(&ObjectRef::new(name).within(&cluster.namespace))
                    // Its label may be another by now.
                    .filter(|object| belongs(object.as_ref(), cluster))
            })
            .collect()
    }

    /// Keeps what is told. The index goes first: whoever hears from the store that everything is there must
    /// find everything.
    fn following<S>(
        &self,
        told: S,
        writer: Writer<K>,
    ) -> impl Stream<Item = merged::Told<K>> + use<K, S>
    where
        S: Stream<Item = merged::Told<K>>,
    {
        let index = Arc::clone(&self.index);
        told.inspect_ok(move |event| index.write().follow(event))
            .reflect(writer)
    }

    /// Waits until everything was listed once; false if the watch has ended before.
    pub(super) async fn filled(&self) -> Result<(), WriterDropped> {
        self.store.wait_until_ready().await
    }
}

pub(super) type Touched<K> = BoxStream<'static, Result<K, watcher::Error>>;

/// One watch of all places, tried again where it fails.
pub(super) fn watched<K>(
    places: Vec<Api<K>>,
    namespaces: &[Option<String>],
    config: &watcher::Config,
    store: Store<K>,
) -> BoxStream<'static, merged::Told<K>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let watches = places
        .into_iter()
        .map(|place| watcher(place, config.clone()).backoff(pace::pace()).boxed());
    merged::merged(namespaces, watches.collect(), store)
}

/// Keeps the objects of one kind, each made lean before.
pub(super) fn kept<K>(
    places: Vec<Api<K>>,
    namespaces: &[Option<String>],
    config: &watcher::Config,
    lean: fn(&mut K),
) -> (Kept<K>, Touched<K>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let kept = Kept::of_store(store.clone());
    let told_events = watched(places, namespaces, config, store)
        // Half of the metadata, and of no use to us.
        .modify(move |object| {
            object.managed_fields_mut().clear();
            lean(object);
        });
    let stream = kept
        .following(told_events, writer)
        .touched_objects()
        .filter_map(told)
        .boxed();
    (kept, stream)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    use super::*;
    use futures::{FutureExt, stream};
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    fn object(name: &str, cluster: &str) -> ConfigMap {
        let labels = json!({ CLUSTER_LABEL: cluster });
        serde_json::from_value(
            json!({ "metadata": { "namespace": "shop", "name": name, "labels": labels } }),
        )
        .unwrap()
    }

    /// The names of a cluster's objects after these events.
    fn after(events: Vec<Event<ConfigMap>>, cluster: &str) -> Vec<String> {
        let (store, mut writer) = reflector::store();
        let kept = Kept::of_store(store);
        for event in events {
            writer.apply_watcher_event(&event);
            kept.index.write().follow(&event);
        }
        let of = kept.of(&Names::new(cluster, "shop"));
        assert!(kept.of(&Names::new(cluster, "other")).is_empty());
        of.iter().map(|object| object.name_any()).collect()
    }

    #[test]
    fn objects_are_found_by_their_cluster() {
        let listed = vec![
            Event::Init,
            Event::InitApply(object("a2", "a")),
            Event::InitApply(object("a1", "a")),
            Event::InitApply(object("b1", "b")),
            Event::InitDone,
        ];
        assert_eq!(after(listed.clone(), "a"), ["a1", "a2"]);
        assert_eq!(after(listed.clone(), "b"), ["b1"]);
        let more = |event: Event<ConfigMap>| [listed.clone(), vec![event]].concat();
        assert_eq!(
            after(more(Event::Apply(object("a0", "a"))), "a"),
            ["a0", "a1", "a2"]
        );
        assert_eq!(after(more(Event::Delete(object("a1", "a"))), "a"), ["a2"]);
        // Its label was changed.
        let moved = more(Event::Apply(object("a1", "b")));
        assert_eq!(after(moved.clone(), "a"), ["a2"]);
        assert_eq!(after(moved, "b"), ["a1", "b1"]);
    }

    #[test]
    fn a_list_counts_once_it_is_complete() {
        let mut events = vec![
            Event::Init,
            Event::InitApply(object("old", "a")),
            Event::InitDone,
            Event::Init,
            Event::InitApply(object("new", "a")),
        ];
        assert_eq!(after(events.clone(), "a"), ["old"]);
        events.push(Event::InitDone);
        assert_eq!(after(events, "a"), ["new"]);
    }

    /// Looks how many clusters have objects at the very moment at which it is woken.
    struct Looks(Kept<ConfigMap>, AtomicUsize);

    impl Wake for Looks {
        fn wake(self: Arc<Self>) {
            let found = self.0.index.read().named.len();
            self.1.store(found, Ordering::SeqCst);
        }
    }

    #[test]
    fn who_hears_that_everything_is_there_finds_everything() {
        let (store, writer) = reflector::store();
        let kept = Kept::of_store(store);
        let looks = Arc::new(Looks(kept.clone(), AtomicUsize::new(0)));
        let waker = Arc::clone(&looks).into();
        let mut filled = pin!(kept.filled());
        let polled = filled.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending(), "nothing was listed");
        let listed = vec![
            Event::Init,
            Event::InitApply(object("a1", "a")),
            Event::InitDone,
        ];
        let told = kept.following(stream::iter(listed.into_iter().map(Ok)), writer);
        let all = told.collect::<Vec<_>>().now_or_never();
        assert_eq!(all.map(|all| all.len()), Some(3));
        assert_eq!(looks.1.load(Ordering::SeqCst), 1);
    }
}
