//! Goal: a client's certificate names its user, where there is no token, as with etcd.
//! Method: the same case on a one-member server of each kind that speaks TLS to clients.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_conformance::asking::{DENIED, by, enabled, put};
use kvorum_conformance::refused;
use kvorum_processes::limits::{POLL, READY_TIMEOUT};
use kvorum_processes::{Authority, Client, Cluster, Program};
use kvorum_proto::authpb::UserAddOptions;
use kvorum_proto::etcdserverpb::{AuthUserAddRequest, AuthUserGrantRoleRequest};
use std::path::Path;
use std::time::Instant;
use tonic::Code::{PermissionDenied, Unauthenticated};

/// A client with a certificate of that name.
async fn client(authority: &Authority, cluster: &Cluster, name: &str) -> Client {
    let tls = authority.client(Some(&authority.sign(name, &[])));
    let until = Instant::now() + READY_TIMEOUT;
    loop {
        match Client::secure(&cluster.members[0].endpoint(), tls.clone()).await {
            Ok(client) => return client,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        tokio::time::sleep(POLL).await;
    }
}

fn lay_out(authority: &Authority, program: &Program, directory: &Path) -> Cluster {
    let mut cluster = Cluster::lay_out(program, 1, &["--unsafe-no-fsync"]);
    let member = &mut cluster.members[0];
    let pair = authority.sign("server", &[&member.place.address]);
    for (flag, text) in [
        ("cert-file", &pair.cert),
        ("key-file", &pair.key),
        ("trusted-ca-file", &authority.pem),
    ] {
        let file = directory.join(flag);
        std::fs::write(&file, text).unwrap();
        member.set_flag(flag, &file.display().to_string());
    }
    let url = format!("https://{}", member.endpoint());
    for flag in ["listen-client-urls", "advertise-client-urls"] {
        member.set_flag(flag, &url);
    }
    member.set_flag("client-cert-auth", "true");
    member.start().unwrap();
    cluster
}

async fn certificates_name_users(program: Program) {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let cluster = lay_out(&authority, &program, directory.path());
    let nobody = client(&authority, &cluster, "").await;
    let until = Instant::now() + READY_TIMEOUT;
    while let Err(status) = nobody.put("ready", "1").await {
        assert!(Instant::now() < until, "{status}");
        tokio::time::sleep(POLL).await;
    }
    let (root, alice) = enabled(&nobody).await;
    let carol = AuthUserAddRequest {
        name: "carol".to_owned(),
        options: Some(UserAddOptions { no_password: true }),
        ..AuthUserAddRequest::default()
    };
    nobody.auth().user_add(by(&root, carol)).await.unwrap();
    let grant = AuthUserGrantRoleRequest {
        user: "carol".to_owned(),
        role: "letters".to_owned(),
    };
    let by_root = client(&authority, &cluster, "root").await;
    by_root.auth().user_grant_role(grant).await.unwrap();
    let carol = client(&authority, &cluster, "carol").await;
    put(&carol, "", "a").await.unwrap();
    refused(put(&carol, "", "z").await, PermissionDenied, DENIED);
    // A token counts more, whatever it is worth.
    put(&carol, &root, "z").await.unwrap();
    refused(put(&by_root, &alice, "z").await, PermissionDenied, DENIED);
    let invalid = "etcdserver: invalid auth token";
    refused(
        put(&by_root, "wrong.1", "z").await,
        Unauthenticated,
        invalid,
    );
    let ghost = client(&authority, &cluster, "ghost").await;
    refused(put(&ghost, "", "a").await, PermissionDenied, DENIED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_name_users_of_etcd() {
    certificates_name_users(Program::etcd()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_name_users_of_kvorum() {
    certificates_name_users(Program::kvorum()).await;
}
