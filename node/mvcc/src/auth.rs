//! Users, roles and what they may do.
//!
//! Part of the replicated state: a change of permissions has its place in the log
//! between the writes before and after it. Every change raises the auth revision;
//! who was known under an older one is asked to identify itself anew.

mod check;
mod manage;
mod read;
mod spans;

pub use check::Asked;

use crate::engine::{Row, Table, View};
use crate::restore::damaged;
use kvorum_proto::authpb::permission::Type;
use kvorum_proto::authpb::{Permission, Role, User};
use kvorum_proto::log::AuthRow;
use prost::Message;
use spans::Spans;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The user and the role that may do everything.
const ROOT: &str = "root";

/// Who asks, and under which auth revision that was found out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// Name of the user.
    pub user: String,
    /// Auth revision; 0: nobody.
    pub revision: u64,
}

/// What everybody asks of the permissions, without a lock.
#[derive(Debug, Default)]
pub struct Flag {
    enabled: AtomicBool,
    revision: AtomicU64,
}

impl Flag {
    /// Whether requests need a user.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    /// Raised by every change of permissions.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Relaxed)
    }
}

/// A user, with what its roles come to.
struct Account {
    user: User,
    root: bool,
    read: Spans,
    write: Spans,
}

/// The state.
pub(crate) struct Auth {
    flag: Arc<Flag>,
    enabled: bool,
    revision: u64,
    users: BTreeMap<String, Account>,
    roles: BTreeMap<String, Vec<Permission>>,
    /// Token → user. Not replicated state: every member forgets them by its own clock.
    tokens: BTreeMap<String, String>,
}

impl Auth {
    /// What an engine holds.
    pub(crate) fn load(view: &dyn View) -> io::Result<Self> {
        // etcd's first revision.
        let mut auth = Self {
            flag: Arc::default(),
            enabled: false,
            revision: 1,
            users: BTreeMap::new(),
            roles: BTreeMap::new(),
            tokens: BTreeMap::new(),
        };
        for (_, row) in view.rows(Table::Auth)? {
            let row = AuthRow::decode(row).map_err(|_| damaged("auth table"))?;
            (auth.enabled, auth.revision) = (row.enabled, row.revision);
        }
        for (name, row) in view.rows(Table::Role)? {
            let role = Role::decode(row).map_err(|_| damaged("table of roles"))?;
            auth.roles.insert(text(&name)?, role.key_permission);
        }
        for (name, row) in view.rows(Table::User)? {
            let user = User::decode(row).map_err(|_| damaged("table of users"))?;
            let account = auth.account(user);
            auth.users.insert(text(&name)?, account);
        }
        auth.publish();
        Ok(auth)
    }

    pub(crate) fn flag(&self) -> Arc<Flag> {
        self.flag.clone()
    }

    /// Takes the place of another state: those who ask the flag go on with this one's.
    /// Tokens go on only if nothing changed that could have ended them.
    pub(crate) fn succeed(&mut self, before: &mut Self) {
        self.flag = before.flag.clone();
        if self.enabled && before.enabled && self.revision == before.revision {
            self.tokens = std::mem::take(&mut before.tokens);
        }
        self.publish();
    }

    fn publish(&self) {
        self.flag.revision.store(self.revision, Ordering::Relaxed);
        self.flag.enabled.store(self.enabled, Ordering::Relaxed);
    }

    /// Works out what a user may do.
    fn account(&self, user: User) -> Account {
        let granted = || {
            user.roles
                .iter()
                .filter_map(|r| self.roles.get(r))
                .flatten()
        };
        let of = |other: Type| {
            let fits =
                move |p: &&Permission| p.perm_type() == other || p.perm_type() == Type::Readwrite;
            Spans::new(
                granted()
                    .filter(fits)
                    .map(|p| (&p.key[..], &p.range_end[..])),
            )
        };
        Account {
            root: user.roles.iter().any(|r| r == ROOT),
            read: of(Type::Read),
            write: of(Type::Write),
            user,
        }
    }

    /// Notes a changed user.
    fn set_user(&mut self, name: &str, user: User, rows: &mut Vec<Row>) {
        let row = (
            Table::User,
            name.as_bytes().to_vec(),
            Some(user.encode_to_vec()),
        );
        rows.push(row);
        let account = self.account(user);
        self.users.insert(name.to_owned(), account);
    }

    /// Notes a changed role, and what that means for those who have it.
    fn set_role(&mut self, name: &str, permissions: Vec<Permission>, rows: &mut Vec<Row>) {
        let role = Role {
            name: name.as_bytes().to_vec().into(),
            key_permission: permissions,
        };
        let row = (
            Table::Role,
            name.as_bytes().to_vec(),
            Some(role.encode_to_vec()),
        );
        rows.push(row);
        self.roles.insert(name.to_owned(), role.key_permission);
        let holders: Vec<(String, User)> = self
            .users
            .iter()
            .filter(|(_, account)| account.user.roles.iter().any(|r| r == name))
            .map(|(name, account)| (name.clone(), account.user.clone()))
            .collect();
        for (name, user) in holders {
            let account = self.account(user);
            self.users.insert(name, account);
        }
    }

    /// Notes that something changed.
    fn changed(&mut self, rows: &mut Vec<Row>) {
        self.revision += 1;
        self.note(rows);
    }

    fn note(&mut self, rows: &mut Vec<Row>) {
        let row = AuthRow {
            enabled: self.enabled,
            revision: self.revision,
        };
        rows.push((Table::Auth, Vec::new(), Some(row.encode_to_vec())));
        self.publish();
    }
}

fn text(name: &[u8]) -> io::Result<String> {
    String::from_utf8(name.to_vec()).map_err(|_| damaged("table of users or roles"))
}
