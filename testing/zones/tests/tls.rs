//! Goal: TLS by the operator holds over a cluster's life: a cluster is born with it; a cluster that lives gets it
//! and loses it again, and changes its CAs, without a moment without quorum and without a write lost.
//! Method: clients that write without pause, first without TLS, as they are allowed to while they are moved.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kvorum_api::TlsStatus;
use kvorum_processes::Client;
use kvorum_zones::cluster::{Cluster, Space};
use kvorum_zones::install;
use kvorum_zones::limits::{OPERATED, READY};
use kvorum_zones::load::Load;
use kvorum_zones::world::{World, until};
use serde_json::json;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// One text of a Secret.
async fn text(cluster: &Cluster<'_>, secret: &str, key: &str) -> String {
    let secret = cluster.space.api::<Secret>().get(secret).await.unwrap();
    String::from_utf8(secret.data.unwrap()[key].0.clone()).unwrap()
}

/// What a client does that has the Secret, and with `shows` its certificate.
async fn secure(cluster: &Cluster<'_>, shows: bool) -> anyhow::Result<Client> {
    let secret = format!("{}-client-tls", cluster.name);
    let endpoint = cluster.served().endpoints().await?.remove(0);
    let ca = text(cluster, &secret, "ca.crt").await;
    let host = format!("{}.{}.svc", cluster.name, cluster.space.name);
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(ca))
        .domain_name(host);
    if shows {
        let (cert, key) = (
            text(cluster, &secret, "tls.crt").await,
            text(cluster, &secret, "tls.key").await,
        );
        tls = tls.identity(Identity::from_pem(cert, key));
    }
    Ok(Client::secure(&endpoint, tls).await?)
}

async fn pods(cluster: &Cluster<'_>) -> Vec<String> {
    let pods = cluster.pods().await.unwrap();
    let mut uids: Vec<String> = pods.iter().filter_map(ResourceExt::uid).collect();
    uids.sort();
    uids
}

/// Waits until the status says of TLS what it should.
async fn stands(cluster: &Cluster<'_>, is: impl Fn(Option<&TlsStatus>) -> bool) {
    until("TLS as it should be", OPERATED, || async {
        let status = cluster.status().await?;
        let settled = status.operation.is_none() && is(status.tls.as_ref());
        Ok(if settled {
            Ok(())
        } else {
            Err(format!("{:?}", status.tls))
        })
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_born_with_tls_and_serves_who_has_the_secret() {
    let Some((world, _)) = World::attach_testbed().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "tls-birth").await.unwrap();
    let wish = json!({ "tls": { "mode": "Auto" } });
    let cluster = space.create("orders", wish).await.unwrap();
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

    let client = secure(&cluster, true).await.unwrap();
    client.put("a", "1").await.unwrap();
    let stranger = secure(&cluster, false).await;
    let refused = match stranger {
        Ok(client) => client.get("a").await.is_err(),
        Err(_) => true,
    };
    assert!(refused, "without a certificate");
    // New members need no certificate of their own, and nobody is restarted for them.
    let before = pods(&cluster).await;
    cluster.change(json!({ "members": 5 })).await.unwrap();
    cluster.settled(OPERATED).await.unwrap();
    let after = pods(&cluster).await;
    assert!(before.iter().all(|pod| after.contains(pod)));
    assert_eq!(after.len(), 5);
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
    stands(&cluster, |tls| {
        tls.is_some_and(|tls| tls.transport == "required")
    })
    .await;
    cluster.settled(OPERATED).await.unwrap();
    told("TLS switched on", &load);
    let client = secure(&cluster, true).await.unwrap();
    client.put("secure", "1").await.unwrap();

    let before = (
        pods(&cluster).await,
        text(&cluster, "orders-client-tls", "ca.crt").await,
    );
    cluster
        .change(json!({ "tls": { "caGeneration": 1 } }))
        .await
        .unwrap();
    until("another CA, alone", OPERATED, || async {
        let ca = text(&cluster, "orders-client-tls", "ca.crt").await;
        let status = cluster.status().await?;
        let stands = status.tls.map(|tls| tls.authorities).unwrap_or_default();
        let over = stands == "Steady" && !ca.contains(&before.1);
        Ok(if over { Ok(()) } else { Err(stands) })
    })
    .await
    .unwrap();
    told("CAs changed", &load);
    assert_eq!(pods(&cluster).await, before.0, "no pod was made anew");
    let client = secure(&cluster, true).await.unwrap();
    assert_eq!(client.get("secure").await.unwrap().as_deref(), Some("1"));
    load.more(100).await.unwrap();

    cluster
        .change(json!({ "tls": { "mode": "Disabled" } }))
        .await
        .unwrap();
    stands(&cluster, |tls| tls.is_none()).await;
    cluster.settled(OPERATED).await.unwrap();
    told("TLS switched off", &load);
    println!(
        "{} acknowledged writes, none lost",
        load.check().await.unwrap()
    );
    space.finish().await.unwrap();
}
