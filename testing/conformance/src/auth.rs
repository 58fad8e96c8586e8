//! Users and roles: who there is, and who may change that.

use crate::asking::{
    DENIED, NOBODY, add_role, add_user, authenticate, by, enabled, grant, grant_role, revoke,
    status,
};
use crate::refused;
use kvorum_processes::Client;
use kvorum_proto::authpb::permission::Type;
use kvorum_proto::authpb::{Permission, UserAddOptions};
use kvorum_proto::etcdserverpb::{
    AuthDisableRequest, AuthEnableRequest, AuthRoleDeleteRequest, AuthRoleGetRequest,
    AuthRoleGrantPermissionRequest, AuthRoleListRequest, AuthUserAddRequest,
    AuthUserChangePasswordRequest, AuthUserDeleteRequest, AuthUserGetRequest, AuthUserListRequest,
    AuthUserRevokeRoleRequest,
};
use tonic::Code::{FailedPrecondition, InvalidArgument, PermissionDenied, Unknown};
use tonic::Status;

fn user(name: &str) -> AuthUserGetRequest {
    AuthUserGetRequest {
        name: name.to_owned(),
    }
}

async fn roles_of(client: &Client, token: &str, name: &str) -> Result<Vec<String>, Status> {
    let found = client.auth().user_get(by(token, user(name))).await?;
    Ok(found.into_inner().roles)
}

async fn permissions_of(
    client: &Client,
    token: &str,
    role: &str,
) -> Result<Vec<Permission>, Status> {
    let request = AuthRoleGetRequest {
        role: role.to_owned(),
    };
    let found = client.auth().role_get(by(token, request)).await?;
    Ok(found.into_inner().perm)
}

/// A user named root with the role root, or everybody would be locked out.
pub async fn enabling_needs_root(client: &Client) {
    let enable = || async { client.auth().auth_enable(AuthEnableRequest {}).await };
    assert_eq!(status(client).await, (false, 1));
    refused(
        enable().await,
        FailedPrecondition,
        "etcdserver: root user does not exist",
    );
    add_user(client, "", "root").await.unwrap();
    refused(
        enable().await,
        FailedPrecondition,
        "etcdserver: root user does not have root role",
    );
    grant_role(client, "", "root", "root").await.unwrap();
    assert_eq!(status(client).await, (false, 3));
    enable().await.unwrap();
    assert_eq!(status(client).await, (true, 3));
    let root = authenticate(client, "root", "root").await.unwrap();
    let again = by(&root, AuthEnableRequest {});
    client.auth().auth_enable(again).await.unwrap();
    assert_eq!(status(client).await, (true, 3));
    let disable = client.auth().auth_disable(AuthDisableRequest {}).await;
    refused(disable, InvalidArgument, NOBODY);
    let disable = by(&root, AuthDisableRequest {});
    client.auth().auth_disable(disable).await.unwrap();
    assert_eq!(status(client).await, (false, 4));
    client
        .auth()
        .auth_disable(AuthDisableRequest {})
        .await
        .unwrap();
    assert_eq!(status(client).await, (false, 4));
    client.put("free", "again").await.unwrap();
}

/// Their names are unique; those that are not there are said to be so.
pub async fn users_are_managed(client: &Client) {
    let mut auth = client.auth();
    for name in ["b", "a"] {
        add_user(client, "", name).await.unwrap();
    }
    let missing = "etcdserver: user name not found";
    refused(add_user(client, "", "").await, InvalidArgument, NOBODY);
    refused(
        add_user(client, "", "a").await,
        FailedPrecondition,
        "etcdserver: user name already exists",
    );
    let listed = auth.user_list(AuthUserListRequest {}).await.unwrap();
    assert_eq!(listed.into_inner().users, ["a", "b"]);
    refused(roles_of(client, "", "c").await, FailedPrecondition, missing);
    let change = AuthUserChangePasswordRequest {
        name: "c".to_owned(),
        password: "x".to_owned(),
        ..AuthUserChangePasswordRequest::default()
    };
    refused(
        auth.user_change_password(change).await,
        FailedPrecondition,
        missing,
    );
    let long = AuthUserAddRequest {
        name: "long".to_owned(),
        password: "x".repeat(73),
        ..AuthUserAddRequest::default()
    };
    refused(
        auth.user_add(long).await,
        Unknown,
        "bcrypt: password length exceeds 72 bytes",
    );
    let delete = AuthUserDeleteRequest {
        name: "a".to_owned(),
    };
    auth.user_delete(delete.clone()).await.unwrap();
    refused(auth.user_delete(delete).await, FailedPrecondition, missing);
    // Each change counted once, refusals did not.
    assert_eq!(status(client).await, (false, 4));
}

