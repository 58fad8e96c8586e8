//! Goal: users and permissions are the cluster's, not a member's: they hold at every member at
//! once, over restarts and snapshots, and for watches that run already.
//! Method: kvorum-node only, one or three members.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_conformance::asking::{
    DENIED, add_user, authenticate, by, enabled, grant, grant_role, put, revoke, status,
};
use kvorum_conformance::refused;
use kvorum_conformance::watching::{Watching, short, watcher};
use kvorum_processes::limits::{POLL, READY_TIMEOUT};
use kvorum_processes::load::Load;
use kvorum_processes::{Client, Cluster, Program};
use kvorum_proto::authpb::permission::Type;
use kvorum_proto::etcdserverpb::{
    AuthDisableRequest, AuthEnableRequest, AuthUserDeleteRequest, MemberAddRequest, RangeRequest,
};
use std::path::Path;
use std::time::Instant;
use tonic::Code::{InvalidArgument, PermissionDenied, Unauthenticated, Unavailable};
use tonic::Status;

async fn cluster(size: u8, flags: &[&str]) -> Cluster {
    let flags = [flags, &["--unsafe-no-fsync", "--bcrypt-cost=4"]].concat();
    let cluster = Cluster::start(&Program::kvorum(), size, &flags).await;
    cluster.wait_registered().await;
    cluster
}

/// Reads from what this member has.
async fn read_here(client: &Client, token: &str, key: &str) -> Result<i64, Status> {
    let request = RangeRequest {
        key: key.to_owned().into(),
        serializable: true,
        ..RangeRequest::default()
    };
    let found = client.kv().range(by(token, request)).await?;
    Ok(found.into_inner().count)
}

