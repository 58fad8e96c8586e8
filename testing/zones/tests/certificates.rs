//! Goal: whoever makes the certificates, a cluster is born with them, and makers and CAs change on a cluster that
//! lives: without a pod made anew, without a write lost, and without a moment at which who reads the Secret for
//! clients is refused. What is wrong is said, and reaches no member.
//! Method: cert-manager's own controllers; clients that write without pause, and one that reads its Secret anew
//! and connects, again and again, through every change.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::pin::pin;

use futures::future::{Either, select};
use kvorum_zones::cert_manager::{self, CertManager};
use kvorum_zones::cluster::{Cluster, Space};
use kvorum_zones::install;
use kvorum_zones::limits::{CONDITION, OPERATED, POLL, READY};
use kvorum_zones::load::Load;
use kvorum_zones::world::World;
use serde_json::{Value, json};

/// Changes the spec and waits until clients trust other CAs alone, while newcomers connect without pause.
async fn taken_up(cluster: &Cluster<'_>, what: &str, load: &Load, change: Value) {
    let pods = cluster.pod_uids().await.unwrap();
    let before = cluster.trusted().await.unwrap();
    let _ = load.gap();
    let newcomers = async {
        loop {
            let client = cluster.secure(true).await.unwrap();
            client.put("newcomer", what).await.unwrap();
            tokio::time::sleep(POLL).await;
        }
    };
    let change = async {
        cluster.change(change).await.unwrap();
        cluster.other_authorities(&before).await.unwrap();
    };
    match select(pin!(change), pin!(newcomers)).await {
        Either::Left(((), _)) => {}
        Either::Right(((), _)) => unreachable!("newcomers do not end"),
    }
    let gap = load.gap().as_secs_f64();
    println!("{what}: longest time without an acknowledged write {gap:.2} s");
    assert_eq!(cluster.pod_uids().await.unwrap(), pods, "pods made anew");
    cluster
        .condition("CertificatesValid", "True", CONDITION)
        .await
        .unwrap();
}

/// What a user makes for the mode Secret, all signed by this Issuer.
async fn gives(space: &Space, issuer: &str) {
    let member = format!("*.orders-peers.{}.svc", space.name);
    let service = format!("orders.{}.svc", space.name);
    let operator = format!("operator.orders.{}.kvorum.dev", space.name);
    let all: [(&str, &[String], &[&str]); 4] = [
        ("my-server", &[member.clone(), service], &["server auth"]),
        ("my-peer", &[member], &["server auth", "client auth"]),
        ("my-operator", &[operator], &["client auth"]),
        ("my-client", &[], &["client auth"]),
    ];
    for (name, hosts, usages) in all {
        cert_manager::certificate(space, name, issuer, hosts, usages)
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_others_come_and_go_under_writes() {
    let Some((world, _)) = World::attach_testbed().await else {
        return;
    };
    let Some(mut cert_manager) = CertManager::start(&world).await.unwrap() else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "certificates").await.unwrap();
    for name in ["clients", "peers", "others"] {
        cert_manager::authority(&space, name).await.unwrap();
    }
    let tls = json!({
        "mode": "CertManager",
        "issuerRef": { "name": "clients" },
        "peerIssuerRef": { "name": "peers" },
        "clients": "Permissive",
        "caOverlap": "1s",
    });
    let cluster = space.create("orders", json!({ "tls": tls })).await.unwrap();
    let took = cluster.ready(READY).await.unwrap();
    println!(
        "three members by cert-manager: Ready after {:.1} s",
        took.as_secs_f64()
    );
    let load = Load::start(&cluster).await.unwrap();

    let other = json!({ "tls": { "peerIssuerRef": { "name": "others" }, "issuerRef": { "name": "others" } } });
    taken_up(&cluster, "another issuer", &load, other).await;

    // A Secret that cannot do: said, and nothing else happens.
    gives(&space, "peers").await;
    let given = json!({
        "mode": "Secret",
        "secrets": { "server": "my-server", "peer": "my-operator", "operator": "my-operator", "client": "my-client" },
    });
    let pods = cluster.pod_uids().await.unwrap();
    let trusted = cluster.trusted().await.unwrap();
    cluster.change(json!({ "tls": given })).await.unwrap();
    let said = cluster.condition("CertificatesValid", "False", OPERATED);
    let (reason, message) = said.await.unwrap();
    assert_eq!(reason, "NotTakenUp");
    assert!(
        message.contains(
            "Secret my-operator: tls.crt is not for server auth: have it issued with this extended key usage"
        ),
        "{message}"
    );
    load.more(100).await.unwrap();
    assert_eq!(cluster.trusted().await.unwrap(), trusted);
    assert_eq!(cluster.pod_uids().await.unwrap(), pods);

    let mended = json!({ "tls": { "secrets": { "peer": "my-peer" } } });
    taken_up(&cluster, "given Secrets", &load, mended).await;
    let own = json!({ "tls": { "mode": "Auto" } });
    taken_up(&cluster, "the operator's own", &load, own).await;
    let back = json!({ "tls": { "mode": "CertManager" } });
    taken_up(&cluster, "cert-manager again", &load, back).await;

    cert_manager.lives().unwrap();
    println!(
        "{} acknowledged writes, none lost",
        load.check().await.unwrap()
    );
    space.finish().await.unwrap();
}