/// Who is given them, what they are given, and what happens when they go.
pub async fn roles_are_managed(client: &Client) {
    let mut auth = client.auth();
    let missing = "etcdserver: role name not found";
    refused(
        add_role(client, "", "").await,
        InvalidArgument,
        "etcdserver: role name is empty",
    );
    for role in ["s", "r"] {
        add_role(client, "", role).await.unwrap();
    }
    refused(
        add_role(client, "", "r").await,
        FailedPrecondition,
        "etcdserver: role name already exists",
    );
    let listed = auth.role_list(AuthRoleListRequest {}).await.unwrap();
    assert_eq!(listed.into_inner().roles, ["r", "s"]);
    add_user(client, "", "a").await.unwrap();
    for role in ["s", "r", "s", "root"] {
        grant_role(client, "", "a", role).await.unwrap();
    }
    assert_eq!(roles_of(client, "", "a").await.unwrap(), ["r", "root", "s"]);
    let wrong = [
        ("a", "t", missing),
        ("b", "r", "etcdserver: user name not found"),
    ];
    for (user, role, text) in wrong {
        let granted = grant_role(client, "", user, role).await;
        refused(granted, FailedPrecondition, text);
    }
    let take = AuthUserRevokeRoleRequest {
        name: "a".to_owned(),
        role: "s".to_owned(),
    };
    auth.user_revoke_role(take.clone()).await.unwrap();
    refused(
        auth.user_revoke_role(take).await,
        FailedPrecondition,
        "etcdserver: role is not granted to the user",
    );
    let delete = AuthRoleDeleteRequest {
        role: "r".to_owned(),
    };
    auth.role_delete(delete.clone()).await.unwrap();
    assert_eq!(roles_of(client, "", "a").await.unwrap(), ["root"]);
    refused(auth.role_delete(delete).await, FailedPrecondition, missing);
    refused(
        permissions_of(client, "", "r").await,
        FailedPrecondition,
        missing,
    );
}

/// Sorted by key, one of each range.
pub async fn permissions_are_managed(client: &Client) {
    add_role(client, "", "r").await.unwrap();
    let give = |kind, range| grant(client, "", "r", kind, range);
    give(Type::Read, ("b", "c")).await.unwrap();
    give(Type::Write, ("a", "")).await.unwrap();
    give(Type::Readwrite, ("b", "\0")).await.unwrap();
    give(Type::Readwrite, ("b", "c")).await.unwrap();
    let found = permissions_of(client, "", "r").await.unwrap();
    let short: Vec<_> = found
        .iter()
        .map(|p| (p.perm_type(), p.key.to_vec(), p.range_end.to_vec()))
        .collect();
    assert_eq!(short[0], (Type::Write, b"a".to_vec(), Vec::new()));
    assert_eq!(short.len(), 3);
    assert!(short.contains(&(Type::Readwrite, b"b".to_vec(), b"c".to_vec())));
    let invalid = "etcdserver: invalid auth management";
    for range in [("", ""), ("b", "a"), ("b", "b"), ("", "\0")] {
        refused(give(Type::Read, range).await, InvalidArgument, invalid);
    }
    let nothing = AuthRoleGrantPermissionRequest {
        name: "r".to_owned(),
        perm: None,
    };
    refused(
        client.auth().role_grant_permission(nothing).await,
        InvalidArgument,
        "etcdserver: permission not given",
    );
    refused(
        grant(client, "", "s", Type::Read, ("a", "")).await,
        FailedPrecondition,
        "etcdserver: role name not found",
    );
    revoke(client, "", "r", ("a", "")).await.unwrap();
    refused(
        revoke(client, "", "r", ("a", "")).await,
        FailedPrecondition,
        "etcdserver: permission is not granted to the role",
    );
    add_role(client, "", "root").await.unwrap();
    let root = permissions_of(client, "", "root").await.unwrap();
    let all = Permission {
        perm_type: Type::Readwrite.into(),
        key: Vec::new().into(),
        range_end: vec![0].into(),
    };
    assert_eq!(root, [all]);
}

