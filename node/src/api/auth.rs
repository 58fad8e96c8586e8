//! The Auth service: users, roles, permissions, and tokens for passwords.

use super::caller::Origin;
use super::{Api, errors};
use crate::auth::{Tokens, new_secret};
use crate::limits::REQUEST_TIMEOUT;
use kvorum_mvcc::auth::{Asked, Caller};
use kvorum_proto::etcdserverpb::auth_server::Auth;
use kvorum_proto::etcdserverpb::{
    AuthDisableRequest, AuthDisableResponse, AuthEnableRequest, AuthEnableResponse,
    AuthRoleAddRequest, AuthRoleAddResponse, AuthRoleDeleteRequest, AuthRoleDeleteResponse,
    AuthRoleGetRequest, AuthRoleGetResponse, AuthRoleGrantPermissionRequest,
    AuthRoleGrantPermissionResponse, AuthRoleListRequest, AuthRoleListResponse,
    AuthRoleRevokePermissionRequest, AuthRoleRevokePermissionResponse, AuthStatusRequest,
    AuthStatusResponse, AuthUserAddRequest, AuthUserAddResponse, AuthUserChangePasswordRequest,
    AuthUserChangePasswordResponse, AuthUserDeleteRequest, AuthUserDeleteResponse,
    AuthUserGetRequest, AuthUserGetResponse, AuthUserGrantRoleRequest, AuthUserGrantRoleResponse,
    AuthUserListRequest, AuthUserListResponse, AuthUserRevokeRoleRequest,
    AuthUserRevokeRoleResponse, AuthenticateRequest, AuthenticateResponse, ResponseHeader,
};
use kvorum_proto::log::auth_change::Change;
use kvorum_proto::log::{AssignToken, AuthChange, command, reply};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

impl Api {
    /// Has a change applied in the sender's name; a header for its answer.
    async fn change_auth(
        &self,
        origin: &Origin,
        change: Change,
    ) -> Result<Option<ResponseHeader>, Status> {
        let op = command::Op::Auth(AuthChange {
            change: Some(change),
        });
        match self.propose_by(origin, op).await? {
            reply::Op::Done(revision) => Ok(Some(self.header(revision))),
            _ => Err(Status::internal("a change of auth gave another reply")),
        }
    }

    /// Hashing a password takes long: not for those who may not have it hashed.
    async fn administered_by(&self, origin: &Origin) -> Result<(), Status> {
        let caller = self.caller(origin).await?;
        self.permit(&caller, Asked::Administration)
    }

    /// The same for a request that is logged as it came.
    async fn apply_auth<T>(
        &self,
        request: Request<T>,
        change: impl FnOnce(T) -> Change,
    ) -> Result<Option<ResponseHeader>, Status> {
        let (origin, request) = Origin::of(request);
        self.change_auth(&origin, change(request)).await
    }

    /// Makes sure that what is read is new and that the caller may; a header for the answer.
    async fn read_auth<T>(
        &self,
        request: Request<T>,
        asked: impl Fn(&T) -> Asked<'_>,
    ) -> Result<(Option<ResponseHeader>, T), Status> {
        self.refuse_learner()?;
        self.linearize().await?;
        let (caller, request) = self.known(request).await?;
        self.permit(&caller, asked(&request))?;
        let header = self.header(self.member.store().revision());
        Ok((Some(header), request))
    }

    /// A token for a user whose password is right.
    async fn token_for(&self, name: &str, password: &str) -> Result<(String, i64), Status> {
        let store = self.member.store();
        let auth = self.member.auth();
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        loop {
            if !store.auth().enabled() {
                return Err(errors::auth_not_enabled());
            }
            let known = store.password(name);
            let exists = known.is_some();
            let (hash, revision) = known.unwrap_or_default();
            let passwordless = exists && hash.is_empty();
            let matches = auth.passwords.matches(password.to_owned(), Some(hash));
            if !matches.await? {
                tracing::info!(user = name, "Authentication failed");
                return Err(if passwordless {
                    errors::user_without_password()
                } else {
                    errors::auth_failed()
                });
            }
            if let Some(given) = self.give_token(name, revision).await? {
                return Ok(given);
            }
            // Permissions, or the password itself, changed while it was compared.
            if Instant::now() >= deadline {
                return Err(errors::old_auth_revision());
            }
        }
    }

