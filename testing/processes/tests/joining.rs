//! Goal: a member in join mode does nothing by itself, and forms a cluster
//! exactly once, when told to.
//! Method: real processes in join mode, and the admin API as the operator uses it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_processes::limits::READY_TIMEOUT;
use kvorum_processes::{Client, Cluster, Program};
use kvorum_proto::admin::{
    InitialMember, InitializeRequest, InspectRequest, InspectResponse, MemberState,
};
use std::time::{Duration, Instant};

const CLUSTER_ID: u64 = 0x00c0_ffee_0000_0001;

fn lay_out(size: u8) -> Cluster {
    let mut cluster = Cluster::lay_out(&Program::kvorum(), size, &["--join"]);
    for (i, member) in cluster.members.iter_mut().enumerate() {
        member.drop_flag("initial-cluster");
        member.drop_flag("initial-cluster-state");
        member.set_flag("cluster-id", &format!("{CLUSTER_ID:016x}"));
        member.set_flag("member-id", &(i + 1).to_string());
        member.start().unwrap();
    }
    cluster
}

async fn inspect(cluster: &Cluster, i: usize) -> InspectResponse {
    let client = Client::new(&cluster.members[i].peer_endpoint());
    let until = Instant::now() + READY_TIMEOUT;
    loop {
        match client.admin().inspect(InspectRequest {}).await {
            Ok(response) => return response.into_inner(),
            Err(status) => assert!(Instant::now() < until, "{status}: {}", cluster.printed()),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn request(cluster: &Cluster) -> InitializeRequest {
    let mut members = Vec::new();
    for (i, member) in cluster.members.iter().enumerate() {
        let seen = inspect(cluster, i).await;
        assert_eq!(seen.state(), MemberState::Waiting);
        assert!(!seen.initialized && !seen.ready);
        members.push(InitialMember {
            id: seen.member_id,
            name: member.name.clone(),
            peer_urls: vec![format!("http://{}", member.peer_endpoint())],
            client_urls: vec![format!("http://{}", member.endpoint())],
            zone: format!("zone-{i}"),
            store_uuid: seen.store_uuid,
        });
    }
    InitializeRequest {
        cluster_id: CLUSTER_ID,
        members,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_wait_until_initialized_and_only_once() {
    let mut cluster = lay_out(3);
    let request = request(&cluster).await;
    let refused = cluster.members[0]
        .client()
        .put("early", "1")
        .await
        .unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable);
    let admin = Client::new(&cluster.members[0].peer_endpoint());
    let first = admin
        .admin()
        .initialize(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert!(!first.already_initialized);
    let again = admin
        .admin()
        .initialize(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert!(again.already_initialized);
    cluster.wait_ready().await;
    // Also through another member: it has the cluster in its log now.
    let other = Client::new(&cluster.members[1].peer_endpoint());
    let other = other
        .admin()
        .initialize(request)
        .await
        .unwrap()
        .into_inner();
    assert!(other.already_initialized);
    cluster.members[2].client().put("k", "v").await.unwrap();
    // Ready once its name and data directory are known to the cluster.
    let until = Instant::now() + READY_TIMEOUT;
    let seen = loop {
        let seen = inspect(&cluster, 1).await;
        if seen.ready {
            break seen;
        }
        assert!(Instant::now() < until, "{}", cluster.printed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(seen.cluster_id, CLUSTER_ID);
    assert_eq!(seen.members.iter().filter(|m| m.voter).count(), 3);
    assert!(seen.initialized && !seen.joint);
    // A restart finds the cluster again, without anybody's help.
    for member in &mut cluster.members {
        member.kill();
        member.start().unwrap();
    }
    cluster.wait_ready().await;
    assert_eq!(
        cluster.members[0]
            .client()
            .get("k")
            .await
            .unwrap()
            .as_deref(),
        Some("v")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_initialize_that_does_not_fit_changes_nothing() {
    let cluster = lay_out(3);
    let good = request(&cluster).await;
    let admin = Client::new(&cluster.members[0].peer_endpoint());
    let mut even = good.clone();
    even.members.pop();
    let mut foreign = good.clone();
    foreign.cluster_id += 1;
    let mut new_disk = good.clone();
    new_disk.members[0].store_uuid = "another".to_owned();
    for (bad, word) in [
        (even, "odd"),
        (foreign, "belongs to cluster"),
        (new_disk, "data directory"),
    ] {
        let status = admin.admin().initialize(bad).await.unwrap_err();
        assert!(status.message().contains(word), "{status}");
    }
    assert_eq!(inspect(&cluster, 0).await.state(), MemberState::Waiting);
    admin.admin().initialize(good).await.unwrap();
    cluster.wait_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_member_is_refused_and_the_others_go_on() {
    let mut cluster = lay_out(3);
    let request = request(&cluster).await;
    let admin = Client::new(&cluster.members[0].peer_endpoint());
    admin.admin().initialize(request).await.unwrap();
    cluster.wait_ready().await;
    cluster.members[2].kill();
    std::fs::remove_dir_all(&cluster.members[2].data_dir).unwrap();
    cluster.members[2].start().unwrap();
    let client = cluster.members[0].client();
    client.put_until("after", "1", READY_TIMEOUT).await;
    cluster.members[2].prints("must not be used again").await;
    assert_eq!(inspect(&cluster, 2).await.state(), MemberState::Waiting);
    assert!(cluster.members[2].client().get("after").await.is_err());
}
