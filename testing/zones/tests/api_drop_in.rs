//! Goal: a kube-apiserver works on our members as on etcd: thousands of objects are created, listed,
//! watched, scaled and deleted while the leader is killed, none is lost, and a watcher is told of each
//! once, in order. Method: a second kube-apiserver with `--etcd-servers` on three members, processes of
//! this machine; kube-rs as the client, trying again as clients do.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::{Error, ResourceExt};
use kvorum_processes::{Cluster, Program};
use kvorum_zones::ApiServer;
use kvorum_zones::limits::{FAILOVER, HEALED, POLL};
use serde_json::json;

const OBJECTS: usize = 3000;
/// Requests under way at a time.
const AT_A_TIME: usize = 32;
const NAMESPACE: &str = "drop-in";

fn name(number: usize) -> String {
    format!("object-{number:05}")
}

/// One request until it works, as every client of Kubernetes does it; `done`: an answer that says that
/// an earlier try has worked.
async fn until_done<T, F>(mut request: impl FnMut() -> F, done: u16, retries: &AtomicUsize)
where
    F: Future<Output = Result<T, Error>>,
{
    let started = Instant::now();
    loop {
        match request().await {
            Ok(_) => return,
            Err(Error::Api(status)) if status.code == done => return,
            Err(error) => assert!(started.elapsed() < HEALED, "{error}"),
        }
        retries.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(POLL).await;
    }
}

/// Does something with every object, and kills the leader when a third of it is done.
async fn for_all<F: Future<Output = ()>>(cluster: &mut Cluster, act: impl Fn(usize) -> F) -> usize {
    let done = AtomicUsize::new(0);
    let all = futures::stream::iter(0..OBJECTS).for_each_concurrent(AT_A_TIME, |number| {
        let doing = act(number);
        async {
            doing.await;
            done.fetch_add(1, Ordering::Relaxed);
        }
    });
    let killing = async {
        while done.load(Ordering::Relaxed) < OBJECTS / 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let leader = cluster.leader().await;
        cluster.members[leader].kill();
        leader
    };
    let ((), killed) = tokio::join!(all, killing);
    cluster.members[killed].start().unwrap();
    cluster.wait_ready().await;
    killed
}

/// What a watcher was told: the kind of event, the object, its revision.
type Told = Vec<(&'static str, String, u64)>;

/// Watches until it was told of so many events, going on from the last one where a watch ends.
async fn watch(api: Api<ConfigMap>, from: String, events: usize) -> (Told, usize) {
    let (mut told, mut from, mut watches) = (Told::new(), from, 0);
    let started = Instant::now();
    while told.len() < events {
        assert!(
            started.elapsed() < 2 * HEALED,
            "told of {} only",
            told.len()
        );
        watches += 1;
        let Ok(stream) = api.watch(&WatchParams::default(), &from).await else {
            tokio::time::sleep(POLL).await;
            continue;
        };
        let mut stream = stream.boxed();
        while told.len() < events
            && let Ok(Some(event)) = stream.try_next().await
        {
            let (kind, object) = match event {
                WatchEvent::Added(object) => ("added", object),
                WatchEvent::Modified(object) => ("modified", object),
                WatchEvent::Deleted(object) => ("deleted", object),
                WatchEvent::Bookmark(_) => continue,
                WatchEvent::Error(error) => panic!("the watch broke for good: {error:?}"),
            };
            from = object.resource_version().unwrap();
            told.push((kind, object.name_any(), from.parse().unwrap()));
        }
    }
    (told, watches)
}

async fn listed(api: &Api<ConfigMap>) -> BTreeSet<String> {
    let (mut names, mut params) = (BTreeSet::new(), ListParams::default().limit(500));
    loop {
        let page = api.list(&params).await.unwrap();
        let token = page
            .metadata
            .continue_
            .clone()
            .filter(|token| !token.is_empty());
        for object in page {
            assert!(names.insert(object.name_any()), "listed twice");
        }
        match token {
            Some(token) => params = params.continue_token(&token),
            None => return names,
        }
    }
}

async fn scaled(server: &ApiServer) {
    let api: Api<Deployment> = Api::namespaced(server.client.clone(), NAMESPACE);
    let deployment = serde_json::from_value(json!({
        "metadata": {"name": "scaled"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "scaled"}},
            "template": {
                "metadata": {"labels": {"app": "scaled"}},
                "spec": {"containers": [{"name": "one", "image": "one"}]},
            },
        },
    }));
    api.create(&PostParams::default(), &deployment.unwrap())
        .await
        .unwrap();
    let patch = Patch::Merge(json!({"spec": {"replicas": 5}}));
    api.patch_scale("scaled", &PatchParams::default(), &patch)
        .await
        .unwrap();
    let replicas = api.get("scaled").await.unwrap().spec.replicas;
    assert_eq!(replicas, Some(5));
}

