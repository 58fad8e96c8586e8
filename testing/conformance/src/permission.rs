//! Who may read, write, watch, lock.

use crate::asking::{DENIED, NOBODY, by, enabled, grant, revoke};
use crate::refused;
use kvorum_processes::Client;
use kvorum_proto::authpb::permission::Type;
use kvorum_proto::etcdserverpb::compare::{CompareResult, CompareTarget};
use kvorum_proto::etcdserverpb::watch_request::RequestUnion;
use kvorum_proto::etcdserverpb::{
    Compare, DeleteRangeRequest, LeaseGrantRequest, LeaseLeasesRequest, LeaseRevokeRequest,
    LeaseTimeToLiveRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, WatchCreateRequest,
    WatchRequest, WatchResponse, request_op,
};
use tokio_stream::StreamExt;
use tonic::Code::{InvalidArgument, PermissionDenied, Unauthenticated};
use tonic::Status;

/// What is told to those with a token that is not known.
pub const INVALID: &str = "etcdserver: invalid auth token";

pub(crate) fn range(key: &str, end: &str) -> RangeRequest {
    RangeRequest {
        key: key.to_owned().into(),
        range_end: end.to_owned().into(),
        ..RangeRequest::default()
    }
}

pub(crate) fn put(key: &str) -> PutRequest {
    PutRequest {
        key: key.to_owned().into(),
        ..PutRequest::default()
    }
}

pub(crate) fn delete(key: &str, end: &str) -> DeleteRangeRequest {
    DeleteRangeRequest {
        key: key.to_owned().into(),
        range_end: end.to_owned().into(),
        ..DeleteRangeRequest::default()
    }
}

fn branch(request: request_op::Request) -> TxnRequest {
    TxnRequest {
        failure: vec![RequestOp {
            request: Some(request),
        }],
        compare: vec![Compare {
            key: b"a".as_slice().into(),
            target: CompareTarget::Version.into(),
            result: CompareResult::Equal.into(),
            ..Compare::default()
        }],
        ..TxnRequest::default()
    }
}

async fn streamed(client: &Client, token: &str, key: &str, end: &str) -> Result<i64, Status> {
    let mut kv = client.kv();
    let mut parts = kv
        .range_stream(by(token, range(key, end)))
        .await?
        .into_inner();
    let mut count = 0;
    while let Some(part) = parts.message().await? {
        count += part.range_response.unwrap().count;
    }
    Ok(count)
}

pub(crate) async fn reads(
    client: &Client,
    token: &str,
    key: &str,
    end: &str,
) -> Result<i64, Status> {
    let mut local = range(key, end);
    local.serializable = true;
    let found = client
        .kv()
        .range(by(token, local))
        .await
        .map(|r| r.into_inner().count);
    let linear = client.kv().range(by(token, range(key, end))).await;
    let linear = linear.map(|r| r.into_inner().count);
    let codes = |r: &Result<i64, Status>| r.as_ref().map_err(Status::code).copied();
    assert_eq!(codes(&found), codes(&linear));
    assert_eq!(
        codes(&streamed(client, token, key, end).await),
        codes(&linear)
    );
    linear
}

pub(crate) async fn writes(client: &Client, token: &str, key: &str) -> Result<(), Status> {
    client.kv().put(by(token, put(key))).await.map(|_| ())
}

/// The first answer to a watcher.
async fn watched(client: &Client, token: &str, key: &str, end: &str) -> WatchResponse {
    let create = WatchCreateRequest {
        key: key.to_owned().into(),
        range_end: end.to_owned().into(),
        ..WatchCreateRequest::default()
    };
    let create = WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(create)),
    };
    // Stays open: the server must not end the stream for lack of requests.
    let requests = tokio_stream::iter([create]).chain(tokio_stream::pending());
    let mut answers = client.watch().watch(by(token, requests)).await.unwrap();
    answers.get_mut().message().await.unwrap().unwrap()
}

/// All of a range must be covered, by however many permissions.
pub async fn ranges_must_be_covered(client: &Client) {
    let (root, alice) = enabled(client).await;
    for key in ["a", "b", "x", "z"] {
        writes(client, &root, key).await.unwrap();
    }
    for (key, end, count) in [("a", "", 1), ("a", "c", 2), ("b", "bb", 1), ("x", "", 1)] {
        assert_eq!(
            reads(client, &alice, key, end).await.unwrap(),
            count,
            "{key} {end}"
        );
    }
    for (key, end) in [
        ("c", ""),
        ("a", "d"),
        ("a", "\0"),
        ("x", "y"),
        ("z", ""),
        ("0", "b"),
    ] {
        refused(
            reads(client, &alice, key, end).await,
            PermissionDenied,
            DENIED,
        );
    }
    grant(client, &root, "letters", Type::Read, ("c", "f"))
        .await
        .unwrap();
    assert_eq!(reads(client, &alice, "a", "f").await.unwrap(), 2);
    writes(client, &alice, "b").await.unwrap();
    for key in ["c", "x"] {
        refused(writes(client, &alice, key).await, PermissionDenied, DENIED);
    }
    revoke(client, &root, "letters", ("a", "c")).await.unwrap();
    refused(writes(client, &alice, "b").await, PermissionDenied, DENIED);
    assert_eq!(reads(client, &root, "a", "\0").await.unwrap(), 4);
}

