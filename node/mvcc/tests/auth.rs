//! Goal: every kind of request is allowed exactly when the user's roles cover its keys, at
//! serving and at applying alike, whatever was changed, flushed or reopened before.
//! Method: random changes of users and roles, some of them not allowed, against a model that
//! counts every key and every gap between keys; then every request by everybody.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use bytes::Bytes;
use kvorum_mvcc::auth::{Asked, Caller};
use kvorum_mvcc::engine::{Engine, MemoryEngine};
use kvorum_mvcc::{KeyRange, Position, Rejection, Store};
use kvorum_proto::authpb::Permission;
use kvorum_proto::etcdserverpb::{
    AuthDisableRequest, AuthEnableRequest, AuthRoleAddRequest, AuthRoleDeleteRequest,
    AuthRoleGrantPermissionRequest, AuthRoleRevokePermissionRequest, AuthUserAddRequest,
    AuthUserDeleteRequest, AuthUserGrantRoleRequest, AuthUserRevokeRoleRequest, Compare,
    DeleteRangeRequest, LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest, RequestOp,
    TxnRequest, request_op,
};
use kvorum_proto::log::auth_change::Change;
use kvorum_proto::log::{AuthChange, Command, command, reply};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const KEYS: u8 = 4;
const USERS: [&str; 3] = ["alice", "bob", "root"];
const ROLES: [&str; 3] = ["reader", "writer", "root"];
/// Everybody who may ask; the last has no name.
const CALLERS: [&str; 5] = ["alice", "bob", "root", "ghost", ""];

/// One key, a range, or all from a key on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Span {
    One(u8),
    To(u8, u8),
    From(u8),
}

impl Span {
    fn key(self) -> Bytes {
        let (Self::One(from) | Self::To(from, _) | Self::From(from)) = self;
        vec![b'a' + from].into()
    }

    fn end(self) -> Bytes {
        match self {
            Self::One(_) => Bytes::new(),
            Self::To(_, to) => vec![b'a' + to].into(),
            Self::From(_) => vec![0].into(),
        }
    }

    /// Keys are even, the gaps behind them odd; the last gap has no end.
    fn parts(self) -> BTreeSet<u8> {
        match self {
            Self::One(key) => BTreeSet::from([2 * key]),
            Self::To(from, to) => (2 * from..2 * to).collect(),
            Self::From(from) => (2 * from..=2 * KEYS).collect(),
        }
    }
}

fn span() -> impl Strategy<Value = Span> {
    prop_oneof![
        (0..KEYS).prop_map(Span::One),
        (0..KEYS)
            .prop_flat_map(|from| (Just(from), from + 1..=KEYS))
            .prop_map(|(from, to)| Span::To(from, to)),
        (0..KEYS).prop_map(Span::From),
    ]
}

fn all_spans() -> Vec<Span> {
    let mut all = Vec::new();
    for from in 0..KEYS {
        all.extend([Span::One(from), Span::From(from)]);
        all.extend((from + 1..=KEYS).map(|to| Span::To(from, to)));
    }
    all
}

#[derive(Debug, Clone)]
enum Step {
    Enable,
    Disable,
    AddUser(usize),
    DeleteUser(usize),
    AddRole(usize),
    DeleteRole(usize),
    GrantRole(usize, usize),
    RevokeRole(usize, usize),
    Grant(usize, Span, i32),
    Revoke(usize, Span),
    Flush,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let (user, role) = (0..USERS.len(), 0..ROLES.len());
    prop_oneof![
        2 => Just(Step::Enable),
        1 => Just(Step::Disable),
        1 => user.clone().prop_map(Step::AddUser),
        1 => user.clone().prop_map(Step::DeleteUser),
        2 => role.clone().prop_map(Step::AddRole),
        1 => role.clone().prop_map(Step::DeleteRole),
        4 => (user.clone(), role.clone()).prop_map(|(u, r)| Step::GrantRole(u, r)),
        2 => (user, role.clone()).prop_map(|(u, r)| Step::RevokeRole(u, r)),
        8 => (role.clone(), span(), 0..3_i32).prop_map(|(r, s, t)| Step::Grant(r, s, t)),
        3 => (role, span()).prop_map(|(r, s)| Step::Revoke(r, s)),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
    ]
}

