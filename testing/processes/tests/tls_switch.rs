//! Goal: TLS is switched on and off on a cluster that lives, one restart after the other, without losing a
//! write or a quorum; and with TLS the admin API is for its callers alone.
//! Method: real processes in join mode under load, each restarted with the flags that the operator gives.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_processes::limits::{POLL, READY_TIMEOUT};
use kvorum_processes::load::Load;
use kvorum_processes::{Authority, Client, Joined, Pair};
use kvorum_proto::admin::{InspectRequest, InspectResponse};
use std::time::Instant;
use tonic::Code;

/// The name that the operator's certificate has.
const OPERATOR: &str = "operator.orders.default.kvorum";

struct Certificates {
    clients: Authority,
    peers: Authority,
    operator: Pair,
    dir: tempfile::TempDir,
}

impl Certificates {
    fn new() -> Self {
        let peers = Authority::new();
        Self {
            clients: Authority::new(),
            operator: peers.sign("operator", &[OPERATOR]),
            peers,
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Has the member at a place speak TLS as `peer_tls` says from its next start on.
    fn give(&self, joined: &mut Joined, place: usize, peer_tls: &str) {
        let member = &mut joined.cluster.members[place];
        let (endpoint, peer) = (member.endpoint(), member.peer_endpoint());
        let address = member.place.address.clone();
        let scheme = if peer_tls == "required" {
            "https"
        } else {
            "http"
        };
        member.set_flag("peer-tls", peer_tls);
        member.set_flag("initial-advertise-peer-urls", &format!("{scheme}://{peer}"));
        if peer_tls == "off" {
            member.set_flag("listen-client-urls", &format!("http://{endpoint}"));
            member.drop_flag("client-tls-permissive");
            return;
        }
        member.set_flag("listen-client-urls", &format!("https://{endpoint}"));
        member.set_flag("client-tls-permissive", "true");
        member.set_flag("admin-cert-allowed-hostname", OPERATOR);
        let server = self.clients.sign("server", &[&address]);
        let peer = self.peers.sign("peer", &[&address]);
        for (flag, text) in [
            ("cert-file", &server.cert),
            ("key-file", &server.key),
            ("trusted-ca-file", &self.clients.pem),
            ("peer-cert-file", &peer.cert),
            ("peer-key-file", &peer.key),
            ("peer-trusted-ca-file", &self.peers.pem),
        ] {
            let path = self.file(&format!("{place}-{flag}"), text);
            member.set_flag(flag, &path);
        }
    }

    /// What the member at a place says, asked as the operator does it.
    async fn inspect(&self, joined: &Joined, place: usize) -> Option<InspectResponse> {
        let endpoint = joined.cluster.members[place].peer_endpoint();
        let tls = self.peers.client(Some(&self.operator));
        let client = match Client::secure(&endpoint, tls).await {
            Ok(client) => client,
            Err(_) => Client::new(&endpoint),
        };
        let answer = client.admin().inspect(InspectRequest {}).await;
        answer.ok().map(tonic::Response::into_inner)
    }

    /// Restarts every member, each after the one before follows again.
    async fn roll(&self, joined: &mut Joined, peer_tls: &str) {
        for place in 0..joined.cluster.members.len() {
            joined.cluster.members[place].terminate().await;
            self.give(joined, place, peer_tls);
            joined.cluster.members[place].start().unwrap();
            self.wait(joined, place, |is| {
                is.ready
                    && is
                        .peer_port
                        .as_ref()
                        .is_some_and(|port| port.mode == peer_tls)
            })
            .await;
        }
    }

    async fn wait(&self, joined: &Joined, place: usize, is: impl Fn(&InspectResponse) -> bool) {
        let until = Instant::now() + READY_TIMEOUT;
        loop {
            let seen = self.inspect(joined, place).await;
            if seen.as_ref().is_some_and(&is) {
                return;
            }
            assert!(
                Instant::now() < until,
                "{seen:?}: {}",
                joined.cluster.printed()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Until every member knows every other by https, or by http.
    async fn wait_schemes(&self, joined: &Joined, https: bool) {
        for place in 0..joined.cluster.members.len() {
            self.wait(joined, place, |is| schemes(is) == [https; 3])
                .await;
        }
    }
}

fn schemes(seen: &InspectResponse) -> Vec<bool> {
    let urls = seen.members.iter().flat_map(|member| &member.peer_urls);
    urls.map(|url| url.starts_with("https://")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_comes_and_goes_on_a_cluster_that_lives() {
    let certificates = Certificates::new();
    let mut joined = Joined::start(3, 3, &[]).await;
    let load = Load::start(&joined.cluster.endpoints(), 4);
    load.more(50, READY_TIMEOUT).await;
    certificates.roll(&mut joined, "permissive").await;
    certificates.roll(&mut joined, "required").await;
    certificates.wait_schemes(&joined, true).await;
    only_the_operator_administers(&joined, &certificates).await;
    load.more(50, READY_TIMEOUT).await;

    certificates.roll(&mut joined, "permissive").await;
    certificates.roll(&mut joined, "off").await;
    certificates.wait_schemes(&joined, false).await;
    load.more(50, READY_TIMEOUT).await;
    let outcome = load.stop().await;
    println!("longest time without a write: {:?}", outcome.longest_gap);
    outcome.verify(&joined.cluster.members[0].client()).await;
}

/// A member's certificate is good for the port and not for the admin API; none is good for nothing.
async fn only_the_operator_administers(joined: &Joined, certificates: &Certificates) {
    let endpoint = joined.cluster.members[0].peer_endpoint();
    let member = certificates.peers.sign("peer", &["127.0.0.1"]);
    let wildcard = certificates
        .peers
        .sign("peer", &["*.orders.default.kvorum"]);
    for pair in [&member, &wildcard] {
        let tls = certificates.peers.client(Some(pair));
        let client = Client::secure(&endpoint, tls).await.unwrap();
        let refused = client.admin().inspect(InspectRequest {}).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
        let words = "--admin-cert-allowed-hostname";
        assert!(refused.message().contains(words), "{refused}");
    }
    let plain = Client::new(&endpoint).admin();
    assert!(plain.clone().inspect(InspectRequest {}).await.is_err());
    let seen = certificates.inspect(joined, 0).await.unwrap();
    let port = seen.peer_port.unwrap();
    assert_eq!((port.certificate.len(), port.trusted.len()), (64, 1));
    assert!(port.not_after_seconds > 0);
}
