//! One watch out of several, each of a namespace, so that one store holds what all of them tell.
//!
//! The store is only said to be filled when every namespace was listed; a namespace that is listed again later
//! takes away just what is gone from it.

use std::collections::{HashSet, VecDeque};
use std::fmt::Debug;

use futures::StreamExt;
use futures::stream::{self, BoxStream, SelectAll};
use kube::runtime::reflector::Store;
use kube::runtime::watcher::{self, Event};
use kube::{Resource, ResourceExt};

/// What a watch tells.
pub(super) type Told<K> = Result<Event<K>, watcher::Error>;

struct Merge<K: Resource<DynamicType = ()> + Clone + 'static> {
    /// Not listed yet, in turn.
    fresh: VecDeque<BoxStream<'static, Told<K>>>,
    /// What the first of them has listed so far.
    first: Vec<K>,
    live: SelectAll<BoxStream<'static, (usize, Told<K>)>>,
    /// What a list that is under way has named, for each of the live ones.
    listing: Vec<HashSet<(Option<String>, String)>>,
    /// What was told so far, to see what is gone.
    store: Store<K>,
    out: VecDeque<Told<K>>,
    begun: bool,
}

/// Merges watches of different namespaces; `store` is the one that is filled from the result.
pub(super) fn merged<K>(
    namespaces: &[Option<String>],
    mut watches: Vec<BoxStream<'static, Told<K>>>,
    store: Store<K>,
) -> BoxStream<'static, Told<K>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
{
    if watches.len() == 1
        && let Some(only) = watches.pop()
    {
        return only;
    }
    let namespaces = namespaces.to_vec();
    let merge = Merge {
        fresh: watches.into(),
        first: Vec::new(),
        live: SelectAll::new(),
        listing: Vec::new(),
        store,
        out: VecDeque::new(),
        begun: false,
    };
    stream::unfold((merge, namespaces), |(mut merge, namespaces)| async move {
        let told = merge.next(&namespaces).await?;
        Some((told, (merge, namespaces)))
    })
    .boxed()
}

impl<K> Merge<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
{
    async fn next(&mut self, namespaces: &[Option<String>]) -> Option<Told<K>> {
        loop {
            if let Some(told) = self.out.pop_front() {
                return Some(told);
            }
            if let Some(fresh) = self.fresh.front_mut() {
                let told = fresh.next().await?;
                self.listed_first(told);
            } else {
                let (index, told) = self.live.next().await?;
                self.tell(index, told, namespaces.get(index)?.as_deref());
            }
        }
    }

    /// The first list of a namespace counts as a whole, once it is complete.
    fn listed_first(&mut self, told: Told<K>) {
        match told {
            Ok(Event::Init) => self.first.clear(),
            Ok(Event::InitApply(object) | Event::Apply(object)) => self.first.push(object),
            Ok(Event::Delete(_)) => {}
            Err(error) => self.out.push_back(Err(error)),
            Ok(Event::InitDone) => {
                if !self.begun {
                    self.begun = true;
                    self.out.push_back(Ok(Event::Init));
                }
                let listed = std::mem::take(&mut self.first);
                self.out.extend(
                    listed
                        .into_iter()
                        .map(|object| Ok(Event::InitApply(object))),
                );
                if let Some(watch) = self.fresh.pop_front() {
                    let index = self.listing.len();
                    self.listing.push(HashSet::new());
                    self.live.push(watch.map(move |told| (index, told)).boxed());
                }
                if self.fresh.is_empty() {
                    self.out.push_back(Ok(Event::InitDone));
                }
            }
        }
    }

    /// Later lists are told as changes: what is there, and what of this namespace is not.
    fn tell(&mut self, index: usize, told: Told<K>, namespace: Option<&str>) {
        let Some(listing) = self.listing.get_mut(index) else {
            return;
        };
        match told {
            Ok(Event::Init) => listing.clear(),
            Ok(Event::InitApply(object)) => {
                listing.insert((object.namespace(), object.name_any()));
                self.out.push_back(Ok(Event::Apply(object)));
            }
            Ok(Event::InitDone) => {
                let listing = std::mem::take(listing);
                let gone = self.store.state_filter(|object| {
                    object.namespace().as_deref() == namespace
                        && !listing.contains(&(object.namespace(), object.name_any()))
                });
                self.out.extend(
                    gone.iter()
                        .map(|object| Ok(Event::Delete(object.as_ref().clone()))),
                );
            }
            other => self.out.push_back(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::{WatchStreamExt, reflector};
    use serde_json::json;

    fn object(namespace: &str, name: &str) -> ConfigMap {
        serde_json::from_value(json!({ "metadata": { "namespace": namespace, "name": name } }))
            .unwrap()
    }

    fn names(store: &Store<ConfigMap>) -> Vec<String> {
        let mut names: Vec<String> = store
            .state()
            .iter()
            .map(|object| format!("{}/{}", object.namespace().unwrap(), object.name_any()))
            .collect();
        names.sort();
        names
    }

    /// A store filled by two watches that tell these things and then nothing more.
    async fn filled(one: Vec<Event<ConfigMap>>, two: Vec<Event<ConfigMap>>) -> Store<ConfigMap> {
        let (store, writer) = reflector::store();
        let watch = |told: Vec<Event<ConfigMap>>| stream::iter(told.into_iter().map(Ok)).boxed();
        let names = ["one", "two"].map(|name| Some(name.to_owned()));
        let merged = merged(&names, vec![watch(one), watch(two)], store.clone());
        merged.reflect(writer).collect::<Vec<_>>().await;
        store
    }

    fn list(namespace: &str, names: &[&str]) -> Vec<Event<ConfigMap>> {
        let objects = names
            .iter()
            .map(|name| Event::InitApply(object(namespace, name)));
        [Event::Init]
            .into_iter()
            .chain(objects)
            .chain([Event::InitDone])
            .collect()
    }

    #[tokio::test]
    async fn one_store_holds_what_all_watches_tell() {
        let mut one = list("one", &["a", "b"]);
        one.push(Event::Delete(object("one", "a")));
        let mut two = list("two", &["a"]);
        two.push(Event::Apply(object("two", "c")));
        let store = filled(one, two).await;
        store.wait_until_ready().await.unwrap();
        assert_eq!(names(&store), ["one/b", "two/a", "two/c"]);
    }

    #[tokio::test]
    async fn a_later_list_of_one_namespace_takes_away_only_what_is_gone_there() {
        let one = [list("one", &["a", "b"]), list("one", &["b", "d"])].concat();
        let store = filled(one, list("two", &["a"])).await;
        assert_eq!(names(&store), ["one/b", "one/d", "two/a"]);
    }

    #[tokio::test]
    async fn a_list_that_broke_off_counts_for_nothing() {
        let mut one = list("one", &["gone"]);
        one.pop();
        one.extend(list("one", &["a"]));
        let store = filled(one, list("two", &[])).await;
        assert_eq!(names(&store), ["one/a"]);
    }

    #[tokio::test]
    async fn nothing_is_filled_before_every_namespace_is() {
        let mut two = list("two", &["a"]);
        two.pop();
        let store = filled(list("one", &["a"]), two).await;
        assert_eq!(names(&store), [""; 0], "one namespace is not listed yet");
    }
}
