//! Goal: TLS by the operator holds over a cluster's life: a cluster is born with it; a cluster that lives gets it
//! and loses it again, and changes its CAs, without a moment without quorum and without a write lost.
//! Method: clients that write without pause, first without TLS, as they are allowed to while they are moved.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_zones::cluster::{Cluster, Space};
use kvorum_zones::install;
use kvorum_zones::limits::{OPERATED, READY};
use kvorum_zones::load::Load;
use kvorum_zones::world::World;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_born_with_tls_and_serves_who_has_the_secret() {
    let Some((world, _)) = World::attach_testbed().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "tls-birth").await.unwrap();
    // Nothing is asked for: this is the default.
    let cluster = space.create("orders", json!({ "tls": {} })).await.unwrap();
    let took = cluster.ready(READY).await.unwrap();
    println!(
        "three members with TLS: Ready after {:.1} s",
        took.as_secs_f64()
    );
    let (reason, _) = cluster
        .condition("CertificatesValid", "True", READY)
        .await
        .unwrap();
    assert_eq!(reason, "Valid");
    let status = cluster.status().await.unwrap();
    assert!(
        status
            .endpoints
            .iter()
            .all(|url| url.starts_with("https://"))
    );

    let client = cluster.secure(true).await.unwrap();
    client.put("a", "1").await.unwrap();
    assert!(!serves_strangers(&cluster).await);
    // New members need no certificate of their own, and nobody is restarted for them.
    let before = cluster.pod_uids().await.unwrap();
    cluster.change(json!({ "members": 5 })).await.unwrap();
    cluster.settled(OPERATED).await.unwrap();
    let after = cluster.pod_uids().await.unwrap();
    assert!(before.iter().all(|pod| after.contains(pod)));
    assert_eq!(after.len(), 5);
    space.finish().await.unwrap();
}

/// Whether somebody is served who trusts the CA and shows no certificate.
async fn serves_strangers(cluster: &Cluster<'_>) -> bool {
    match cluster.secure(false).await {
        Ok(client) => client.get("a").await.is_ok(),
        Err(_) => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_need_no_certificate_are_served_until_they_need_one() {
    let Some((world, _)) = World::attach_testbed().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "tls-strangers").await.unwrap();
    let open = json!({ "tls": { "clientAuth": "None" } });
    let cluster = space.create("orders", open.clone()).await.unwrap();
    cluster.ready(READY).await.unwrap();
    assert!(serves_strangers(&cluster).await);

    let closed = json!({ "tls": { "clientAuth": "Required" } });
    cluster.change(closed).await.unwrap();
    cluster.settled(OPERATED).await.unwrap();
    assert!(!serves_strangers(&cluster).await);
    let client = cluster.secure(true).await.unwrap();
    client.put("a", "1").await.unwrap();

    cluster.change(open).await.unwrap();
    cluster.settled(OPERATED).await.unwrap();
    assert!(serves_strangers(&cluster).await);
    space.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_comes_changes_its_cas_and_goes_under_writes() {
    let Some((world, _)) = World::attach_testbed().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "tls-life").await.unwrap();
    let cluster = space.create("orders", json!({})).await.unwrap();
    cluster.ready(READY).await.unwrap();
    let load = Load::start(&cluster).await.unwrap();
    let _ = load.gap();
    let told = |what: &str, load: &Load| {
        let gap = load.gap().as_secs_f64();
        println!("{what}: longest time without an acknowledged write {gap:.2} s");
    };

    let on = json!({ "tls": { "mode": "Auto", "clients": "Permissive", "caOverlap": "1s" } });
    cluster.change(on).await.unwrap();
    let required = cluster.tls_stands(|tls| tls.is_some_and(|tls| tls.transport == "required"));
    required.await.unwrap();
    cluster.settled(OPERATED).await.unwrap();
    told("TLS switched on", &load);
    let client = cluster.secure(true).await.unwrap();
    client.put("secure", "1").await.unwrap();

    let before = (
        cluster.pod_uids().await.unwrap(),
        cluster.trusted().await.unwrap(),
    );
    cluster
        .change(json!({ "tls": { "caGeneration": 1 } }))
        .await
        .unwrap();
    cluster.other_authorities(&before.1).await.unwrap();
    told("CAs changed", &load);
    assert_eq!(
        cluster.pod_uids().await.unwrap(),
        before.0,
        "no pod was made anew"
    );
    let client = cluster.secure(true).await.unwrap();
    assert_eq!(client.get("secure").await.unwrap().as_deref(), Some("1"));
    load.more(100).await.unwrap();

    cluster
        .change(json!({ "tls": { "mode": "Disabled" } }))
        .await
        .unwrap();
    cluster.tls_stands(|tls| tls.is_none()).await.unwrap();
    cluster.settled(OPERATED).await.unwrap();
    told("TLS switched off", &load);
    println!(
        "{} acknowledged writes, none lost",
        load.check().await.unwrap()
    );
    space.finish().await.unwrap();
}