    /// Gives a token if nothing changed since the password was found right.
    async fn give_token(&self, user: &str, revision: u64) -> Result<Option<(String, i64)>, Status> {
        let store = self.member.store();
        let under = |user: &str| Caller {
            user: user.to_owned(),
            revision,
        };
        if let Tokens::Jwt(jwt) = &self.member.auth().tokens {
            let signed = jwt.sign(&under(user));
            let signed = signed.map_err(|e| Status::internal(e.to_string()))?;
            let token = signed.ok_or_else(errors::cannot_sign)?;
            let same = store.auth().revision() == revision;
            return Ok(same.then(|| (token, store.revision())));
        }
        let op = command::Op::Auth(AuthChange {
            change: Some(Change::AssignToken(AssignToken {
                user: user.to_owned(),
                secret: new_secret(),
            })),
        });
        match self.propose_for(&under(""), op).await {
            Ok(reply::Op::Token(token)) => Ok(Some((token, store.revision()))),
            Ok(_) => Err(Status::internal("a token gave another reply")),
            Err(status) if status.message() == errors::old_auth_revision().message() => Ok(None),
            Err(status) => Err(status),
        }
    }
}

macro_rules! logged {
    ($($(#[$doc:meta])* $method:ident: $request:ident => $response:ident, $change:ident;)*) => {
        /// Changes that are logged as they come.
        impl Api {
            $(async fn $method(
                &self,
                request: Request<$request>,
            ) -> Result<Response<$response>, Status> {
                let header = self.apply_auth(request, Change::$change).await?;
                Ok(Response::new($response { header }))
            })*
        }
    };
}

logged! {
    enable: AuthEnableRequest => AuthEnableResponse, Enable;
    disable: AuthDisableRequest => AuthDisableResponse, Disable;
    delete_user: AuthUserDeleteRequest => AuthUserDeleteResponse, UserDelete;
    grant_role: AuthUserGrantRoleRequest => AuthUserGrantRoleResponse, UserGrantRole;
    revoke_role: AuthUserRevokeRoleRequest => AuthUserRevokeRoleResponse, UserRevokeRole;
    add_role: AuthRoleAddRequest => AuthRoleAddResponse, RoleAdd;
    delete_role: AuthRoleDeleteRequest => AuthRoleDeleteResponse, RoleDelete;
    grant_permission: AuthRoleGrantPermissionRequest => AuthRoleGrantPermissionResponse, RoleGrantPermission;
    revoke_permission: AuthRoleRevokePermissionRequest => AuthRoleRevokePermissionResponse, RoleRevokePermission;
}

#[tonic::async_trait]
impl Auth for Api {
    async fn auth_enable(
        &self,
        request: Request<AuthEnableRequest>,
    ) -> Result<Response<AuthEnableResponse>, Status> {
        self.enable(request).await
    }

    async fn auth_disable(
        &self,
        request: Request<AuthDisableRequest>,
    ) -> Result<Response<AuthDisableResponse>, Status> {
        self.disable(request).await
    }

    async fn auth_status(
        &self,
        _request: Request<AuthStatusRequest>,
    ) -> Result<Response<AuthStatusResponse>, Status> {
        // Whoever has to authenticate must be able to find that out.
        self.refuse_learner()?;
        self.linearize().await?;
        let store = self.member.store();
        Ok(Response::new(AuthStatusResponse {
            header: Some(self.header(store.revision())),
            enabled: store.auth().enabled(),
            auth_revision: store.auth().revision(),
        }))
    }

    async fn authenticate(
        &self,
        request: Request<AuthenticateRequest>,
    ) -> Result<Response<AuthenticateResponse>, Status> {
        let request = request.into_inner();
        self.refuse_learner()?;
        self.linearize().await?;
        let (token, revision) = self.token_for(&request.name, &request.password).await?;
        Ok(Response::new(AuthenticateResponse {
            header: Some(self.header(revision)),
            token,
        }))
    }

    async fn user_add(
        &self,
        request: Request<AuthUserAddRequest>,
    ) -> Result<Response<AuthUserAddResponse>, Status> {
        let (origin, mut request) = Origin::of(request);
        self.administered_by(&origin).await?;
        let password = std::mem::take(&mut request.password);
        let passwordless = request.options.is_some_and(|o| o.no_password);
        // Whatever came in its place: only what was hashed here counts.
        request.hashed_password = if passwordless {
            String::new()
        } else {
            self.member.auth().passwords.hash(password).await?
        };
        let header = self.change_auth(&origin, Change::UserAdd(request)).await?;
        Ok(Response::new(AuthUserAddResponse { header }))
    }

    async fn user_get(
        &self,
        request: Request<AuthUserGetRequest>,
    ) -> Result<Response<AuthUserGetResponse>, Status> {
        let (header, request) = self.read_auth(request, |r| Asked::User(&r.name)).await?;
        let roles = self.member.store().user_roles(&request.name);
        let roles = roles.map_err(errors::from_rejection)?;
        Ok(Response::new(AuthUserGetResponse { header, roles }))
    }

    async fn user_list(
        &self,
        request: Request<AuthUserListRequest>,
    ) -> Result<Response<AuthUserListResponse>, Status> {
        let (header, _) = self.read_auth(request, |_| Asked::Administration).await?;
        let users = self.member.store().users();
        Ok(Response::new(AuthUserListResponse { header, users }))
    }

    async fn user_delete(
        &self,
        request: Request<AuthUserDeleteRequest>,
    ) -> Result<Response<AuthUserDeleteResponse>, Status> {
        self.delete_user(request).await
    }

    async fn user_change_password(
        &self,
        request: Request<AuthUserChangePasswordRequest>,
    ) -> Result<Response<AuthUserChangePasswordResponse>, Status> {
        let (origin, mut request) = Origin::of(request);
        self.administered_by(&origin).await?;
        let password = std::mem::take(&mut request.password);
        request.hashed_password = self.member.auth().passwords.hash(password).await?;
        let change = Change::UserChangePassword(request);
        let header = self.change_auth(&origin, change).await?;
        Ok(Response::new(AuthUserChangePasswordResponse { header }))
    }

    async fn user_grant_role(
        &self,
        request: Request<AuthUserGrantRoleRequest>,
    ) -> Result<Response<AuthUserGrantRoleResponse>, Status> {
        self.grant_role(request).await
    }

    async fn user_revoke_role(
        &self,
        request: Request<AuthUserRevokeRoleRequest>,
    ) -> Result<Response<AuthUserRevokeRoleResponse>, Status> {
        self.revoke_role(request).await
    }

    async fn role_add(
        &self,
        request: Request<AuthRoleAddRequest>,
    ) -> Result<Response<AuthRoleAddResponse>, Status> {
        self.add_role(request).await
    }

    async fn role_get(
        &self,
        request: Request<AuthRoleGetRequest>,
    ) -> Result<Response<AuthRoleGetResponse>, Status> {
        let (header, request) = self.read_auth(request, |r| Asked::Role(&r.role)).await?;
        let perm = self.member.store().role_permissions(&request.role);
        let perm = perm.map_err(errors::from_rejection)?;
        Ok(Response::new(AuthRoleGetResponse { header, perm }))
    }

    async fn role_list(
        &self,
        request: Request<AuthRoleListRequest>,
    ) -> Result<Response<AuthRoleListResponse>, Status> {
        let (header, _) = self.read_auth(request, |_| Asked::Administration).await?;
        let roles = self.member.store().roles();
        Ok(Response::new(AuthRoleListResponse { header, roles }))
    }

    async fn role_delete(
        &self,
        request: Request<AuthRoleDeleteRequest>,
    ) -> Result<Response<AuthRoleDeleteResponse>, Status> {
        self.delete_role(request).await
    }

    async fn role_grant_permission(
        &self,
        request: Request<AuthRoleGrantPermissionRequest>,
    ) -> Result<Response<AuthRoleGrantPermissionResponse>, Status> {
        self.grant_permission(request).await
    }

    async fn role_revoke_permission(
        &self,
        request: Request<AuthRoleRevokePermissionRequest>,
    ) -> Result<Response<AuthRoleRevokePermissionResponse>, Status> {
        self.revoke_permission(request).await
    }
}
