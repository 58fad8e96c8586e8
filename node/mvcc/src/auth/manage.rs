//! Changing users, roles and permissions, with etcd's refusals.

use super::{Auth, ROOT};
use crate::apply::Write;
use crate::engine::{Row, Table};
use crate::store::Error;
use crate::{KeyRange, Rejection};
use bytes::Bytes;
use kvorum_proto::authpb::{Permission, User, UserAddOptions};
use kvorum_proto::etcdserverpb::{
    AuthRoleGrantPermissionRequest, AuthRoleRevokePermissionRequest, AuthUserAddRequest,
    AuthUserChangePasswordRequest, AuthUserGrantRoleRequest, AuthUserRevokeRoleRequest,
};
use kvorum_proto::log::auth_change::Change;
use kvorum_proto::log::{AssignToken, AuthChange, reply};

type Done = Result<(), Rejection>;

impl Write<'_> {
    /// Applies a change; the log index makes tokens unique.
    pub(crate) fn change_auth(
        &mut self,
        change: AuthChange,
        index: u64,
    ) -> Result<reply::Op, Error> {
        let state = &mut *self.state;
        if let Some(Change::AssignToken(assign)) = change.change {
            return Ok(reply::Op::Token(state.auth.assign(assign, index)?));
        }
        state.auth.change(change, &mut state.rows)?;
        Ok(reply::Op::Done(state.revision))
    }
}

fn passwordless(options: Option<&UserAddOptions>) -> bool {
    options.is_some_and(|o| o.no_password)
}

/// A range that a permission may have.
fn sensible(permission: &Permission) -> bool {
    !permission.key.is_empty()
        && match KeyRange::new(&permission.key, &permission.range_end) {
            KeyRange::Span(from, end) => from < end,
            KeyRange::One(_) | KeyRange::From(_) => true,
        }
}

impl Auth {
    fn change(&mut self, change: AuthChange, rows: &mut Vec<Row>) -> Done {
        match change.change {
            Some(Change::Enable(_)) => self.enable(rows),
            Some(Change::Disable(_)) => {
                self.disable(rows);
                Ok(())
            }
            Some(Change::UserAdd(r)) => self.add_user(r, rows),
            Some(Change::UserDelete(r)) => self.delete_user(&r.name, rows),
            Some(Change::UserChangePassword(r)) => self.change_password(r, rows),
            Some(Change::UserGrantRole(r)) => self.grant_role(r, rows),
            Some(Change::UserRevokeRole(r)) => self.revoke_role(&r, rows),
            Some(Change::RoleAdd(r)) => self.add_role(&r.name, rows),
            Some(Change::RoleDelete(r)) => self.delete_role(&r.role, rows),
            Some(Change::RoleGrantPermission(r)) => self.grant_permission(r, rows),
            Some(Change::RoleRevokePermission(r)) => self.revoke_permission(&r, rows),
            Some(Change::AssignToken(_)) | None => Err(Rejection::Unknown),
        }
    }

    fn enable(&mut self, rows: &mut Vec<Row>) -> Done {
        if self.enabled {
            return Ok(());
        }
        let root = self.users.get(ROOT).ok_or(Rejection::RootUserMissing)?;
        if !root.root {
            return Err(Rejection::RootRoleMissing);
        }
        self.enabled = true;
        // Not a change of permissions: etcd keeps the revision too.
        self.note(rows);
        Ok(())
    }

    fn disable(&mut self, rows: &mut Vec<Row>) {
        if self.enabled {
            self.enabled = false;
            self.tokens.clear();
            self.changed(rows);
        }
    }

    /// Gives a token to a user whose password was right.
    fn assign(&mut self, assign: AssignToken, index: u64) -> Result<String, Rejection> {
        if !self.enabled {
            return Err(Rejection::AuthNotEnabled);
        }
        let user = self.users.get(&assign.user).ok_or(Rejection::AuthFailed)?;
        if passwordless(user.user.options.as_ref()) {
            return Err(Rejection::AuthFailed);
        }
        let token = format!("{}.{index}", assign.secret);
        self.tokens.insert(token.clone(), assign.user);
        Ok(token)
    }

    fn end_tokens(&mut self, user: &str) {
        self.tokens.retain(|_, owner| owner != user);
    }

    fn add_user(&mut self, request: AuthUserAddRequest, rows: &mut Vec<Row>) -> Done {
        if request.name.is_empty() {
            return Err(Rejection::UserNameEmpty);
        }
        if self.users.contains_key(&request.name) {
            return Err(Rejection::UserExists);
        }
        let options = request.options.unwrap_or_default();
        let password = if options.no_password {
            Bytes::new()
        } else {
            request.hashed_password.into()
        };
        let user = User {
            name: request.name.clone().into(),
            password,
            roles: Vec::new(),
            options: Some(options),
        };
        self.set_user(&request.name, user, rows);
        self.changed(rows);
        Ok(())
    }

