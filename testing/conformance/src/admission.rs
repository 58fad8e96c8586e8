//! Who is let in at all: names, tokens, and what is root's.

use crate::asking::{DENIED, NOBODY, authenticate, by, enabled, grant};
use crate::http::Posted;
use crate::permission::{INVALID, delete, range, reads, writes};
use crate::refused;
use kvorum_processes::Client;
use kvorum_proto::authpb::permission::Type;
use kvorum_proto::etcdserverpb::{
    AlarmRequest, AuthUserChangePasswordRequest, AuthUserDeleteRequest, CompactionRequest,
    DefragmentRequest, HashKvRequest, HashRequest, LeaseGrantRequest, LeaseLeasesRequest,
    LeaseRevokeRequest, MemberAddRequest, MemberListRequest, MemberRemoveRequest,
    MoveLeaderRequest, SnapshotRequest, StatusRequest,
};
use kvorum_proto::v3lockpb::LockRequest;
use tonic::Code::{InvalidArgument, PermissionDenied, Unauthenticated, Unknown};
use tonic::{Code, Status};

/// Who has no token, or a wrong one, can do nothing but find that out.
pub async fn everybody_needs_a_name(client: &Client) {
    let (root, _) = enabled(client).await;
    for (token, code, text) in [
        ("", InvalidArgument, NOBODY),
        ("wrong.1", Unauthenticated, INVALID),
        ("wrong", Unauthenticated, INVALID),
    ] {
        refused(reads(client, token, "a", "").await, code, text);
        refused(writes(client, token, "a").await, code, text);
        let mut kv = client.kv();
        refused(
            kv.delete_range(by(token, delete("a", ""))).await,
            code,
            text,
        );
        let compact = CompactionRequest {
            revision: 1,
            physical: false,
        };
        refused(kv.compact(by(token, compact)).await, code, text);
        let mut lease = client.lease();
        let grant = LeaseGrantRequest { ttl: 60, id: 1 };
        refused(lease.lease_grant(by(token, grant)).await, code, text);
        let revoke = LeaseRevokeRequest { id: 1 };
        refused(lease.lease_revoke(by(token, revoke)).await, code, text);
        refused(
            lease.lease_leases(by(token, LeaseLeasesRequest {})).await,
            code,
            text,
        );
        let list = MemberListRequest::default();
        refused(
            client.cluster().member_list(by(token, list)).await,
            code,
            text,
        );
        let mut maintenance = client.maintenance();
        refused(
            maintenance.status(by(token, StatusRequest {})).await,
            code,
            text,
        );
        refused(
            maintenance.alarm(by(token, AlarmRequest::default())).await,
            code,
            text,
        );
    }
    // The other field, and with a word before.
    for value in [root.clone(), format!("Bearer {root}")] {
        let mut request = tonic::Request::new(range("a", ""));
        request
            .metadata_mut()
            .insert("authorization", value.parse().unwrap());
        client.kv().range(request).await.unwrap();
    }
}

/// What concerns the cluster as a whole is root's.
pub async fn maintenance_is_for_root(client: &Client) {
    let (root, alice) = enabled(client).await;
    let check = |result: Result<(), Status>| refused(result, PermissionDenied, DENIED);
    let mut maintenance = client.maintenance();
    let compact = CompactionRequest {
        revision: 1,
        physical: false,
    };
    check(client.kv().compact(by(&alice, compact)).await.map(|_| ()));
    check(
        maintenance
            .defragment(by(&alice, DefragmentRequest {}))
            .await
            .map(|_| ()),
    );
    check(
        maintenance
            .hash(by(&alice, HashRequest {}))
            .await
            .map(|_| ()),
    );
    check(
        maintenance
            .hash_kv(by(&alice, HashKvRequest::default()))
            .await
            .map(|_| ()),
    );
    let mover = MoveLeaderRequest { target_id: 1 };
    check(maintenance.move_leader(by(&alice, mover)).await.map(|_| ()));
    let alarm = AlarmRequest {
        action: 1,
        ..AlarmRequest::default()
    };
    check(maintenance.alarm(by(&alice, alarm)).await.map(|_| ()));
    let opened = maintenance.snapshot(by(&alice, SnapshotRequest {})).await;
    let first = match opened {
        Ok(mut stream) => stream.get_mut().message().await.map(|_| ()),
        Err(status) => Err(status),
    };
    check(first);
    let mut cluster = client.cluster();
    let add = MemberAddRequest {
        peer_ur_ls: vec!["http://127.1.1.1:2380".to_owned()],
        is_learner: true,
    };
    check(cluster.member_add(by(&alice, add)).await.map(|_| ()));
    check(
        cluster
            .member_remove(by(&alice, MemberRemoveRequest { id: 1 }))
            .await
            .map(|_| ()),
    );
    // Everybody with a name may see how things are.
    maintenance
        .status(by(&alice, StatusRequest {}))
        .await
        .unwrap();
    maintenance
        .alarm(by(&alice, AlarmRequest::default()))
        .await
        .unwrap();
    cluster
        .member_list(by(&alice, MemberListRequest::default()))
        .await
        .unwrap();
    maintenance
        .hash_kv(by(&root, HashKvRequest::default()))
        .await
        .unwrap();
}

