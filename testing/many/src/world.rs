//! What is there before the operator is: the definition, zones with nodes, volumes; and then the clusters.

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::DeserializeGuard;
use kube::{Api, Client};
use kvorum_api::KvCluster;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::limits::{API_READY, AT_A_TIME, PODS_PER_NODE, POLL};

const ZONES: [&str; 3] = ["zone-a", "zone-b", "zone-c"];
/// Clusters of one namespace.
const PER_NAMESPACE: usize = 100;

/// Waits until `look` finds something.
pub(crate) async fn until<T, F>(
    what: &str,
    deadline: Duration,
    mut look: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<std::result::Result<T, String>>>,
{
    let started = Instant::now();
    loop {
        let seen = match look().await? {
            Ok(found) => return Ok(found),
            Err(seen) => seen,
        };
        if started.elapsed() > deadline {
            bail!("{what}: not within {deadline:?}; last seen: {seen}");
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn create<K>(api: Api<K>, object: Value) -> Result<()>
where
    K: Clone + Debug + Serialize + DeserializeOwned,
{
    let object: K = serde_json::from_value(object).context("an object of ours is wrong")?;
    api.create(&PostParams::default(), &object).await?;
    Ok(())
}

/// Everything but the clusters.
pub(crate) async fn prepare(client: &Client, clusters: usize, members: usize) -> Result<()> {
    let pods = clusters * members;
    unreadable(client).await?;
    define(client, &serde_json::to_value(kvorum_api::crd())?).await?;
    for number in 0..clusters.div_ceil(PER_NAMESPACE) {
        let name = namespace(number * PER_NAMESPACE);
        let api = Api::<Namespace>::all(client.clone());
        create(api, json!({ "metadata": { "name": name } })).await?;
    }
    let class = json!({
        "metadata": {
            "name": "nothing",
            "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
        },
        "provisioner": "kubernetes.io/no-provisioner",
    });
    create(Api::<StorageClass>::all(client.clone()), class).await?;
    let nodes = pods.div_ceil(PODS_PER_NODE).max(ZONES.len() * 2);
    for number in 0..nodes {
        let api = Api::<Node>::all(client.clone());
        let node = node(number);
        create(api.clone(), node.clone()).await?;
        // Every new node is tainted as not ready, and nobody here would take that away.
        let open = Patch::Merge(json!({ "spec": { "taints": null } }));
        let name = node["metadata"]["name"].as_str().unwrap_or_default();
        api.patch(name, &PatchParams::default(), &open).await?;
    }
    let volumes = (0..pods).map(|number| {
        let api = Api::<PersistentVolume>::all(client.clone());
        create(api, volume(number / members, number % members + 1))
    });
    at_a_time(volumes).await
}

/// Installs a definition.
async fn define(client: &Client, definition: &Value) -> Result<()> {
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    let parameters = PatchParams::apply("kvorum-many").force();
    let name = definition["metadata"]["name"].as_str().unwrap_or_default();
    definitions
        .patch(name, &parameters, &Patch::Apply(definition))
        .await?;
    Ok(())
}

/// A KvCluster that the operator cannot read, from a time in which the definition let anything through: the
/// operator must not be stopped by it.
async fn unreadable(client: &Client) -> Result<()> {
    let mut loose = serde_json::to_value(kvorum_api::crd())?;
    let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let mut spec = anything.clone();
    // Objects are selected by it.
    spec["properties"] = json!({ "version": { "type": "string" } });
    loose["spec"]["versions"][0]["schema"]["openAPIV3Schema"] =
        json!({ "type": "object", "properties": { "spec": spec, "status": anything } });
    loose["spec"]["versions"][0]["subresources"] = json!({ "status": {} });
    define(client, &loose).await?;
    let object: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "kvorum.dev/v1alpha1",
        "kind": "KvCluster",
        "metadata": { "name": "unreadable" },
        "spec": { "members": "three" },
    }))?;
    let api = Api::<DynamicObject>::namespaced_with(
        client.clone(),
        "default",
        &ApiResource::erase::<KvCluster>(&()),
    );
    until("the definition is established", API_READY, || async {
        let created = api.create(&PostParams::default(), &object).await;
        Ok(created.map(|_| ()).map_err(|error| error.to_string()))
    })
    .await
}

async fn at_a_time(requests: impl Iterator<Item = impl Future<Output = Result<()>>>) -> Result<()> {
    stream::iter(requests)
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await
}

fn node(number: usize) -> Value {
    let zone = ZONES.get(number % ZONES.len()).copied().unwrap_or("zone-a");
    let room = json!({ "cpu": "256", "memory": "1Ti", "pods": "250" });
    json!({
        "metadata": {
            "name": format!("simulated-{number}"),
            "labels": {
                "topology.kubernetes.io/zone": zone,
                "kubernetes.io/hostname": format!("simulated-{number}"),
            },
        },
        "status": {
            "capacity": room,
            "allocatable": room,
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Simulated",
                "lastHeartbeatTime": "2026-01-01T00:00:00Z",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }],
        },
    })
}

/// Promised to its member: a match among thousands is not what is measured.
fn volume(cluster: usize, member: usize) -> Value {
    json!({
        "metadata": { "name": format!("nothing-{cluster}-{member}") },
        "spec": {
            "capacity": { "storage": "1Gi" },
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "nothing",
            "hostPath": { "path": "/nowhere" },
            "claimRef": {
                "namespace": namespace(cluster),
                "name": format!("cluster-{cluster}-m{member}-data"),
            },
        },
    })
}

/// Of the cluster of this number.
fn namespace(number: usize) -> String {
    format!("team-{}", number / PER_NAMESPACE)
}

/// Creates the clusters from one number up to another.
pub(crate) async fn create_clusters(
    client: &Client,
    numbers: std::ops::Range<usize>,
    members: usize,
) -> Result<()> {
    let requests = numbers.map(|number| {
        let api = Api::<KvCluster>::namespaced(client.clone(), &namespace(number));
        create(
            api,
            json!({
                "apiVersion": "kvorum.dev/v1alpha1",
                "kind": "KvCluster",
                "metadata": { "name": format!("cluster-{number}") },
                "spec": {
                    "members": members,
                    // The members are simulated, and speak no TLS.
                    "tls": { "mode": "Disabled" },
                    "storage": { "size": "1Gi" },
                    "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } },
                },
            }),
        )
    });
    at_a_time(requests).await
}

/// How many clusters are Ready.
pub(crate) async fn ready(client: &Client) -> Result<usize> {
    let clusters = Api::<DeserializeGuard<KvCluster>>::all(client.clone());
    let listed = clusters.list(&ListParams::default()).await?;
    let is_ready = |cluster: &&DeserializeGuard<KvCluster>| {
        let readable = cluster.0.as_ref().ok();
        let status = readable.and_then(|cluster| cluster.status.as_ref());
        status.is_some_and(|status| kvorum_operator::status::is_true(&status.conditions, "Ready"))
    };
    Ok(listed.items.iter().filter(is_ready).count())
}