    fn delete_user(&mut self, name: &str, rows: &mut Vec<Row>) -> Done {
        if self.enabled && name == ROOT {
            return Err(Rejection::InvalidAuthManagement);
        }
        self.users.remove(name).ok_or(Rejection::UserNotFound)?;
        rows.push((Table::User, name.as_bytes().to_vec(), None));
        self.changed(rows);
        self.end_tokens(name);
        Ok(())
    }

    fn user(&self, name: &str) -> Result<User, Rejection> {
        let account = self.users.get(name).ok_or(Rejection::UserNotFound)?;
        Ok(account.user.clone())
    }

    fn change_password(
        &mut self,
        request: AuthUserChangePasswordRequest,
        rows: &mut Vec<Row>,
    ) -> Done {
        let mut user = self.user(&request.name)?;
        user.password = if passwordless(user.options.as_ref()) {
            Bytes::new()
        } else {
            request.hashed_password.into()
        };
        self.set_user(&request.name, user, rows);
        self.changed(rows);
        self.end_tokens(&request.name);
        Ok(())
    }

    fn grant_role(&mut self, request: AuthUserGrantRoleRequest, rows: &mut Vec<Row>) -> Done {
        let mut user = self.user(&request.user)?;
        // Root may do everything, whether there is a role of that name or not.
        if request.role != ROOT && !self.roles.contains_key(&request.role) {
            return Err(Rejection::RoleNotFound);
        }
        if let Err(place) = user.roles.binary_search(&request.role) {
            user.roles.insert(place, request.role);
            self.set_user(&request.user, user, rows);
            self.changed(rows);
        }
        Ok(())
    }

    fn revoke_role(&mut self, request: &AuthUserRevokeRoleRequest, rows: &mut Vec<Row>) -> Done {
        if self.enabled && request.name == ROOT && request.role == ROOT {
            return Err(Rejection::InvalidAuthManagement);
        }
        let mut user = self.user(&request.name)?;
        let place = user.roles.binary_search(&request.role);
        user.roles
            .remove(place.map_err(|_| Rejection::RoleNotGranted)?);
        self.set_user(&request.name, user, rows);
        self.changed(rows);
        Ok(())
    }

    fn add_role(&mut self, name: &str, rows: &mut Vec<Row>) -> Done {
        if name.is_empty() {
            return Err(Rejection::RoleNameEmpty);
        }
        if self.roles.contains_key(name) {
            return Err(Rejection::RoleExists);
        }
        self.set_role(name, Vec::new(), rows);
        self.changed(rows);
        Ok(())
    }

    fn delete_role(&mut self, name: &str, rows: &mut Vec<Row>) -> Done {
        if self.enabled && name == ROOT {
            return Err(Rejection::InvalidAuthManagement);
        }
        self.roles.remove(name).ok_or(Rejection::RoleNotFound)?;
        rows.push((Table::Role, name.as_bytes().to_vec(), None));
        let holders: Vec<(String, User)> = self
            .users
            .iter()
            .filter(|(_, account)| account.user.roles.iter().any(|r| r == name))
            .map(|(holder, account)| (holder.clone(), account.user.clone()))
            .collect();
        for (holder, mut user) in holders {
            user.roles.retain(|role| role != name);
            self.set_user(&holder, user, rows);
        }
        self.changed(rows);
        Ok(())
    }

    fn role(&self, name: &str) -> Result<Vec<Permission>, Rejection> {
        self.roles.get(name).cloned().ok_or(Rejection::RoleNotFound)
    }

    fn grant_permission(
        &mut self,
        request: AuthRoleGrantPermissionRequest,
        rows: &mut Vec<Row>,
    ) -> Done {
        let permission = request.perm.ok_or(Rejection::PermissionNotGiven)?;
        if !sensible(&permission) {
            return Err(Rejection::InvalidAuthManagement);
        }
        let mut permissions = self.role(&request.name)?;
        let same = |p: &&mut Permission| {
            (&p.key, &p.range_end) == (&permission.key, &permission.range_end)
        };
        if let Some(known) = permissions.iter_mut().find(same) {
            known.perm_type = permission.perm_type;
        } else {
            let place = permissions.partition_point(|p| p.key <= permission.key);
            permissions.insert(place, permission);
        }
        self.set_role(&request.name, permissions, rows);
        self.changed(rows);
        Ok(())
    }

    fn revoke_permission(
        &mut self,
        request: &AuthRoleRevokePermissionRequest,
        rows: &mut Vec<Row>,
    ) -> Done {
        let mut permissions = self.role(&request.role)?;
        let before = permissions.len();
        permissions.retain(|p| p.key != request.key || p.range_end != request.range_end);
        if permissions.len() == before {
            return Err(Rejection::PermissionNotGranted);
        }
        self.set_role(&request.role, permissions, rows);
        self.changed(rows);
        Ok(())
    }
}