fn cut(code: tonic::Code, text: &str) -> String {
    format!("rpc error: code = {code:?} desc = {text}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_and_permissions_hold_at_every_member_at_once() {
    let cluster = cluster(3, &[]).await;
    let clients: Vec<Client> = cluster.members.iter().map(|m| m.client()).collect();
    let (root, alice) = enabled(&clients[0]).await;
    // A member that does not know yet that names are asked for must not refuse one.
    put(&clients[1], &alice, "a").await.unwrap();
    put(&clients[2], &alice, "a").await.unwrap();
    for (i, client) in clients.iter().enumerate() {
        // Also one that has not applied it yet must know the token.
        let fresh = authenticate(&clients[(i + 1) % 3], "alice", "alice")
            .await
            .unwrap();
        read_here(client, &fresh, "a").await.unwrap();
        put(client, &alice, "a").await.unwrap();
        refused(put(client, &alice, "c").await, PermissionDenied, DENIED);
        let give = grant(client, &root, "letters", Type::Write, ("c", ""));
        give.await.unwrap();
        put(&clients[(i + 1) % 3], &alice, "c").await.unwrap();
        revoke(client, &root, "letters", ("c", "")).await.unwrap();
        let denied = put(&clients[(i + 2) % 3], &alice, "c").await;
        refused(denied, PermissionDenied, DENIED);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_outlive_the_leader_that_gave_them() {
    let mut cluster = cluster(3, &[]).await;
    let leader = cluster.leader().await;
    let (_, alice) = enabled(&cluster.members[leader].client()).await;
    cluster.members[leader].kill();
    for place in [1, 2] {
        let client = cluster.members[(leader + place) % 3].client();
        let until = Instant::now() + READY_TIMEOUT;
        loop {
            match put(&client, &alice, "a").await {
                Ok(()) => break,
                Err(status) => {
                    assert_eq!(status.code(), Unavailable, "{status}");
                    assert!(Instant::now() < until, "{status}");
                }
            }
            tokio::time::sleep(POLL).await;
        }
        refused(put(&client, &alice, "z").await, PermissionDenied, DENIED);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_survive_a_crash_of_everybody() {
    let mut cluster = cluster(3, &[]).await;
    let client = cluster.members[0].client();
    let (root, _) = enabled(&client).await;
    let before = status(&client).await;
    put(&client, &root, "z").await.unwrap();
    for member in &mut cluster.members {
        member.kill();
    }
    for member in &mut cluster.members {
        member.start().unwrap();
    }
    for member in &cluster.members {
        let client = member.client();
        let alice = wait_authenticated(&client, "alice").await;
        assert_eq!(status(&client).await, before);
        put(&client, &alice, "a").await.unwrap();
        refused(put(&client, &alice, "z").await, PermissionDenied, DENIED);
        let wrong = authenticate(&client, "alice", "root").await;
        assert_eq!(wrong.unwrap_err().code(), InvalidArgument);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_gets_the_users_with_the_snapshot() {
    let mut cluster = cluster(1, &["--snapshot-count=500"]).await;
    let client = cluster.members[0].client();
    let (root, _) = enabled(&client).await;
    let disable = by(&root, AuthDisableRequest {});
    client.auth().auth_disable(disable).await.unwrap();
    // The log behind the users is purged.
    let load = Load::start(&cluster.endpoints(), 32);
    load.more(14_000, 2 * READY_TIMEOUT).await;
    load.stop().await;
    client
        .auth()
        .auth_enable(AuthEnableRequest {})
        .await
        .unwrap();
    let root = authenticate(&client, "root", "root").await.unwrap();
    let place = cluster.lay_out_another();
    let request = MemberAddRequest {
        peer_ur_ls: vec![cluster.members[place].peer_url()],
        is_learner: true,
    };
    client
        .cluster()
        .member_add(by(&root, request))
        .await
        .unwrap();
    cluster.members[place].start().unwrap();
    cluster.members[place].prints("Received a snapshot").await;
    let learner = cluster.members[place].client();
    let alice = authenticate(&client, "alice", "alice").await.unwrap();
    let until = Instant::now() + READY_TIMEOUT;
    // It has caught up once it asks for a name.
    while read_here(&learner, "", "a").await.is_ok() {
        assert!(Instant::now() < until, "it does not catch up");
        tokio::time::sleep(POLL).await;
    }
    read_here(&learner, &alice, "a").await.unwrap();
    let denied = read_here(&learner, &alice, "z").await;
    refused(denied, PermissionDenied, DENIED);
}

/// Lays out one member whose directory is restored from a snapshot of another, taken by root.
fn restored(program: &Program, from: &Cluster, file: &Path) -> Cluster {
    let saved = Program::etcd_tool("etcdctl")
        .args(["--endpoints", &from.members[0].endpoint()])
        .args(["--user", "root:root", "snapshot", "save"])
        .arg(file)
        .output()
        .unwrap();
    assert!(saved.status.success(), "{saved:?}");
    let cluster = Cluster::lay_out(program, 1, &["--unsafe-no-fsync"]);
    let member = &cluster.members[0];
    let all = format!("{}={}", member.name, member.peer_url());
    let restored = Program::etcd_tool("etcdutl")
        .args(["snapshot", "restore"])
        .arg(file)
        .arg("--data-dir")
        .arg(&member.data_dir)
        .args(["--name", &member.name, "--initial-cluster", &all])
        .args(["--initial-advertise-peer-urls", &member.peer_url()])
        .output()
        .unwrap();
    assert!(restored.status.success(), "{restored:?}");
    cluster
}

/// Waits until users are known by their password again.
async fn wait_authenticated(client: &Client, name: &str) -> String {
    let until = Instant::now() + READY_TIMEOUT;
    loop {
        match authenticate(client, name, name).await {
            Ok(token) => return token,
            Err(status) => assert!(Instant::now() < until, "{status}"),
        }
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_go_to_etcd_and_come_back_with_a_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let mut source = cluster(1, &[]).await;
    let (root, _) = enabled(&source.members[0].client()).await;
    add_user(&source.members[0].client(), &root, "bob")
        .await
        .unwrap();
    let before = status(&source.members[0].client()).await;
    for (i, program) in [Program::etcd(), Program::kvorum()].into_iter().enumerate() {
        let file = directory.path().join(format!("{i}.db"));
        let mut next = restored(&program, &source, &file);
        next.members[0].start().unwrap();
        let client = next.members[0].client();
        let alice = wait_authenticated(&client, "alice").await;
        assert_eq!(status(&client).await, before, "{program:?}");
        put(&client, &alice, "a").await.unwrap();
        refused(put(&client, &alice, "z").await, PermissionDenied, DENIED);
        let bob = wait_authenticated(&client, "bob").await;
        refused(put(&client, &bob, "a").await, PermissionDenied, DENIED);
        let root = wait_authenticated(&client, "root").await;
        put(&client, &root, "z").await.unwrap();
        source = next;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permission_taken_away_ends_watches_that_run() {
    let cluster = cluster(3, &[]).await;
    let (client, other) = (cluster.members[0].client(), cluster.members[1].client());
    let (root, alice) = enabled(&client).await;
    let mut watching = Watching::open_by(&other, &alice).await;
    for (key, end) in [("a", "c"), ("x", "")] {
        assert!(!watching.create(watcher(key, end)).await.canceled);
    }
    put(&client, &alice, "a").await.unwrap();
    let seen = watching.next().await;
    assert_eq!(
        seen.events.iter().map(short).collect::<Vec<_>>(),
        ["PUT a=@2"]
    );
    // Somebody else's permission: nothing happens here.
    add_user(&client, &root, "bob").await.unwrap();
    grant_role(&client, &root, "bob", "letters").await.unwrap();
    revoke(&client, &root, "letters", ("a", "c")).await.unwrap();
    put(&client, &root, "a").await.unwrap();
    let ended = watching.next().await;
    assert_eq!(
        (ended.watch_id, ended.canceled, ended.events.len()),
        (0, true, 0)
    );
    assert_eq!(ended.cancel_reason, cut(PermissionDenied, DENIED));
    // The other watcher goes on, until its user is gone.
    put(&client, &root, "x").await.unwrap();
    let seen = watching.next().await;
    assert_eq!((seen.watch_id, seen.events.len()), (1, 1));
    let delete = AuthUserDeleteRequest {
        name: "alice".to_owned(),
    };
    client.auth().user_delete(by(&root, delete)).await.unwrap();
    let ended = watching.next().await;
    assert_eq!((ended.watch_id, ended.canceled), (1, true));
    assert_eq!(ended.cancel_reason, cut(PermissionDenied, DENIED));
    put(&client, &root, "x").await.unwrap();
    watching.quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_for_names_ends_watches_of_nobody() {
    let cluster = cluster(1, &[]).await;
    let client = cluster.members[0].client();
    let mut watching = Watching::open(&client).await;
    assert!(!watching.create(watcher("a", "")).await.canceled);
    let (root, _) = enabled(&client).await;
    let ended = watching.next().await;
    assert_eq!((ended.watch_id, ended.canceled), (0, true));
    let reason = cut(InvalidArgument, "etcdserver: user name is empty");
    assert_eq!(ended.cancel_reason, reason);
    put(&client, &root, "a").await.unwrap();
    watching.quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_end_that_are_not_shown() {
    let cluster = cluster(1, &["--auth-token-ttl=1"]).await;
    let client = cluster.members[0].client();
    let (_, alice) = enabled(&client).await;
    let until = Instant::now() + READY_TIMEOUT;
    let ended = loop {
        // Every look lengthens its life: look ever more seldom.
        match put(&client, &alice, "a").await {
            Ok(()) => tokio::time::sleep(POLL * 100).await,
            Err(status) => break status,
        }
        assert!(Instant::now() < until, "it never ends");
    };
    let text = "etcdserver: invalid auth token";
    refused::<()>(Err(ended), Unauthenticated, text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signed_tokens_are_of_one_revision() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "known to all members").unwrap();
    let flag = format!(
        "--auth-token=jwt,sign-method=HS256,priv-key={},ttl=10m",
        secret.display()
    );
    let cluster = cluster(3, &[&flag]).await;
    let clients: Vec<Client> = cluster.members.iter().map(|m| m.client()).collect();
    let (root, alice) = enabled(&clients[0]).await;
    assert_eq!(alice.split('.').count(), 3, "{alice}");
    for client in &clients {
        put(client, &alice, "a").await.unwrap();
        refused(put(client, &alice, "z").await, PermissionDenied, DENIED);
        let text = "etcdserver: invalid auth token";
        let forged = alice.replace('.', ".x");
        refused(put(client, &forged, "a").await, Unauthenticated, text);
    }
    grant(&clients[0], &root, "letters", Type::Read, ("q", ""))
        .await
        .unwrap();
    let old = "etcdserver: revision of auth store is old";
    refused(put(&clients[1], &alice, "a").await, InvalidArgument, old);
    let alice = authenticate(&clients[1], "alice", "alice").await.unwrap();
    put(&clients[2], &alice, "a").await.unwrap();
}