fn change(step: &Step) -> Option<Change> {
    let user = |i: &usize| USERS[*i].to_owned();
    let role = |i: &usize| ROLES[*i].to_owned();
    Some(match step {
        Step::Enable => Change::Enable(AuthEnableRequest {}),
        Step::Disable => Change::Disable(AuthDisableRequest {}),
        Step::AddUser(u) => Change::UserAdd(AuthUserAddRequest {
            name: user(u),
            ..AuthUserAddRequest::default()
        }),
        Step::DeleteUser(u) => Change::UserDelete(AuthUserDeleteRequest { name: user(u) }),
        Step::AddRole(r) => Change::RoleAdd(AuthRoleAddRequest { name: role(r) }),
        Step::DeleteRole(r) => Change::RoleDelete(AuthRoleDeleteRequest { role: role(r) }),
        Step::GrantRole(u, r) => Change::UserGrantRole(AuthUserGrantRoleRequest {
            user: user(u),
            role: role(r),
        }),
        Step::RevokeRole(u, r) => Change::UserRevokeRole(AuthUserRevokeRoleRequest {
            name: user(u),
            role: role(r),
        }),
        Step::Grant(r, span, kind) => Change::RoleGrantPermission(AuthRoleGrantPermissionRequest {
            name: role(r),
            perm: Some(Permission {
                perm_type: *kind,
                key: span.key(),
                range_end: span.end(),
            }),
        }),
        Step::Revoke(r, span) => Change::RoleRevokePermission(AuthRoleRevokePermissionRequest {
            role: role(r),
            key: span.key(),
            range_end: span.end(),
        }),
        Step::Flush | Step::Reopen => return None,
    })
}

#[derive(Debug, Default)]
struct Model {
    enabled: bool,
    revision: u64,
    users: BTreeMap<&'static str, BTreeSet<&'static str>>,
    roles: BTreeMap<&'static str, BTreeMap<Span, i32>>,
}

