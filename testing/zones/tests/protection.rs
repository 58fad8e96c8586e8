//! Goal: what is protected stays, and what must go, goes. Method: the installed chart's policies, a cluster that
//! serves, somebody with all rights, and then the deletion of the whole namespace.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use kvorum_api::KvCluster;
use kvorum_zones::cluster::Space;
use kvorum_zones::install;
use kvorum_zones::limits::{CONDITION, HEALED, READY};
use kvorum_zones::world::{World, until};
use serde_json::json;

fn refusal<T: std::fmt::Debug>(answer: Result<T, kube::Error>) -> String {
    match answer.unwrap_err() {
        kube::Error::Api(status) => status.message.clone(),
        other => panic!("no answer of the API server: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_lives_is_protected_and_holds_no_namespace_up() {
    let Some(world) = World::attach().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "protected").await.unwrap();
    let cluster = space.create("orders", json!({})).await.unwrap();
    cluster.ready(READY).await.unwrap();

    let alice = world.client_as("alice").await.unwrap();
    let (gone, name) = (DeleteParams::default(), &space.name);
    let clusters = Api::<KvCluster>::namespaced(alice.clone(), name);
    let said = refusal(clusters.delete("orders", &gone).await);
    println!("{said}");
    assert!(
        said.contains("set spec.deletionProtection to false"),
        "{said}"
    );
    let claims = Api::<PersistentVolumeClaim>::namespaced(alice.clone(), name);
    let said = refusal(claims.delete("orders-m1-data", &gone).await);
    assert!(said.contains("holds data of KvCluster orders"), "{said}");
    let sets = Api::<StatefulSet>::namespaced(alice.clone(), name);
    let none = Patch::Merge(json!({ "spec": { "replicas": 0 } }));
    let parameters = PatchParams::default();
    let said = refusal(sets.patch_scale("orders-m1", &parameters, &none).await);
    assert!(said.contains("scale the KvCluster instead"), "{said}");
    // A pod is everybody's: it comes back.
    let pods = Api::<Pod>::namespaced(alice.clone(), name);
    pods.delete("orders-m1-0", &gone).await.unwrap();
    cluster.condition("Ready", "True", READY).await.unwrap();

    let namespaces = Api::<Namespace>::all(alice);
    namespaces.delete(name, &gone).await.unwrap();
    until("the namespace is gone", HEALED, || async {
        let left = namespaces.get_opt(name).await?;
        Ok(match left.and_then(|namespace| namespace.status) {
            None => Ok(()),
            Some(status) => Err(format!("{:?}", status.conditions)),
        })
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn protection_is_switched_off_by_the_spec() {
    let Some(world) = World::attach().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "unprotected").await.unwrap();
    let cluster = space
        .create("orders", json!({ "members": 1 }))
        .await
        .unwrap();
    cluster.ready(READY).await.unwrap();
    let alice = world.client_as("alice").await.unwrap();
    let clusters = Api::<KvCluster>::namespaced(alice, &space.name);
    let off = Patch::Merge(json!({ "spec": { "deletionProtection": false } }));
    clusters
        .patch("orders", &PatchParams::default(), &off)
        .await
        .unwrap();
    clusters
        .delete("orders", &DeleteParams::default())
        .await
        .unwrap();
    until("the pod is gone", CONDITION, || async {
        let left = cluster.pods().await?.len();
        Ok(if left == 0 {
            Ok(())
        } else {
            Err(format!("{left} are left"))
        })
    })
    .await
    .unwrap();
    assert_eq!(cluster.volumes().await.unwrap().len(), 1, "its data stays");
    space.finish().await.unwrap();
}
