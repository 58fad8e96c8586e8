//! Whether a request is allowed: one function for all of them.

use super::{Auth, Caller};
use crate::lease::Leases;
use crate::store::State;
use crate::{KeyRange, Rejection, Store};
use kvorum_proto::etcdserverpb::{
    DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, request_op,
};
use kvorum_proto::log::{AuthChange, Command, auth_change, command};

type Checked = Result<(), Rejection>;

/// What may be asked for.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'a> {
    /// Reading a range.
    Range(&'a RangeRequest),
    /// Writing a key.
    Put(&'a PutRequest),
    /// Deleting a range.
    Delete(&'a DeleteRangeRequest),
    /// Everything that a transaction might do, on either branch.
    Txn(&'a TxnRequest),
    /// Hearing of changes.
    Watch(KeyRange<'a>),
    /// Ending or renewing a lease: writing its keys.
    LeaseWrite(i64),
    /// Seeing the keys of a lease.
    LeaseRead(i64),
    /// Seeing all leases.
    Leases,
    /// What only root may do.
    Administration,
    /// What every user may do.
    Anything,
    /// Seeing a user: root may, and the user itself.
    User(&'a str),
    /// Seeing a role: root may, and who has it.
    Role(&'a str),
}

#[derive(Debug, Clone, Copy)]
enum Access {
    Read,
    Write,
}

impl Auth {
    /// Whether a user may touch every key of a range.
    fn permits(&self, caller: &Caller, access: Access, range: KeyRange<'_>) -> Checked {
        if caller.revision == 0 {
            return Err(Rejection::UserNameEmpty);
        }
        if caller.revision < self.revision {
            return Err(Rejection::AuthOldRevision);
        }
        let Some(account) = self.users.get(&caller.user) else {
            return Err(Rejection::PermissionDenied);
        };
        let spans = match access {
            Access::Read => &account.read,
            Access::Write => &account.write,
        };
        if account.root || spans.cover(range) {
            Ok(())
        } else {
            Err(Rejection::PermissionDenied)
        }
    }

    /// Whether a user is root.
    fn administers(&self, caller: &Caller) -> Checked {
        if caller.revision == 0 || caller.user.is_empty() {
            return Err(Rejection::UserNameEmpty);
        }
        match self.users.get(&caller.user) {
            None => Err(Rejection::UserNotFound),
            Some(account) if account.root => Ok(()),
            Some(_) => Err(Rejection::PermissionDenied),
        }
    }
}

/// The state as far as permissions depend on it.
struct Judge<'s> {
    auth: &'s Auth,
    leases: &'s Leases,
    caller: &'s Caller,
}

impl Judge<'_> {
    fn allows(&self, asked: Asked<'_>) -> Checked {
        match asked {
            Asked::Range(r) => self.read(&r.key, &r.range_end),
            Asked::Put(r) => self.put(r),
            Asked::Delete(r) => self.delete(r),
            Asked::Txn(r) => self.txn(r),
            Asked::Watch(range) => self.auth.permits(self.caller, Access::Read, range),
            Asked::LeaseWrite(id) => self.lease(id, Access::Write),
            Asked::LeaseRead(id) => self.lease(id, Access::Read),
            Asked::Leases => self
                .leases
                .list()
                .iter()
                .try_for_each(|lease| self.lease(lease.id, Access::Read)),
            Asked::Administration => self.auth.administers(self.caller),
            Asked::Anything if self.caller.revision == 0 => Err(Rejection::UserNameEmpty),
            Asked::Anything => Ok(()),
            Asked::User(name) => match self.auth.administers(self.caller) {
                Err(_) if name == self.caller.user => Ok(()),
                checked => checked,
            },
            Asked::Role(name) => {
                let own = self.auth.users.get(&self.caller.user);
                match self.auth.administers(self.caller) {
                    Err(_) if own.is_some_and(|a| a.user.roles.iter().any(|r| r == name)) => Ok(()),
                    checked => checked,
                }
            }
        }
    }

    fn read(&self, key: &[u8], end: &[u8]) -> Checked {
        self.auth
            .permits(self.caller, Access::Read, KeyRange::new(key, end))
    }

    fn write(&self, key: &[u8], end: &[u8]) -> Checked {
        self.auth
            .permits(self.caller, Access::Write, KeyRange::new(key, end))
    }

    fn put(&self, request: &PutRequest) -> Checked {
        self.write(&request.key, b"")?;
        // Who may not end a lease must not tie a key of its own to it.
        self.lease(request.lease, Access::Write)?;
        if request.prev_kv {
            self.read(&request.key, b"")?;
        }
        Ok(())
    }

    fn delete(&self, request: &DeleteRangeRequest) -> Checked {
        self.write(&request.key, &request.range_end)?;
        if request.prev_kv {
            self.read(&request.key, &request.range_end)?;
        }
        Ok(())
    }

    fn txn(&self, request: &TxnRequest) -> Checked {
        for compare in &request.compare {
            self.read(&compare.key, &compare.range_end)?;
        }
        let operations = request.success.iter().chain(&request.failure);
        operations.into_iter().try_for_each(|op| self.operation(op))
    }

    fn operation(&self, operation: &RequestOp) -> Checked {
        match &operation.request {
            Some(request_op::Request::RequestRange(r)) => self.read(&r.key, &r.range_end),
            Some(request_op::Request::RequestPut(r)) => self.put(r),
            Some(request_op::Request::RequestDeleteRange(r)) => self.delete(r),
            Some(request_op::Request::RequestTxn(r)) => self.txn(r),
            None => Ok(()),
        }
    }

    fn lease(&self, id: i64, access: Access) -> Checked {
        if self.auth.administers(self.caller).is_ok() {
            return Ok(());
        }
        for key in self.leases.keys(id) {
            self.auth.permits(self.caller, access, KeyRange::One(key))?;
        }
        Ok(())
    }
}

impl State {
    fn judge<'s>(&'s self, caller: &'s Caller) -> Judge<'s> {
        Judge {
            auth: &self.auth,
            leases: &self.leases,
            caller,
        }
    }

    /// Whether a command may be applied. What members do by themselves, and what was
    /// checked when it was asked for, needs nothing here.
    pub(crate) fn permit_command(&self, command: &Command) -> Checked {
        if !self.auth.enabled {
            return Ok(());
        }
        let asked = match &command.op {
            Some(command::Op::Put(r)) => Asked::Put(r),
            Some(command::Op::DeleteRange(r)) => Asked::Delete(r),
            Some(command::Op::Txn(r)) => Asked::Txn(r),
            Some(command::Op::LeaseRevoke(r)) => Asked::LeaseWrite(r.id),
            // The password was right under this revision; it may have changed since.
            Some(command::Op::Auth(AuthChange {
                change: Some(auth_change::Change::AssignToken(_)),
            })) => {
                return if command.auth_revision == self.auth.revision {
                    Ok(())
                } else {
                    Err(Rejection::AuthOldRevision)
                };
            }
            Some(command::Op::Auth(_)) => Asked::Administration,
            _ => return Ok(()),
        };
        let caller = Caller {
            user: command.user.clone(),
            revision: command.auth_revision,
        };
        self.judge(&caller).allows(asked)
    }
}

impl Store {
    /// What can be told of permissions without a lock.
    #[must_use]
    pub fn auth(&self) -> &super::Flag {
        &self.auth
    }

    /// Whether a request is allowed now.
    ///
    /// # Errors
    /// Why not.
    pub fn permit(&self, caller: &Caller, asked: Asked<'_>) -> Result<(), Rejection> {
        let state = self.state.read();
        if !state.auth.enabled {
            return Ok(());
        }
        state.judge(caller).allows(asked)
    }
}