/// Deleting is writing; previous records are read.
pub async fn previous_records_need_reading(client: &Client) {
    let (root, alice) = enabled(client).await;
    grant(client, &root, "letters", Type::Write, ("m", "o"))
        .await
        .unwrap();
    let mut kv = client.kv();
    let with_previous = |mut request: PutRequest| {
        request.prev_kv = true;
        request
    };
    kv.put(by(&alice, put("m"))).await.unwrap();
    let refusal = kv.put(by(&alice, with_previous(put("m")))).await;
    refused(refusal, PermissionDenied, DENIED);
    kv.put(by(&alice, with_previous(put("a")))).await.unwrap();
    let mut deletion = delete("m", "o");
    deletion.prev_kv = true;
    refused(
        kv.delete_range(by(&alice, deletion)).await,
        PermissionDenied,
        DENIED,
    );
    kv.delete_range(by(&alice, delete("m", "o"))).await.unwrap();
    let all = kv.delete_range(by(&alice, delete("m", "p"))).await;
    refused(all, PermissionDenied, DENIED);
    let read = kv.delete_range(by(&alice, delete("x", ""))).await;
    refused(read, PermissionDenied, DENIED);
}

/// Whatever a transaction might do must be allowed, also on the branch it does not take.
pub async fn transactions_are_looked_through(client: &Client) {
    let (_, alice) = enabled(client).await;
    let mut kv = client.kv();
    for allowed in [
        branch(request_op::Request::RequestPut(put("b"))),
        branch(request_op::Request::RequestRange(range("x", ""))),
        branch(request_op::Request::RequestDeleteRange(delete("a", "c"))),
    ] {
        kv.txn(by(&alice, allowed)).await.unwrap();
    }
    let mut compares = branch(request_op::Request::RequestPut(put("b")));
    compares.compare[0].range_end = b"d".as_slice().into();
    for denied in [
        branch(request_op::Request::RequestPut(put("c"))),
        branch(request_op::Request::RequestRange(range("x", "y"))),
        branch(request_op::Request::RequestDeleteRange(delete("a", "d"))),
        compares,
    ] {
        let outer = branch(request_op::Request::RequestTxn(denied.clone()));
        refused(
            kv.txn(by(&alice, denied.clone())).await,
            PermissionDenied,
            DENIED,
        );
        refused(kv.txn(by(&alice, outer)).await, PermissionDenied, DENIED);
        refused(kv.txn(denied).await, InvalidArgument, NOBODY);
    }
}

/// A watcher that may not watch is answered with the reason.
pub async fn watching_is_reading(client: &Client) {
    let (_, alice) = enabled(client).await;
    for (token, key, end, reason) in [
        (alice.as_str(), "a", "c", ""),
        (&alice, "x", "", ""),
        (&alice, "a", "d", DENIED),
        (&alice, "", "\0", DENIED),
        (&alice, "z", "", DENIED),
        ("", "a", "", NOBODY),
        ("wrong.1", "a", "", INVALID),
    ] {
        let answer = watched(client, token, key, end).await;
        assert!(answer.created, "{answer:?}");
        let code = match reason {
            INVALID => Unauthenticated,
            NOBODY => InvalidArgument,
            _ => PermissionDenied,
        };
        let told = format!("rpc error: code = {code:?} desc = {reason}");
        let told = if reason.is_empty() { "" } else { &told };
        assert_eq!(answer.cancel_reason, told, "{key} {end}");
        let id = if reason.is_empty() { 0 } else { -1 };
        assert_eq!((answer.watch_id, answer.canceled), (id, !reason.is_empty()));
    }
}

/// Ending and seeing a lease takes the right to its keys.
pub async fn leases_are_as_their_keys(client: &Client) {
    let (root, alice) = enabled(client).await;
    let mut lease = client.lease();
    let tie = |key: &str, lease| {
        let mut request = put(key);
        request.lease = lease;
        request
    };
    for id in 1..=2 {
        let grant = LeaseGrantRequest { ttl: 600, id };
        lease.lease_grant(by(&alice, grant)).await.unwrap();
    }
    client.kv().put(by(&root, tie("z", 1))).await.unwrap();
    client.kv().put(by(&alice, tie("a", 2))).await.unwrap();
    let tied = client.kv().put(by(&alice, tie("a", 1))).await;
    refused(tied, PermissionDenied, DENIED);
    let in_txn = branch(request_op::Request::RequestPut(tie("a", 1)));
    refused(
        client.kv().txn(by(&alice, in_txn)).await,
        PermissionDenied,
        DENIED,
    );
    let left = |id, keys| by(&alice, LeaseTimeToLiveRequest { id, keys });
    lease.lease_time_to_live(left(1, false)).await.unwrap();
    lease.lease_time_to_live(left(2, true)).await.unwrap();
    let seen = lease.lease_time_to_live(left(1, true)).await;
    refused(seen, PermissionDenied, DENIED);
    let listed = lease.lease_leases(by(&alice, LeaseLeasesRequest {})).await;
    refused(listed, PermissionDenied, DENIED);
    let revoke = |id| by(&alice, LeaseRevokeRequest { id });
    refused(
        lease.lease_revoke(revoke(1)).await,
        PermissionDenied,
        DENIED,
    );
    lease.lease_revoke(revoke(2)).await.unwrap();
    for (token, code, text) in [
        (alice.as_str(), PermissionDenied, DENIED),
        ("", InvalidArgument, NOBODY),
        ("wrong.1", Unauthenticated, INVALID),
    ] {
        refused(kept_alive(client, token, 1).await, code, text);
    }
    assert_eq!(kept_alive(client, &root, 1).await.unwrap(), 600);
    assert_eq!(kept_alive(client, &alice, 77).await.unwrap(), 0);
}

async fn kept_alive(client: &Client, token: &str, id: i64) -> Result<i64, Status> {
    let request = kvorum_proto::etcdserverpb::LeaseKeepAliveRequest { id };
    let requests = tokio_stream::iter([request]);
    let mut answers = client.lease().lease_keep_alive(by(token, requests)).await?;
    let answer = answers.get_mut().message().await?;
    Ok(answer.unwrap().ttl)
}
