//! Leases over the loss of their leader.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_processes::limits::POLL;
use kvorum_processes::{Client, Cluster, Program};
use kvorum_proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseTimeToLiveRequest, PutRequest,
};

async fn grant(client: &Client, id: i64, ttl: i64) {
    let request = LeaseGrantRequest { ttl, id };
    client.lease().lease_grant(request).await.unwrap();
    let put = PutRequest {
        key: format!("lease-{id}").into(),
        lease: id,
        ..PutRequest::default()
    };
    client.kv().put(put).await.unwrap();
}

async fn left(client: &Client, id: i64) -> i64 {
    let request = LeaseTimeToLiveRequest { id, keys: false };
    loop {
        let answer = client.lease().lease_time_to_live(request).await;
        if let Ok(answer) = answer {
            return answer.into_inner().ttl;
        }
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_keeps_its_time_over_a_change_of_leader() {
    let mut cluster = Cluster::start(&Program::kvorum(), 3, &[]).await;
    let leader = cluster.leader().await;
    let client = cluster.members[(leader + 1) % 3].client();
    grant(&client, 1, 1000).await;
    grant(&client, 2, 1000).await;
    grant(&client, 3, 6).await;
    while left(&client, 1).await > 996 {
        tokio::time::sleep(POLL).await;
    }
    // One of them begins anew, through the log.
    let request = tokio_stream::iter([LeaseKeepAliveRequest { id: 2 }]);
    let mut answers = client.lease().lease_keep_alive(request).await.unwrap();
    let answer = answers.get_mut().message().await.unwrap().unwrap();
    assert_eq!(answer.ttl, 1000);
    cluster.members[leader].kill();
    let (old, renewed) = (left(&client, 1).await, left(&client, 2).await);
    assert!(old <= 996, "it began again with the new leader: {old}");
    assert!(renewed > old, "the renewal counts: {renewed} after {old}");
    // And the short one ends, although its leader died meanwhile.
    while client
        .get("lease-3")
        .await
        .unwrap_or(Some(String::new()))
        .is_some()
    {
        tokio::time::sleep(POLL).await;
    }
    assert_eq!(left(&client, 3).await, -1);
}