/// A user that is gone, and a password that is changed, end tokens; a permission does not.
pub async fn tokens_end_with_their_password(client: &Client) {
    let (root, alice) = enabled(client).await;
    grant(client, &root, "letters", Type::Read, ("q", ""))
        .await
        .unwrap();
    writes(client, &alice, "a").await.unwrap();
    let change = AuthUserChangePasswordRequest {
        name: "alice".to_owned(),
        password: "new".to_owned(),
        ..AuthUserChangePasswordRequest::default()
    };
    client
        .auth()
        .user_change_password(by(&root, change))
        .await
        .unwrap();
    refused(writes(client, &alice, "a").await, Unauthenticated, INVALID);
    let alice = authenticate(client, "alice", "new").await.unwrap();
    writes(client, &alice, "a").await.unwrap();
    let delete = AuthUserDeleteRequest {
        name: "alice".to_owned(),
    };
    client.auth().user_delete(by(&root, delete)).await.unwrap();
    refused(writes(client, &alice, "a").await, Unauthenticated, INVALID);
}

/// Locks are keys.
pub async fn locking_is_writing(client: &Client) {
    let (root, alice) = enabled(client).await;
    let lock = |token: &str, name: &str| {
        let name = name.to_owned().into();
        let request = by(token, LockRequest { name, lease: 0 });
        let mut service = client.lock();
        async move { service.lock(request).await.map(|_| ()) }
    };
    lock(&alice, "a").await.unwrap();
    lock(&root, "z").await.unwrap();
    let unknown: Code = Unknown;
    refused(lock(&alice, "z").await, unknown, DENIED);
    refused(lock("", "a").await, unknown, NOBODY);
    refused(lock("wrong.1", "a").await, unknown, INVALID);
}

/// The gateway takes the token from the header.
pub async fn the_gateway_passes_tokens_on(client: &Client) {
    let (_, alice) = enabled(client).await;
    let ask = |token: String, path: &'static str, body: &'static str| async move {
        let headers = [("authorization", token.as_str())];
        let headers = if token.is_empty() {
            &headers[..0]
        } else {
            &headers[..]
        };
        let answer = Posted::send(client, "POST", path, headers, body)
            .await
            .whole()
            .await;
        (answer.status, answer.body.replace(", \"", ",\""))
    };
    let body = r#"{"key":"YQ=="}"#;
    assert_eq!(ask(alice.clone(), "/v3/kv/put", body).await.0, 200);
    for (token, body, status, expected) in [
        (
            "",
            body,
            400,
            r#"{"code":3,"message":"etcdserver: user name is empty"}"#,
        ),
        (
            "wrong.1",
            body,
            401,
            r#"{"code":16,"message":"etcdserver: invalid auth token"}"#,
        ),
        (
            alice.as_str(),
            r#"{"key":"eg=="}"#,
            403,
            r#"{"code":7,"message":"etcdserver: permission denied"}"#,
        ),
    ] {
        let answer = ask(token.to_owned(), "/v3/kv/put", body).await;
        assert_eq!(answer, (status, expected.to_owned()));
    }
    let password = r#"{"name":"alice","password":"alice"}"#;
    let (status, given) = ask(String::new(), "/v3/auth/authenticate", password).await;
    assert_eq!(status, 200);
    assert!(given.contains(r#""token":""#), "{given}");
    let (status, snapshot) = ask(alice, "/v3/maintenance/snapshot", "{}").await;
    assert_eq!(
        (status, snapshot.trim_end()),
        (
            403,
            r#"{"error":{"code":7,"message":"etcdserver: permission denied"}}"#
        )
    );
}