impl Model {
    fn administers(&self, caller: &str) -> Result<(), Rejection> {
        match self.users.get(caller) {
            _ if !self.enabled => Ok(()),
            _ if caller.is_empty() => Err(Rejection::UserNameEmpty),
            None => Err(Rejection::UserNotFound),
            Some(roles) if roles.contains("root") => Ok(()),
            Some(_) => Err(Rejection::PermissionDenied),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), Rejection> {
        let protected = self.enabled;
        match *step {
            Step::Enable if self.enabled => return Ok(()),
            Step::Enable => {
                let root = self.users.get("root").ok_or(Rejection::RootUserMissing)?;
                if !root.contains("root") {
                    return Err(Rejection::RootRoleMissing);
                }
                self.enabled = true;
                return Ok(());
            }
            Step::Disable if !self.enabled => return Ok(()),
            Step::Disable => self.enabled = false,
            Step::AddUser(u) if self.users.contains_key(USERS[u]) => {
                return Err(Rejection::UserExists);
            }
            Step::AddUser(u) => drop(self.users.insert(USERS[u], BTreeSet::new())),
            Step::DeleteUser(u) if protected && USERS[u] == "root" => {
                return Err(Rejection::InvalidAuthManagement);
            }
            Step::DeleteUser(u) => {
                drop(self.users.remove(USERS[u]).ok_or(Rejection::UserNotFound)?);
            }
            Step::AddRole(r) if self.roles.contains_key(ROLES[r]) => {
                return Err(Rejection::RoleExists);
            }
            Step::AddRole(r) => drop(self.roles.insert(ROLES[r], BTreeMap::new())),
            Step::DeleteRole(r) if protected && ROLES[r] == "root" => {
                return Err(Rejection::InvalidAuthManagement);
            }
            Step::DeleteRole(r) => {
                self.roles.remove(ROLES[r]).ok_or(Rejection::RoleNotFound)?;
                for roles in self.users.values_mut() {
                    roles.remove(ROLES[r]);
                }
            }
            Step::GrantRole(..) | Step::RevokeRole(..) | Step::Grant(..) | Step::Revoke(..) => {
                if !self.grant(step)? {
                    return Ok(());
                }
            }
            Step::Flush | Step::Reopen => return Ok(()),
        }
        self.revision += 1;
        Ok(())
    }

    /// What gives and takes rights; false: nothing was changed by it.
    fn grant(&mut self, step: &Step) -> Result<bool, Rejection> {
        match *step {
            Step::GrantRole(u, r) => {
                let roles = self
                    .users
                    .get_mut(USERS[u])
                    .ok_or(Rejection::UserNotFound)?;
                if ROLES[r] != "root" && !self.roles.contains_key(ROLES[r]) {
                    return Err(Rejection::RoleNotFound);
                }
                return Ok(roles.insert(ROLES[r]));
            }
            Step::RevokeRole(u, r) if self.enabled && USERS[u] == "root" && ROLES[r] == "root" => {
                return Err(Rejection::InvalidAuthManagement);
            }
            Step::RevokeRole(u, r) => {
                let roles = self
                    .users
                    .get_mut(USERS[u])
                    .ok_or(Rejection::UserNotFound)?;
                if !roles.remove(ROLES[r]) {
                    return Err(Rejection::RoleNotGranted);
                }
            }
            Step::Grant(r, span, kind) => {
                let role = self
                    .roles
                    .get_mut(ROLES[r])
                    .ok_or(Rejection::RoleNotFound)?;
                role.insert(span, kind);
            }
            Step::Revoke(r, span) => {
                let role = self
                    .roles
                    .get_mut(ROLES[r])
                    .ok_or(Rejection::RoleNotFound)?;
                role.remove(&span).ok_or(Rejection::PermissionNotGranted)?;
            }
            _ => {}
        }
        Ok(true)
    }

    /// Whether a user may touch every part of a span; `kind` is the one beside READWRITE.
    fn permits(&self, caller: &str, span: Span, kind: i32) -> Result<(), Rejection> {
        if !self.enabled {
            return Ok(());
        }
        if caller.is_empty() {
            return Err(Rejection::UserNameEmpty);
        }
        let roles = self.users.get(caller).ok_or(Rejection::PermissionDenied)?;
        if roles.contains("root") {
            return Ok(());
        }
        let granted = roles.iter().filter_map(|r| self.roles.get(r)).flatten();
        let covered: BTreeSet<u8> = granted
            .filter(|(_, k)| **k == kind || **k == 2)
            .flat_map(|(s, _)| s.parts())
            .collect();
        if span.parts().is_subset(&covered) {
            Ok(())
        } else {
            Err(Rejection::PermissionDenied)
        }
    }
}

struct World {
    engine: Arc<dyn Engine>,
    store: Store,
    model: Model,
    index: u64,
}

impl World {
    fn new() -> Self {
        let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
        let store = Store::open(engine.clone()).unwrap();
        let mut world = Self {
            engine,
            store,
            model: Model {
                revision: 1,
                ..Model::default()
            },
            index: 0,
        };
        for step in [
            Step::AddUser(0),
            Step::AddUser(1),
            Step::AddUser(2),
            Step::AddRole(0),
            Step::AddRole(1),
            Step::GrantRole(0, 0),
            Step::GrantRole(1, 1),
            Step::GrantRole(2, 2),
        ] {
            world.run(&step, 2);
        }
        // Every key is tied to a lease with its number.
        for key in 0..KEYS {
            let id = i64::from(key) + 1;
            let grant = command::Op::LeaseGrant(LeaseGrantRequest { id, ttl: 60 });
            assert_eq!(world.apply("", grant), Ok(()));
            let put = PutRequest {
                lease: id,
                ..put(Span::One(key), false)
            };
            assert_eq!(world.apply("", command::Op::Put(put)), Ok(()));
        }
        world
    }

