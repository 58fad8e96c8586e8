//! What the server asks of users, roles and tokens.

use super::{Caller, ROOT};
use crate::{Rejection, Store};
use bytes::Bytes;
use kvorum_proto::authpb::Permission;
use kvorum_proto::authpb::permission::Type;

impl Store {
    /// Names of all users, sorted.
    #[must_use]
    pub fn users(&self) -> Vec<String> {
        self.state.read().auth.users.keys().cloned().collect()
    }

    /// Names of all roles, sorted.
    #[must_use]
    pub fn roles(&self) -> Vec<String> {
        self.state.read().auth.roles.keys().cloned().collect()
    }

    /// Roles of a user.
    ///
    /// # Errors
    /// [`Rejection::UserNotFound`].
    pub fn user_roles(&self, user: &str) -> Result<Vec<String>, Rejection> {
        let state = self.state.read();
        let account = state.auth.users.get(user).ok_or(Rejection::UserNotFound)?;
        Ok(account.user.roles.clone())
    }

    /// Permissions of a role. The one named root has all, whatever was granted to it.
    ///
    /// # Errors
    /// [`Rejection::RoleNotFound`].
    pub fn role_permissions(&self, role: &str) -> Result<Vec<Permission>, Rejection> {
        let state = self.state.read();
        let granted = state.auth.roles.get(role).ok_or(Rejection::RoleNotFound)?;
        if role == ROOT {
            return Ok(vec![Permission {
                perm_type: Type::Readwrite.into(),
                key: Bytes::new(),
                range_end: Bytes::from_static(b"\0"),
            }]);
        }
        Ok(granted.clone())
    }

    /// The hashed password of a user and the auth revision it is of; empty if no password
    /// will do. `None`: no such user.
    #[must_use]
    pub fn password(&self, user: &str) -> Option<(Bytes, u64)> {
        let state = self.state.read();
        let account = state.auth.users.get(user)?;
        Some((account.user.password.clone(), state.auth.revision))
    }

    /// Whom a token was given to.
    #[must_use]
    pub fn token(&self, token: &str) -> Option<Caller> {
        let state = self.state.read();
        let user = state.auth.tokens.get(token)?.clone();
        Some(Caller {
            user,
            revision: state.auth.revision,
        })
    }

    /// All tokens.
    #[must_use]
    pub fn tokens(&self) -> Vec<String> {
        self.state.read().auth.tokens.keys().cloned().collect()
    }

    /// Forgets tokens whose time is up. Only this member does.
    pub fn forget_tokens(&self, tokens: &[String]) {
        let mut state = self.state.write();
        for token in tokens {
            state.auth.tokens.remove(token);
        }
    }
}
