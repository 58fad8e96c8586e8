//! Goal: what Kubernetes cannot satisfy is said in words, changes nothing, and leaves other clusters alone.
//! Method: a KvCluster that cannot work beside one that does; then the world, or the spec, is put right.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::{Api, ResourceExt};
use kvorum_zones::cluster::{Cluster, Space};
use kvorum_zones::install;
use kvorum_zones::limits::{CONDITION, READY};
use kvorum_zones::world::World;
use serde_json::json;

async fn prepared(purpose: &str) -> Option<Space> {
    let world = World::attach().await?;
    install::operator(&world).await.unwrap();
    Some(Space::new(&world, purpose).await.unwrap())
}

/// It is stalled for this reason, says these words in an event too, and has created nothing.
async fn stalls(cluster: &Cluster<'_>, reason: &str, words: &str) {
    let (found, message) = cluster
        .condition("Stalled", "True", CONDITION)
        .await
        .unwrap();
    println!("{found}: {message}");
    assert_eq!(found, reason);
    assert!(message.contains(words), "{message}");
    let (ready, _) = cluster
        .condition("Ready", "False", CONDITION)
        .await
        .unwrap();
    assert_eq!(ready, reason);
    assert_eq!(cluster.pods().await.unwrap().len(), 0);
    assert_eq!(cluster.volumes().await.unwrap().len(), 0);
    assert_eq!(
        cluster.status().await.unwrap().cluster_id,
        None,
        "nothing is reserved"
    );
    let events = cluster.space.api::<k8s_openapi::api::events::v1::Event>();
    let told = kvorum_zones::world::until("an event", CONDITION, || async {
        let events = events.list(&ListParams::default()).await?.items;
        let told = events
            .into_iter()
            .find(|event| event.reason.as_deref() == Some(reason));
        Ok(told.ok_or_else(|| "no such event".to_owned()))
    });
    assert_eq!(told.await.unwrap().type_.as_deref(), Some("Warning"));
}

#[tokio::test]
async fn too_few_zones_is_a_condition_and_other_clusters_go_on() {
    let Some(space) = prepared("few-zones").await else {
        return;
    };
    let spec = json!({ "placement": { "zoneSpread": "Required", "topologyKey": "example.org/no-such-label" } });
    let stuck = space.create("stuck", spec).await.unwrap();
    stalls(&stuck, "NotEnoughZones", "example.org/no-such-label").await;
    let listed = json!({ "placement": { "zones": ["zone-a", "zone-b", "atlantis"] } });
    let listed = space.create("listed", listed).await.unwrap();
    let (_, message) = listed
        .condition("PlacementSatisfied", "False", CONDITION)
        .await
        .unwrap();
    assert!(message.contains("atlantis"), "{message}");
    let fine = space.create("fine", json!({ "members": 1 })).await.unwrap();
    fine.ready(READY).await.unwrap();
    space.finish().await.unwrap();
}

#[tokio::test]
async fn a_missing_storage_class_is_a_condition_until_it_is_there() {
    let Some(space) = prepared("no-class").await else {
        return;
    };
    let class = format!("late-{:06x}", rand::random::<u32>() & 0x00ff_ffff);
    let spec = json!({ "members": 1, "storage": { "size": "1Gi", "className": class } });
    let stuck = space.create("stuck", spec).await.unwrap();
    stalls(&stuck, "StorageClassMissing", &class).await;
    let fine = space.create("fine", json!({ "members": 1 })).await.unwrap();
    fine.ready(READY).await.unwrap();

    // A copy of the default class under the missing name puts the world right.
    let classes = Api::<StorageClass>::all(space.world.client.clone());
    let default = "storageclass.kubernetes.io/is-default-class";
    let all = classes.list(&ListParams::default()).await.unwrap().items;
    let mut copy = all
        .into_iter()
        .find(|class| class.annotations().contains_key(default))
        .unwrap();
    copy.metadata = ObjectMeta {
        name: Some(class.clone()),
        ..ObjectMeta::default()
    };
    classes.create(&PostParams::default(), &copy).await.unwrap();
    stuck.ready(READY).await.unwrap();
    space.finish().await.unwrap();
    classes
        .delete(&class, &DeleteParams::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_service_of_somebody_else_is_not_taken_over() {
    let Some(space) = prepared("name-taken").await else {
        return;
    };
    let service = Service {
        metadata: ObjectMeta {
            name: Some("orders".to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            selector: Some([("app".to_owned(), "shop".to_owned())].into()),
            ports: Some(vec![ServicePort {
                port: 80,
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    };
    let services = space.api::<Service>();
    let before = services
        .create(&PostParams::default(), &service)
        .await
        .unwrap();
    let stuck = space
        .create("orders", json!({ "members": 1 }))
        .await
        .unwrap();
    stalls(&stuck, "NameTaken", "Service orders").await;
    let after = services.get("orders").await.unwrap();
    assert_eq!(
        after.metadata.resource_version, before.metadata.resource_version,
        "untouched"
    );
    services
        .delete("orders", &DeleteParams::default())
        .await
        .unwrap();
    stuck.ready(READY).await.unwrap();
    space.finish().await.unwrap();
}

#[tokio::test]
async fn an_overlay_that_fits_no_pod_is_a_condition() {
    let Some(space) = prepared("overlay").await else {
        return;
    };
    let spec = json!({ "members": 1, "podOverlay": { "spec": { "hostNetwork": "perhaps" } } });
    let stuck = space.create("stuck", spec).await.unwrap();
    let (reason, message) = stuck.condition("Stalled", "True", CONDITION).await.unwrap();
    println!("{reason}: {message}");
    assert_eq!(reason, "InvalidPodOverlay");
    space.finish().await.unwrap();
}
