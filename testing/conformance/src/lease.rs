//! Leases.

use crate::kv::{all, keys, range};
use crate::watching::{Watching, watcher};
use kvorum_processes::Client;
use kvorum_proto::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse,
    LeaseLeasesRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
    PutRequest,
};

async fn grant(client: &Client, id: i64, ttl: i64) -> LeaseGrantResponse {
    let request = LeaseGrantRequest { id, ttl };
    client
        .lease()
        .lease_grant(request)
        .await
        .unwrap_or_else(|e| panic!("{e}"))
        .into_inner()
}

async fn put(client: &Client, key: &str, lease: i64) -> i64 {
    let request = PutRequest {
        key: key.to_owned().into(),
        value: b"v".as_slice().into(),
        lease,
        ..PutRequest::default()
    };
    let response = client
        .kv()
        .put(request)
        .await
        .unwrap_or_else(|e| panic!("{e}"))
        .into_inner();
    response.header.unwrap_or_default().revision
}

async fn left(client: &Client, id: i64) -> LeaseTimeToLiveResponse {
    let request = LeaseTimeToLiveRequest { id, keys: true };
    client
        .lease()
        .lease_time_to_live(request)
        .await
        .unwrap_or_else(|e| panic!("{e}"))
        .into_inner()
}

async fn keep_alive(client: &Client, id: i64) -> LeaseKeepAliveResponse {
    let once = tokio_stream::once(LeaseKeepAliveRequest { id });
    let stream = client
        .lease()
        .lease_keep_alive(once)
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    let message = stream
        .into_inner()
        .message()
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    message.unwrap_or_else(|| panic!("no answer"))
}

/// The server picks an ID where none is given; granting is no write.
pub async fn granting_gives_an_id(client: &Client) {
    let own = grant(client, 42, 60).await;
    assert_eq!((own.id, own.ttl, own.error.as_str()), (42, 60, ""));
    let picked = grant(client, 0, 60).await;
    assert!(picked.id > 0);
    assert_eq!(picked.header.unwrap().revision, 1);
    let listed = client
        .lease()
        .lease_leases(LeaseLeasesRequest {})
        .await
        .unwrap()
        .into_inner();
    let mut listed: Vec<i64> = listed.leases.iter().map(|l| l.id).collect();
    listed.sort_unstable();
    let mut expected = vec![42, picked.id];
    expected.sort_unstable();
    assert_eq!(listed, expected);
}

/// A short TTL is raised, and the answer says so.
pub async fn a_short_ttl_is_raised(client: &Client) {
    assert_eq!(grant(client, 1, 1).await.ttl, 2);
    assert_eq!(left(client, 1).await.granted_ttl, 2);
}

/// Revoking deletes all keys as one revision.
pub async fn revoking_deletes_the_keys(client: &Client) {
    grant(client, 1, 60).await;
    for key in ["b", "a"] {
        put(client, key, 1).await;
    }
    put(client, "c", 0).await;
    let mut watching = Watching::open(client).await;
    watching.create(watcher("\0", "\0")).await;
    let revoked = client
        .lease()
        .lease_revoke(LeaseRevokeRequest { id: 1 })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(revoked.header.unwrap().revision, 5);
    assert_eq!(watching.events(2).await, ["DELETE a=@5", "DELETE b=@5"]);
    assert_eq!(keys(&range(client, all()).await), ["c"]);
}

/// Revoking a lease without keys is no write.
pub async fn revoking_nothing_keeps_the_revision(client: &Client) {
    grant(client, 1, 60).await;
    let revoked = client
        .lease()
        .lease_revoke(LeaseRevokeRequest { id: 1 })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(revoked.header.unwrap().revision, 1);
}

/// A key belongs to the lease of its last put.
pub async fn keys_move_between_leases(client: &Client) {
    grant(client, 1, 60).await;
    grant(client, 2, 60).await;
    for (lease, first, second) in [
        (1, vec!["a"], vec![]),
        (2, vec![], vec!["a"]),
        (0, vec![], vec![]),
    ] {
        put(client, "a", lease).await;
        for (id, expected) in [(1, first), (2, second)] {
            let held: Vec<String> = left(client, id)
                .await
                .keys
                .iter()
                .map(|k| String::from_utf8_lossy(k).into_owned())
                .collect();
            assert_eq!(held, expected, "lease {id} after a put with {lease}");
        }
    }
    put(client, "a", 2).await;
    let keep = PutRequest {
        key: b"a".as_slice().into(),
        ignore_lease: true,
        ..PutRequest::default()
    };
    client.kv().put(keep).await.unwrap();
    assert_eq!(left(client, 2).await.keys.len(), 1);
}

/// What is left of a lease, and of one that is not there.
pub async fn time_to_live_is_told(client: &Client) {
    grant(client, 1, 60).await;
    let there = left(client, 1).await;
    assert_eq!((there.id, there.granted_ttl), (1, 60));
    assert!((55..=60).contains(&there.ttl), "{there:?}");
    let missing = left(client, 9).await;
    assert_eq!((missing.id, missing.ttl, missing.granted_ttl), (9, -1, 0));
}

/// Keeping alive answers with the TTL; 0 for a lease that is not there.
pub async fn leases_are_kept_alive(client: &Client) {
    grant(client, 1, 60).await;
    let kept = keep_alive(client, 1).await;
    assert_eq!((kept.id, kept.ttl), (1, 60));
    let missing = keep_alive(client, 9).await;
    assert_eq!((missing.id, missing.ttl), (9, 0));
}

/// A lease that is not kept alive ends, and its keys with it.
pub async fn leases_end(client: &Client) {
    grant(client, 1, 2).await;
    put(client, "a", 1).await;
    put(client, "b", 1).await;
    let mut watching = Watching::open(client).await;
    watching.create(watcher("a", "c")).await;
    assert_eq!(watching.events(2).await, ["DELETE a=@4", "DELETE b=@4"]);
    assert_eq!(left(client, 1).await.ttl, -1);
}
