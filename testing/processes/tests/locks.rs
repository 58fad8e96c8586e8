//! Goal: whoever waits for a lock goes on waiting while the cluster changes its leader, and gets it.
//! Method: real processes; the leader is killed while somebody waits at another member.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_processes::limits::{POLL, READY_TIMEOUT};
use kvorum_processes::{Client, Cluster, Program};
use kvorum_proto::etcdserverpb::LeaseGrantRequest;
use kvorum_proto::v3lockpb::{LockRequest, UnlockRequest};
use std::time::Instant;
use tonic::Status;

async fn lock(client: &Client, lease: i64) -> Result<Vec<u8>, Status> {
    let request = LockRequest {
        name: b"lock".as_slice().into(),
        lease,
    };
    Ok(client.lock().lock(request).await?.into_inner().key.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_waited_for_over_a_change_of_leader() {
    let mut cluster = Cluster::start(&Program::kvorum(), 3, &[]).await;
    cluster.wait_registered().await;
    let leader = cluster.leader().await;
    let [holder, waiter] = [1, 2].map(|i| cluster.members[(leader + i) % 3].client());
    for id in 1..=2 {
        let request = LeaseGrantRequest { ttl: 600, id };
        holder.lease().lease_grant(request).await.unwrap();
    }
    let held = lock(&holder, 1).await.unwrap();
    let waiting = tokio::spawn({
        let waiter = waiter.clone();
        async move { lock(&waiter, 2).await }
    });
    while waiter.range("lock/", "lock0").await.unwrap().kvs.len() < 2 {
        tokio::time::sleep(POLL).await;
    }
    cluster.members[leader].kill();
    // Two of three go on, and the lock is still held.
    holder.put_until("after", "1", READY_TIMEOUT).await;
    assert!(!waiting.is_finished());
    let until = Instant::now() + READY_TIMEOUT;
    let request = UnlockRequest { key: held.into() };
    while let Err(status) = holder.lock().unlock(request.clone()).await {
        assert!(Instant::now() < until, "{status}");
        tokio::time::sleep(POLL).await;
    }
    assert_eq!(waiting.await.unwrap().unwrap(), b"lock/2");
}
