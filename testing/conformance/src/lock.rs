//! Locks.

use crate::refused;
use kvorum_processes::Client;
use kvorum_proto::etcdserverpb::{LeaseGrantRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest};
use kvorum_proto::v3lockpb::{LockRequest, LockResponse, UnlockRequest};
use std::time::Duration;
use tokio::task::JoinHandle;
use tonic::Code::Unknown;
use tonic::{Response, Status};

const POLL: Duration = Duration::from_millis(20);

/// Grants a lease with this ID.
pub async fn grant(client: &Client, id: i64) {
    let request = LeaseGrantRequest { ttl: 600, id };
    client.lease().lease_grant(request).await.unwrap();
}

/// Ends a lease.
pub async fn revoke(client: &Client, id: i64) {
    let request = LeaseRevokeRequest { id };
    client.lease().lease_revoke(request).await.unwrap();
}

/// Waits until there are so many keys under a prefix that ends in a slash.
pub async fn wait_for_keys(client: &Client, prefix: &str, count: usize) {
    let end = prefix.replace('/', "0");
    while client.range(prefix, &end).await.unwrap().kvs.len() != count {
        tokio::time::sleep(POLL).await;
    }
}

type Locking = JoinHandle<Result<Response<LockResponse>, Status>>;

fn lock(client: &Client, lease: i64) -> Locking {
    let mut service = client.lock();
    tokio::spawn(async move {
        let name = b"l".as_slice().into();
        service.lock(LockRequest { name, lease }).await
    })
}

async fn locked(locking: Locking) -> LockResponse {
    locking.await.unwrap().unwrap().into_inner()
}

async fn unlock(client: &Client, key: &[u8]) -> i64 {
    let request = UnlockRequest {
        key: key.to_vec().into(),
    };
    let unlocked = client.lock().unlock(request).await.unwrap();
    unlocked.into_inner().header.unwrap().revision
}

/// The key is made of the lock's name and the lease; without one, one of a minute is granted.
pub async fn a_lock_has_a_key(client: &Client) {
    grant(client, 0x1f).await;
    let response = locked(lock(client, 0x1f)).await;
    assert_eq!(
        (&response.key[..], response.header.unwrap().revision),
        (&b"l/1f"[..], 2)
    );
    assert_eq!(client.get("l/1f").await.unwrap().as_deref(), Some(""));
    assert_eq!(unlock(client, &response.key).await, 3);
    let response = locked(lock(client, 0)).await;
    let kvs = client.range("l/", "l0").await.unwrap().kvs;
    assert_eq!(kvs.len(), 1);
    assert_eq!(response.key, format!("l/{:x}", kvs[0].lease));
    let request = LeaseTimeToLiveRequest {
        id: kvs[0].lease,
        keys: false,
    };
    let left = client.lease().lease_time_to_live(request).await.unwrap();
    assert_eq!(left.into_inner().granted_ttl, 60);
}

/// Who holds it holds it again, without a change.
pub async fn a_session_may_lock_again(client: &Client) {
    grant(client, 1).await;
    let first = locked(lock(client, 1)).await;
    let second = locked(lock(client, 1)).await;
    assert_eq!(
        (first.key, second.key),
        (b"l/1".as_slice().into(), b"l/1".as_slice().into())
    );
    assert_eq!(second.header.unwrap().revision, 2);
}

/// Another one waits until it is unlocked.
pub async fn the_next_one_gets_the_lock(client: &Client) {
    grant(client, 1).await;
    grant(client, 2).await;
    let first = locked(lock(client, 1)).await;
    let waiting = lock(client, 2);
    wait_for_keys(client, "l/", 2).await;
    // A key beside the lock is not part of it, and other writes go on.
    client.put("l", "x").await.unwrap();
    client.put("l0", "x").await.unwrap();
    assert!(!waiting.is_finished());
    assert_eq!(unlock(client, &first.key).await, 6);
    let second = locked(waiting).await;
    assert_eq!(
        (&second.key[..], second.header.unwrap().revision),
        (&b"l/2"[..], 6)
    );
}

/// Whoever came first gets it first, whatever the leases' order.
pub async fn locks_go_in_order(client: &Client) {
    let mut waiting = Vec::new();
    for (i, lease) in [9, 3, 7].into_iter().enumerate() {
        grant(client, lease).await;
        waiting.push(lock(client, lease));
        wait_for_keys(client, "l/", i + 1).await;
    }
    for (waiting, key) in waiting.into_iter().zip(["l/9", "l/3", "l/7"]) {
        let got = locked(waiting).await;
        assert_eq!(got.key, key);
        unlock(client, &got.key).await;
    }
}

/// A lease that ends unlocks.
pub async fn a_lock_ends_with_its_lease(client: &Client) {
    grant(client, 1).await;
    grant(client, 2).await;
    locked(lock(client, 1)).await;
    let waiting = lock(client, 2);
    wait_for_keys(client, "l/", 2).await;
    revoke(client, 1).await;
    assert_eq!(locked(waiting).await.key, b"l/2".as_slice());
}

/// A client that goes away while it waits does not stand in the way of others.
pub async fn an_abandoned_wait_leaves_no_key(client: &Client) {
    for id in 1..=3 {
        grant(client, id).await;
    }
    let first = locked(lock(client, 1)).await;
    let abandoned = lock(client, 2);
    wait_for_keys(client, "l/", 2).await;
    let waiting = lock(client, 3);
    wait_for_keys(client, "l/", 3).await;
    abandoned.abort();
    wait_for_keys(client, "l/", 2).await;
    assert!(!waiting.is_finished());
    unlock(client, &first.key).await;
    assert_eq!(locked(waiting).await.key, b"l/3".as_slice());
}

/// A lease that ends while its lock is waited for ends the wait, once its turn would come.
pub async fn a_lost_lease_ends_the_wait(client: &Client) {
    grant(client, 1).await;
    grant(client, 2).await;
    let first = locked(lock(client, 1)).await;
    let waiting = lock(client, 2);
    wait_for_keys(client, "l/", 2).await;
    revoke(client, 2).await;
    unlock(client, &first.key).await;
    refused(waiting.await.unwrap(), Unknown, "mutex: session is expired");
}

/// Only a lease that is there can lock.
pub async fn a_wrong_lease_cannot_lock(client: &Client) {
    refused(
        lock(client, 77).await.unwrap(),
        Unknown,
        "etcdserver: requested lease not found",
    );
}

/// As deleting nothing is.
pub async fn unlocking_nothing_is_fine(client: &Client) {
    assert_eq!(unlock(client, b"l/1").await, 1);
    refused(
        client.lock().unlock(UnlockRequest::default()).await,
        Unknown,
        "etcdserver: key is not provided",
    );
}
