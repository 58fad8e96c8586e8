//! TLS towards clients and between members: who is let in, and changing certificates.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_processes::limits::{POLL, READY_TIMEOUT};
use kvorum_processes::{Authority, Client, Cluster, Pair, Program};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    // Replaced as a whole, as a mounted Secret is.
    let fresh = dir.join(format!("{name}.new"));
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(&fresh, &path).unwrap();
    path
}

/// Three members that speak nothing but TLS.
fn lay_out(dir: &Path, clients: &Authority, peers: &Authority) -> Cluster {
    let mut cluster = Cluster::lay_out(&Program::kvorum(), 3, &[]);
    let all: Vec<String> = cluster
        .members
        .iter()
        .map(|m| format!("{}=https://{}", m.name, m.peer_endpoint()))
        .collect();
    let client_ca = write(dir, "client-ca.pem", &clients.pem);
    let peer_ca = write(dir, "peer-ca.pem", &peers.pem);
    for member in &mut cluster.members {
        let (name, address) = (member.name.clone(), member.place.address.clone());
        let (client, peer) = (
            clients.sign("server", &[&address]),
            peers.sign("peer", &[&address]),
        );
        let (client_url, peer_url) = (
            format!("https://{}", member.endpoint()),
            format!("https://{}", member.peer_endpoint()),
        );
        let mut file = |flag: &str, path: &Path| member.set_flag(flag, &path.display().to_string());
        let named = |kind: &str| format!("{name}-{kind}.pem");
        file("cert-file", &write(dir, &named("cert"), &client.cert));
        file("key-file", &write(dir, &named("key"), &client.key));
        file("trusted-ca-file", &client_ca);
        file("peer-cert-file", &write(dir, &named("peer"), &peer.cert));
        file("peer-key-file", &write(dir, &named("peer-key"), &peer.key));
        file("peer-trusted-ca-file", &peer_ca);
        member.set_flag("client-cert-auth", "true");
        member.set_flag("peer-client-cert-auth", "true");
        member.set_flag("peer-cert-allowed-cn", "peer");
        for flag in ["listen-client-urls", "advertise-client-urls"] {
            member.set_flag(flag, &client_url);
        }
        for flag in ["listen-peer-urls", "initial-advertise-peer-urls"] {
            member.set_flag(flag, &peer_url);
        }
        member.set_flag("initial-cluster", &all.join(","));
    }
    cluster
}

/// Connects and reads, until it works.
async fn wait_served(cluster: &Cluster, place: usize, tls: &ClientTlsConfig) -> Client {
    let until = Instant::now() + READY_TIMEOUT;
    loop {
        let endpoint = cluster.members[place].endpoint();
        if let Ok(client) = Client::secure(&endpoint, tls.clone()).await
            && client.get("ready").await.is_ok()
        {
            return client;
        }
        assert!(Instant::now() < until, "{}", cluster.printed());
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_shows_a_certificate_is_served_and_certificates_change_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (clients, peers) = (Authority::new(), Authority::new());
    let mut cluster = lay_out(dir.path(), &clients, &peers);
    for member in &mut cluster.members {
        member.start().unwrap();
    }
    let user = clients.sign("user", &[]);
    let client = wait_served(&cluster, 0, &clients.client(Some(&user))).await;
    client.put("a", "1").await.unwrap();
    let other = wait_served(&cluster, 1, &clients.client(Some(&user))).await;
    assert_eq!(other.get("a").await.unwrap().as_deref(), Some("1"));

    let endpoint = cluster.members[0].endpoint();
    let refused = async |tls: ClientTlsConfig| match Client::secure(&endpoint, tls).await {
        Err(_) => true,
        Ok(client) => client.get("a").await.is_err(),
    };
    assert!(refused(clients.client(None)).await, "no certificate");
    let stranger = Authority::new();
    let forged = stranger.sign("user", &[]);
    assert!(refused(clients.client(Some(&forged))).await, "another CA's");
    assert!(
        refused(stranger.client(Some(&user))).await,
        "not our server"
    );
    assert!(Client::new(&endpoint).get("a").await.is_err(), "no TLS");
    let peer_port = cluster.members[0].peer_endpoint();
    let wrong_name = peers.sign("somebody", &[]);
    let inspect = async |pair: &Pair| {
        let admin = Client::secure(&peer_port, peers.client(Some(pair))).await?;
        let request = kvorum_proto::admin::InspectRequest {};
        admin.admin().inspect(request).await?;
        Ok::<_, Box<dyn std::error::Error>>(())
    };
    assert!(inspect(&wrong_name).await.is_err(), "not an allowed name");
    inspect(&peers.sign("peer", &[])).await.unwrap();

    // A new CA: trusted beside the old one first, then its certificates, then alone.
    let next = Authority::new();
    write(
        dir.path(),
        "client-ca.pem",
        &format!("{}{}", clients.pem, next.pem),
    );
    let next_user = next.sign("user", &[]);
    let both = ClientTlsConfig::new()
        .ca_certificates([&clients.pem, &next.pem].map(Certificate::from_pem))
        .identity(Identity::from_pem(&next_user.cert, &next_user.key));
    wait_served(&cluster, 0, &both).await;
    let address = cluster.members[0].place.address.clone();
    let pair = next.sign("server", &[&address]);
    write(dir.path(), "m1-key.pem", &pair.key);
    write(dir.path(), "m1-cert.pem", &pair.cert);
    wait_served(&cluster, 0, &next.client(Some(&next_user))).await;
    write(dir.path(), "client-ca.pem", &next.pem);
    while !refused(next.client(Some(&user))).await {
        tokio::time::sleep(POLL).await;
    }
    client.put("a", "2").await.unwrap();
}
