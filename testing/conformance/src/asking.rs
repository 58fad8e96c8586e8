//! Users, roles and tokens in the hands of a test.

use kvorum_processes::Client;
use kvorum_proto::authpb::Permission;
use kvorum_proto::authpb::permission::Type;
use kvorum_proto::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthRoleGrantPermissionRequest,
    AuthRoleRevokePermissionRequest, AuthStatusRequest, AuthUserAddRequest,
    AuthUserGrantRoleRequest, AuthenticateRequest, PutRequest,
};
use tonic::{Request, Status};

/// What is told to those who may not.
pub const DENIED: &str = "etcdserver: permission denied";
/// What is told to those who do not say who they are.
pub const NOBODY: &str = "etcdserver: user name is empty";

/// A request with a token; none: without.
pub fn by<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if !token.is_empty() {
        request
            .metadata_mut()
            .insert("token", token.parse().unwrap());
    }
    request
}

/// Puts an empty value in the name of a token.
///
/// # Errors
/// The server's.
pub async fn put(client: &Client, token: &str, key: &str) -> Result<(), Status> {
    let request = PutRequest {
        key: key.to_owned().into(),
        ..PutRequest::default()
    };
    client.kv().put(by(token, request)).await.map(|_| ())
}

/// Adds a user whose password is its name.
pub async fn add_user(client: &Client, token: &str, name: &str) -> Result<(), Status> {
    let request = AuthUserAddRequest {
        name: name.to_owned(),
        password: name.to_owned(),
        ..AuthUserAddRequest::default()
    };
    client.auth().user_add(by(token, request)).await.map(|_| ())
}

/// Adds a role.
pub async fn add_role(client: &Client, token: &str, name: &str) -> Result<(), Status> {
    let request = AuthRoleAddRequest {
        name: name.to_owned(),
    };
    client.auth().role_add(by(token, request)).await.map(|_| ())
}

/// Gives a role to a user.
pub async fn grant_role(
    client: &Client,
    token: &str,
    user: &str,
    role: &str,
) -> Result<(), Status> {
    let request = AuthUserGrantRoleRequest {
        user: user.to_owned(),
        role: role.to_owned(),
    };
    let granted = client.auth().user_grant_role(by(token, request)).await;
    granted.map(|_| ())
}

/// Gives a permission to a role.
pub async fn grant(
    client: &Client,
    token: &str,
    role: &str,
    kind: Type,
    range: (&str, &str),
) -> Result<(), Status> {
    let request = AuthRoleGrantPermissionRequest {
        name: role.to_owned(),
        perm: Some(Permission {
            perm_type: kind.into(),
            key: range.0.to_owned().into(),
            range_end: range.1.to_owned().into(),
        }),
    };
    let granted = client
        .auth()
        .role_grant_permission(by(token, request))
        .await;
    granted.map(|_| ())
}

/// Takes a permission away.
pub async fn revoke(
    client: &Client,
    token: &str,
    role: &str,
    range: (&str, &str),
) -> Result<(), Status> {
    let request = AuthRoleRevokePermissionRequest {
        role: role.to_owned(),
        key: range.0.to_owned().into(),
        range_end: range.1.to_owned().into(),
    };
    let revoked = client
        .auth()
        .role_revoke_permission(by(token, request))
        .await;
    revoked.map(|_| ())
}

/// A token for a password.
pub async fn authenticate(client: &Client, name: &str, password: &str) -> Result<String, Status> {
    let request = AuthenticateRequest {
        name: name.to_owned(),
        password: password.to_owned(),
    };
    Ok(client
        .auth()
        .authenticate(request)
        .await?
        .into_inner()
        .token)
}

/// Whether authentication is on, and the auth revision.
pub async fn status(client: &Client) -> (bool, u64) {
    let status = client.auth().auth_status(AuthStatusRequest {}).await;
    let status = status.unwrap().into_inner();
    (status.enabled, status.auth_revision)
}

/// Turns authentication on, with root and with alice, who may read and write [a, c) and
/// read x; the tokens of both.
pub async fn enabled(client: &Client) -> (String, String) {
    for name in ["root", "alice"] {
        add_user(client, "", name).await.unwrap();
    }
    add_role(client, "", "letters").await.unwrap();
    let all = ("a", "c");
    grant(client, "", "letters", Type::Readwrite, all)
        .await
        .unwrap();
    grant(client, "", "letters", Type::Read, ("x", ""))
        .await
        .unwrap();
    grant_role(client, "", "alice", "letters").await.unwrap();
    grant_role(client, "", "root", "root").await.unwrap();
    client
        .auth()
        .auth_enable(AuthEnableRequest {})
        .await
        .unwrap();
    (
        authenticate(client, "root", "root").await.unwrap(),
        authenticate(client, "alice", "alice").await.unwrap(),
    )
}
