//! Goal: a member's health follows whether it can serve, and learners tell theirs too.
//! Method: gRPC's health service on real processes that lose and regain their quorum.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_processes::limits::{POLL, READY_TIMEOUT};
use kvorum_processes::{Client, Cluster, Program};
use kvorum_proto::etcdserverpb::MemberAddRequest;
use kvorum_proto::health::health_check_response::ServingStatus;
use kvorum_proto::health::{HealthCheckRequest, HealthCheckResponse, HealthListRequest};
use std::time::Instant;
use tonic::Streaming;

async fn health(client: &Client) -> ServingStatus {
    let request = HealthCheckRequest::default();
    let checked = client.health().check(request).await;
    checked.map_or(ServingStatus::Unknown, |c| c.into_inner().status())
}

async fn becomes(watched: &mut Streaming<HealthCheckResponse>, wanted: ServingStatus) {
    let next = tokio::time::timeout(READY_TIMEOUT, async {
        while watched.message().await.unwrap().unwrap().status() != wanted {}
    });
    next.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_lost_with_the_quorum_and_comes_back() {
    let mut cluster = Cluster::start(&Program::kvorum(), 3, &[]).await;
    cluster.wait_registered().await;
    let client = cluster.members[0].client();
    let mut service = client.health();
    let watched = service.watch(HealthCheckRequest::default()).await;
    let mut watched = watched.unwrap().into_inner();
    becomes(&mut watched, ServingStatus::Serving).await;
    for member in &mut cluster.members[1..] {
        member.kill();
    }
    becomes(&mut watched, ServingStatus::NotServing).await;
    assert_eq!(health(&client).await, ServingStatus::NotServing);
    for member in &mut cluster.members[1..] {
        member.start().unwrap();
    }
    becomes(&mut watched, ServingStatus::Serving).await;
    let listed = client.health().list(HealthListRequest {}).await.unwrap();
    let listed = listed.into_inner().statuses;
    let all: Vec<_> = listed
        .iter()
        .map(|(n, s)| (n.as_str(), s.status()))
        .collect();
    assert_eq!(all, [("", ServingStatus::Serving)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_is_healthy_once_it_has_caught_up() {
    let mut cluster = Cluster::start(&Program::kvorum(), 1, &[]).await;
    cluster.wait_registered().await;
    let place = cluster.lay_out_another();
    let request = MemberAddRequest {
        peer_ur_ls: vec![cluster.members[place].peer_url()],
        is_learner: true,
    };
    let client = cluster.members[0].client();
    client.cluster().member_add(request).await.unwrap();
    cluster.members[place].start().unwrap();
    let learner = cluster.members[place].client();
    let until = Instant::now() + READY_TIMEOUT;
    while health(&learner).await != ServingStatus::Serving {
        assert!(Instant::now() < until, "{}", cluster.printed());
        tokio::time::sleep(POLL).await;
    }
    assert!(learner.status().await.unwrap().is_learner);
}