/// Whether each object was told of once as it came and once as it went, in the order of revisions.
fn told_once(told: &Told) {
    assert!(told.windows(2).all(|w| w[0].2 < w[1].2), "not in order");
    let mut of_each: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (kind, name, _) in told {
        of_each.entry(name.clone()).or_default().push(kind);
    }
    assert_eq!(of_each.len(), OBJECTS);
    let wrong = of_each
        .iter()
        .find(|(_, kinds)| **kinds != ["added", "deleted"]);
    assert_eq!(wrong, None, "each is told of once");
}

#[tokio::test(flavor = "multi_thread")]
async fn drop_in() {
    let Some(program) = ApiServer::program() else {
        return;
    };
    let mut cluster = Cluster::start(&Program::kvorum(), 3, &[]).await;
    let address = &cluster.members[0].place.address;
    let server = ApiServer::start(&program, address, &cluster.endpoints())
        .await
        .unwrap();
    let retries = Arc::new(AtomicUsize::new(0));
    let namespaces: Api<Namespace> = Api::all(server.client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}})).unwrap();
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    let api: Api<ConfigMap> = Api::namespaced(server.client.clone(), NAMESPACE);
    let from = api.list(&ListParams::default()).await.unwrap();
    let from = from.metadata.resource_version.unwrap();
    let watching = tokio::spawn(watch(api.clone(), from, 2 * OBJECTS));

    let started = Instant::now();
    let parameters = PostParams::default();
    let killed = for_all(&mut cluster, |number| {
        let (api, parameters, retries) = (&api, &parameters, &retries);
        async move {
            let object =
                json!({"metadata": {"name": name(number)}, "data": {"n": number.to_string()}});
            let object: ConfigMap = serde_json::from_value(object).unwrap();
            until_done(|| api.create(parameters, &object), 409, retries).await;
        }
    });
    let killed = killed.await;
    println!(
        "created {OBJECTS} in {:?}, m{} killed meanwhile",
        started.elapsed(),
        killed + 1
    );
    let all: BTreeSet<String> = (0..OBJECTS).map(name).collect();
    assert_eq!(listed(&api).await, all);
    scaled(&server).await;

    let started = Instant::now();
    let parameters = DeleteParams::default();
    let killed = for_all(&mut cluster, |number| {
        let (api, parameters, retries, name) = (&api, &parameters, &retries, name(number));
        async move { until_done(|| api.delete(&name, parameters), 404, retries).await }
    });
    let killed = killed.await;
    println!(
        "deleted {OBJECTS} in {:?}, m{} killed meanwhile",
        started.elapsed(),
        killed + 1
    );
    assert_eq!(listed(&api).await, BTreeSet::new());

    let told = tokio::time::timeout(FAILOVER, watching).await;
    let (told, watches) = told
        .expect("the watcher was not told of everything")
        .unwrap();
    println!(
        "{} events by {watches} watches; {} requests tried again",
        told.len(),
        retries.load(Ordering::Relaxed)
    );
    told_once(&told);
}