/// Wrong names and wrong passwords look alike.
pub async fn passwords_give_tokens(client: &Client) {
    let failed = "etcdserver: authentication failed, invalid user ID or password";
    refused(
        authenticate(client, "root", "root").await,
        FailedPrecondition,
        "etcdserver: authentication is not enabled",
    );
    let (root, alice) = enabled(client).await;
    assert_ne!(root, alice);
    for (name, password) in [("root", "x"), ("root", ""), ("nobody", "x"), ("", "")] {
        let given = authenticate(client, name, password).await;
        refused(given, InvalidArgument, failed);
    }
    let certified = AuthUserAddRequest {
        name: "certified".to_owned(),
        options: Some(UserAddOptions { no_password: true }),
        ..AuthUserAddRequest::default()
    };
    client.auth().user_add(by(&root, certified)).await.unwrap();
    refused(
        authenticate(client, "certified", "").await,
        Unknown,
        "auth: authentication failed, password was given for no password user",
    );
    // A client cannot bring a hash along.
    let mut hashed = AuthUserAddRequest {
        name: "hashed".to_owned(),
        password: "plain".to_owned(),
        hashed_password: "JDJhJDA0JA==".to_owned(),
        ..AuthUserAddRequest::default()
    };
    client
        .auth()
        .user_add(by(&root, hashed.clone()))
        .await
        .unwrap();
    authenticate(client, "hashed", "plain").await.unwrap();
    hashed.name = "alice".to_owned();
    let change = AuthUserChangePasswordRequest {
        name: "alice".to_owned(),
        password: "new".to_owned(),
        hashed_password: hashed.hashed_password,
    };
    client
        .auth()
        .user_change_password(by(&root, change))
        .await
        .unwrap();
    refused(
        authenticate(client, "alice", "alice").await,
        InvalidArgument,
        failed,
    );
    authenticate(client, "alice", "new").await.unwrap();
}

/// Everybody else may see oneself and one's own roles.
pub async fn only_root_administers(client: &Client) {
    let (root, alice) = enabled(client).await;
    for (token, code, text) in [
        (alice.as_str(), PermissionDenied, DENIED),
        ("", InvalidArgument, NOBODY),
    ] {
        let mut auth = client.auth();
        refused(
            auth.auth_enable(by(token, AuthEnableRequest {})).await,
            code,
            text,
        );
        refused(
            auth.auth_disable(by(token, AuthDisableRequest {})).await,
            code,
            text,
        );
        refused(add_user(client, token, "x").await, code, text);
        refused(add_role(client, token, "x").await, code, text);
        refused(grant_role(client, token, "alice", "root").await, code, text);
        let everything = ("a", "\0");
        let granted = grant(client, token, "letters", Type::Write, everything).await;
        refused(granted, code, text);
        refused(
            revoke(client, token, "letters", ("x", "")).await,
            code,
            text,
        );
        refused(
            auth.user_list(by(token, AuthUserListRequest {})).await,
            code,
            text,
        );
        refused(
            auth.role_list(by(token, AuthRoleListRequest {})).await,
            code,
            text,
        );
        refused(roles_of(client, token, "root").await, code, text);
        refused(permissions_of(client, token, "root").await, code, text);
        let change = AuthUserChangePasswordRequest {
            name: "alice".to_owned(),
            password: "x".to_owned(),
            ..AuthUserChangePasswordRequest::default()
        };
        refused(
            auth.user_change_password(by(token, change)).await,
            code,
            text,
        );
        let delete = AuthUserDeleteRequest {
            name: "alice".to_owned(),
        };
        refused(auth.user_delete(by(token, delete)).await, code, text);
    }
    assert_eq!(
        roles_of(client, &alice, "alice").await.unwrap(),
        ["letters"]
    );
    assert_eq!(
        permissions_of(client, &alice, "letters")
            .await
            .unwrap()
            .len(),
        2
    );
    assert_eq!(roles_of(client, &root, "alice").await.unwrap(), ["letters"]);
}

/// What would lock everybody out is refused.
pub async fn root_cannot_lose_itself(client: &Client) {
    let (root, _) = enabled(client).await;
    add_role(client, &root, "root").await.unwrap();
    let text = "etcdserver: invalid auth management";
    let mut auth = client.auth();
    let name = "root".to_owned();
    let delete = AuthUserDeleteRequest { name: name.clone() };
    refused(
        auth.user_delete(by(&root, delete)).await,
        InvalidArgument,
        text,
    );
    let take = AuthUserRevokeRoleRequest {
        name: name.clone(),
        role: name.clone(),
    };
    refused(
        auth.user_revoke_role(by(&root, take)).await,
        InvalidArgument,
        text,
    );
    let delete = AuthRoleDeleteRequest { role: name };
    refused(
        auth.role_delete(by(&root, delete)).await,
        InvalidArgument,
        text,
    );
}