    fn caller(&self, name: &str) -> Caller {
        Caller {
            user: name.to_owned(),
            revision: if name.is_empty() {
                0
            } else {
                self.store.auth().revision()
            },
        }
    }

    fn apply(&mut self, name: &str, op: command::Op) -> Result<(), Rejection> {
        let caller = self.caller(name);
        self.apply_as(caller, op)
    }

    fn apply_as(&mut self, caller: Caller, op: command::Op) -> Result<(), Rejection> {
        self.index += 1;
        let command = Command {
            op: Some(op),
            user: caller.user,
            auth_revision: caller.revision,
        };
        let position = Position {
            term: 1,
            index: self.index,
        };
        let reply = self.store.applier().apply(position, command).unwrap();
        match reply.op.unwrap() {
            reply::Op::Rejected(code) => Err(Rejection::from_code(code)),
            _ => Ok(()),
        }
    }

    fn run(&mut self, step: &Step, caller: usize) {
        match step {
            Step::Flush => drop(self.store.flush().unwrap()),
            Step::Reopen => {
                self.store.flush().unwrap();
                self.store = Store::open(self.engine.clone()).unwrap();
            }
            _ => {
                let name = CALLERS[caller];
                let expected = match self.model.administers(name) {
                    Ok(()) => self.model.step(step),
                    Err(rejection) => Err(rejection),
                };
                let op = command::Op::Auth(AuthChange {
                    change: change(step),
                });
                assert_eq!(self.apply(name, op), expected, "{step:?} by {name:?}");
            }
        }
        let auth = self.store.auth();
        assert_eq!(
            (auth.enabled(), auth.revision()),
            (self.model.enabled, self.model.revision)
        );
    }

    /// Asks for everything in everybody's name.
    fn compare(&self) {
        for name in CALLERS {
            for span in all_spans() {
                self.compare_span(name, span);
            }
            for key in 0..KEYS {
                let id = i64::from(key) + 1;
                for (kind, asked) in [(0, Asked::LeaseRead(id)), (1, Asked::LeaseWrite(id))] {
                    let expected = self.model.permits(name, Span::One(key), kind);
                    let allowed = self.store.permit(&self.caller(name), asked);
                    assert_eq!(allowed, expected, "{asked:?} by {name:?}");
                }
            }
            let allowed = self.store.permit(&self.caller(name), Asked::Administration);
            assert_eq!(allowed, self.model.administers(name), "{name:?}");
        }
    }

