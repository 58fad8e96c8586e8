//! Members come and go by etcd's Cluster service, on real processes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_processes::limits::{EXIT_TIMEOUT, POLL};
use kvorum_processes::{Client, Cluster, Program};
use kvorum_proto::etcdserverpb::{
    Member, MemberAddRequest, MemberListRequest, MemberPromoteRequest, MemberRemoveRequest,
    MemberUpdateRequest,
};
use tonic::Status;

async fn add(client: &Client, url: &str, is_learner: bool) -> Result<Member, Status> {
    let request = MemberAddRequest {
        peer_ur_ls: vec![url.to_owned()],
        is_learner,
    };
    let added = client.cluster().member_add(request).await?.into_inner();
    Ok(added.member.unwrap())
}

async fn remove(client: &Client, id: u64) -> Result<Vec<Member>, Status> {
    let removed = client
        .cluster()
        .member_remove(MemberRemoveRequest { id })
        .await?;
    Ok(removed.into_inner().members)
}

async fn promote(client: &Client, id: u64) -> Result<(), Status> {
    let request = MemberPromoteRequest { id };
    client.cluster().member_promote(request).await.map(|_| ())
}

async fn members(client: &Client) -> Vec<Member> {
    let request = MemberListRequest { linearizable: true };
    let listed = client.cluster().member_list(request).await.unwrap();
    listed.into_inner().members
}

async fn id_of(client: &Client) -> u64 {
    client.status().await.unwrap().header.unwrap().member_id
}

fn text(error: Status) -> String {
    error.message().to_owned()
}

/// Waits until the admin view says that so many members have a vote.
async fn wait_for_voters(cluster: &Cluster, count: usize) {
    let admin = Client::new(&cluster.members[0].peer_endpoint());
    loop {
        let seen = admin
            .admin()
            .inspect(kvorum_proto::admin::InspectRequest {})
            .await;
        let seen = seen.unwrap().into_inner();
        if !seen.joint && seen.members.iter().filter(|m| m.voter).count() == count {
            return;
        }
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test]
async fn a_cluster_grows_from_one_to_three_and_shrinks_again() {
    let mut cluster = Cluster::start(&Program::kvorum(), 1, &[]).await;
    let client = cluster.members[0].client();
    cluster.wait_registered().await;
    client.put("before", "1").await.unwrap();
    for size in 2..=3 {
        let place = cluster.lay_out_another();
        let url = cluster.members[place].peer_url();
        let added = add(&client, &url, false).await.unwrap();
        assert!(added.name.is_empty(), "not started yet: {added:?}");
        assert!(!added.is_learner);
        // Nothing waits for the newcomer: it has no vote before it has caught up.
        client.put("between", "2").await.unwrap();
        cluster.members[place].start().unwrap();
        cluster.wait_ready().await;
        wait_for_voters(&cluster, size).await;
        cluster.wait_registered().await;
        let newcomer = cluster.members[place].client();
        assert_eq!(id_of(&newcomer).await, added.id);
        assert_eq!(newcomer.get("before").await.unwrap().as_deref(), Some("1"));
    }
    assert_eq!(members(&client).await.len(), 3);

    let leader = cluster.leader().await;
    let gone = id_of(&cluster.members[leader].client()).await;
    let other = cluster.members[(leader + 1) % 3].client();
    assert_eq!(remove(&other, gone).await.unwrap().len(), 2);
    let status = cluster.members[leader].exited(EXIT_TIMEOUT).await;
    assert!(
        status.success(),
        "a removed member ends by itself: {status}"
    );
    // Started again, it finds out again, and serves nobody meanwhile.
    cluster.members[leader].start().unwrap();
    cluster.members[leader].exited(EXIT_TIMEOUT).await;
    let printed = cluster.members[leader].printed();
    assert!(
        printed.matches("was removed from the cluster").count() >= 2,
        "{printed}"
    );
    other.put("after", "3").await.unwrap();

    // The last but one may go as well, the last may not.
    let at = cluster.leader().await;
    let follower = 3 - leader - at;
    let gone = id_of(&cluster.members[follower].client()).await;
    let last = cluster.members[at].client();
    assert_eq!(remove(&last, gone).await.unwrap().len(), 1);
    cluster.members[follower].exited(EXIT_TIMEOUT).await;
    last.put("alone", "4").await.unwrap();
    let refused = remove(&last, id_of(&last).await).await.unwrap_err();
    assert_eq!(
        refused.message(),
        "etcdserver: re-configuration failed due to not enough started members"
    );
}

#[tokio::test]
async fn a_learner_is_promoted_once_it_is_in_sync() {
    let mut cluster = Cluster::start(&Program::kvorum(), 3, &[]).await;
    cluster.wait_registered().await;
    let client = cluster.members[0].client();
    for i in 0..50 {
        client.put(&format!("key-{i}"), "value").await.unwrap();
    }
    let place = cluster.lay_out_another();
    let url = cluster.members[place].peer_url();
    let learner = add(&client, &url, true).await.unwrap();
    assert!(learner.is_learner);
    let refused = [
        promote(&client, learner.id).await.unwrap_err(),
        add(&client, "http://127.0.0.1:1", true).await.unwrap_err(),
        add(&client, &url, false).await.unwrap_err(),
        promote(&client, 4711).await.unwrap_err(),
    ];
    assert_eq!(
        refused.map(text),
        [
            "etcdserver: can only promote a learner member which is in sync with leader",
            "etcdserver: too many learner members in cluster",
            "etcdserver: Peer URLs already exists",
            "etcdserver: member not found",
        ]
    );
    cluster.members[place].start().unwrap();
    while promote(&client, learner.id).await.is_err() {
        tokio::time::sleep(POLL).await;
    }
    wait_for_voters(&cluster, 4).await;
    assert_eq!(
        promote(&client, learner.id).await.map_err(text),
        Err("etcdserver: can only promote a learner member".to_owned())
    );
}

#[tokio::test]
async fn a_dead_member_goes_while_a_quorum_answers() {
    let mut cluster = Cluster::start(&Program::kvorum(), 3, &[]).await;
    cluster.wait_registered().await;
    let mut ids = Vec::new();
    for member in &cluster.members {
        ids.push(id_of(&member.client()).await);
    }
    let client = cluster.members[2].client();
    cluster.members[0].kill();
    // With one of three dead, no other may go.
    loop {
        let refused = remove(&client, ids[1]).await.unwrap_err();
        if refused.message() == "etcdserver: unhealthy cluster" {
            break;
        }
        tokio::time::sleep(POLL).await;
    }
    assert_eq!(remove(&client, ids[0]).await.unwrap().len(), 2);
    client.put("two", "left").await.unwrap();
    let moved = MemberUpdateRequest {
        id: ids[1],
        peer_ur_ls: vec!["nowhere".to_owned()],
    };
    let refused = client.cluster().member_update(moved).await.unwrap_err();
    assert_eq!(
        refused.message(),
        "etcdserver: given member URLs are invalid"
    );
}