    fn compare_span(&self, name: &str, span: Span) {
        let caller = self.caller(name);
        let permit = |asked: Asked<'_>| self.store.permit(&caller, asked);
        let read = self.model.permits(name, span, 0);
        let write = self.model.permits(name, span, 1);
        let both = write.and(read);
        let (key, end) = (span.key(), span.end());
        assert_eq!(
            permit(Asked::Range(&range(span))),
            read,
            "{span:?} {name:?}"
        );
        assert_eq!(permit(Asked::Watch(KeyRange::new(&key, &end))), read);
        assert_eq!(permit(Asked::Delete(&delete(span, false))), write);
        assert_eq!(permit(Asked::Delete(&delete(span, true))), both);
        let compare = TxnRequest {
            compare: vec![Compare {
                key,
                range_end: end,
                ..Compare::default()
            }],
            ..TxnRequest::default()
        };
        assert_eq!(permit(Asked::Txn(&compare)), read);
        let wrapped = [
            (request_op::Request::RequestRange(range(span)), read),
            (
                request_op::Request::RequestDeleteRange(delete(span, false)),
                write,
            ),
            (
                request_op::Request::RequestDeleteRange(delete(span, true)),
                both,
            ),
            (request_op::Request::RequestTxn(compare), read),
        ];
        for (request, expected) in wrapped {
            for txn in nested(request) {
                assert_eq!(permit(Asked::Txn(&txn)), expected, "{txn:?} by {name:?}");
            }
        }
        if let Span::One(_) = span {
            for (prev_kv, expected) in [(false, write), (true, both)] {
                let put = put(span, prev_kv);
                assert_eq!(permit(Asked::Put(&put)), expected);
                for txn in nested(request_op::Request::RequestPut(put)) {
                    assert_eq!(permit(Asked::Txn(&txn)), expected);
                }
            }
        }
    }
}

fn range(span: Span) -> RangeRequest {
    RangeRequest {
        key: span.key(),
        range_end: span.end(),
        ..RangeRequest::default()
    }
}

fn put(span: Span, prev_kv: bool) -> PutRequest {
    PutRequest {
        key: span.key(),
        prev_kv,
        ..PutRequest::default()
    }
}

fn delete(span: Span, prev_kv: bool) -> DeleteRangeRequest {
    DeleteRangeRequest {
        key: span.key(),
        range_end: span.end(),
        prev_kv,
    }
}

/// A request on either branch, and within a transaction of a transaction.
fn nested(request: request_op::Request) -> [TxnRequest; 3] {
    let op = |request| {
        vec![RequestOp {
            request: Some(request),
        }]
    };
    let success = TxnRequest {
        success: op(request.clone()),
        ..TxnRequest::default()
    };
    let failure = TxnRequest {
        failure: op(request),
        ..TxnRequest::default()
    };
    let inner = TxnRequest {
        success: op(request_op::Request::RequestTxn(failure.clone())),
        ..TxnRequest::default()
    };
    [success, failure, inner]
}

/// What is applied is what would have been allowed at that moment.
fn writes_agree(world: &mut World, name: &str, span: Span) {
    let caller = world.caller(name);
    let op = command::Op::DeleteRange(delete(span, true));
    let allowed = world
        .store
        .permit(&caller, Asked::Delete(&delete(span, true)));
    assert_eq!(world.apply(name, op), allowed, "{span:?} by {name:?}");
    let txn = nested(request_op::Request::RequestPut(put(Span::One(0), false)));
    let allowed = world.store.permit(&caller, Asked::Txn(&txn[2]));
    let op = command::Op::Txn(txn[2].clone());
    assert_eq!(world.apply(name, op.clone()), allowed);
    // Known under older permissions.
    if world.model.enabled && caller.revision > 1 {
        let stale = Caller {
            revision: caller.revision - 1,
            ..caller
        };
        assert_eq!(world.apply_as(stale, op), Err(Rejection::AuthOldRevision));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_request_is_judged_alike(
        steps in prop::collection::vec((step(), prop_oneof![6 => Just(2_usize), 1 => 0..CALLERS.len()]), 1..40),
        last in (0..CALLERS.len(), span()),
    ) {
        let mut world = World::new();
        for (step, caller) in &steps {
            world.run(step, *caller);
            world.compare();
        }
        writes_agree(&mut world, CALLERS[last.0], last.1);
    }
}

/// Ending a lease, or tying a key to one, needs the right to write all its keys.
#[test]
fn leases_are_as_their_keys() {
    let mut world = World::new();
    for step in [
        Step::Grant(1, Span::One(0), 2),
        Step::GrantRole(0, 0),
        Step::Enable,
    ] {
        world.run(&step, 2);
    }
    let revoke = |id| command::Op::LeaseRevoke(LeaseRevokeRequest { id });
    let tie = |id| {
        command::Op::Put(PutRequest {
            lease: id,
            ..put(Span::One(0), false)
        })
    };
    let denied = Err(Rejection::PermissionDenied);
    assert_eq!(world.apply("bob", tie(2)), denied);
    assert_eq!(world.apply("bob", tie(1)), Ok(()));
    assert_eq!(world.apply("bob", revoke(2)), denied);
    assert_eq!(world.apply("alice", revoke(1)), denied);
    assert_eq!(world.apply("bob", revoke(1)), Ok(()));
    assert_eq!(world.apply("root", revoke(2)), Ok(()));
    let all = world.store.permit(&world.caller("bob"), Asked::Leases);
    assert_eq!(all, denied);
}
