//! Goal: the store answers as etcd's model says, whatever was flushed, swept or
//! reopened in between.
//! Method: random commands against the store and against a map of full history;
//! after each step every key is compared at every readable revision.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use bytes::Bytes;
use kvorum_mvcc::engine::{Engine, MemoryEngine};
use kvorum_mvcc::{Position, Rejection, Store, Sweep};
use kvorum_proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, LeaseGrantRequest, LeaseRevokeRequest, PutRequest,
    RangeRequest, RequestOp, TxnRequest, request_op,
};
use kvorum_proto::log::{Command, Reply, command, reply};
use kvorum_proto::mvccpb::KeyValue;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const KEYS: u8 = 6;

#[derive(Debug, Clone)]
enum Step {
    Put {
        key: u8,
        value: u8,
        lease: u8,
        ignore_value: bool,
    },
    Delete {
        from: u8,
        to: u8,
    },
    Txn {
        puts: BTreeSet<u8>,
        value: u8,
    },
    Compact {
        back: u8,
    },
    Grant {
        id: u8,
    },
    Revoke {
        id: u8,
    },
    Flush,
    Sweep,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..KEYS, any::<u8>(), 0..3_u8, prop::bool::weighted(0.1))
            .prop_map(|(key, value, lease, ignore_value)| Step::Put { key, value, lease, ignore_value }),
        3 => (0..KEYS, 0..=KEYS).prop_map(|(from, to)| Step::Delete { from, to }),
        2 => (prop::collection::btree_set(0..KEYS, 1..4), any::<u8>()).prop_map(|(puts, value)| Step::Txn { puts, value }),
        1 => (0..10_u8).prop_map(|back| Step::Compact { back }),
        1 => (1..3_u8).prop_map(|id| Step::Grant { id }),
        1 => (1..3_u8).prop_map(|id| Step::Revoke { id }),
        2 => Just(Step::Flush),
        2 => Just(Step::Sweep),
        1 => Just(Step::Reopen),
    ]
}

/// The whole history: the state after each revision.
struct Model {
    at: BTreeMap<i64, BTreeMap<Vec<u8>, KeyValue>>,
    leases: BTreeSet<i64>,
    compacted: i64,
}

fn name(key: u8) -> Vec<u8> {
    vec![b'a' + key]
}

impl Model {
    fn revision(&self) -> i64 {
        *self.at.keys().next_back().unwrap()
    }

    fn now(&self) -> BTreeMap<Vec<u8>, KeyValue> {
        self.at[&self.revision()].clone()
    }

    fn put(
        state: &mut BTreeMap<Vec<u8>, KeyValue>,
        revision: i64,
        key: u8,
        value: Vec<u8>,
        lease: i64,
    ) {
        let before = state.get(&name(key));
        let record = KeyValue {
            key: name(key).into(),
            create_revision: before.map_or(revision, |kv| kv.create_revision),
            mod_revision: revision,
            version: before.map_or(0, |kv| kv.version) + 1,
            value: value.into(),
            lease,
        };
        state.insert(name(key), record);
    }

    fn step(&mut self, step: &Step) -> Result<(), Rejection> {
        let (mut state, revision) = (self.now(), self.revision() + 1);
        match step {
            Step::Put {
                key,
                value,
                lease,
                ignore_value,
            } => {
                let before = state.get(&name(*key)).cloned();
                if *ignore_value && before.is_none() {
                    return Err(Rejection::KeyNotFound);
                }
                if *lease != 0 && !self.leases.contains(&i64::from(*lease)) {
                    return Err(Rejection::LeaseNotFound);
                }
                let value = match before {
                    Some(kv) if *ignore_value => kv.value.to_vec(),
                    _ => vec![*value],
                };
                Self::put(&mut state, revision, *key, value, i64::from(*lease));
            }
            Step::Delete { from, to } => {
                let before = state.len();
                state.retain(|k, _| !(name(*from) <= *k && *k < name(*to)));
                if state.len() == before {
                    return Ok(());
                }
            }
            Step::Txn { puts, value } => {
                for key in puts {
                    Self::put(&mut state, revision, *key, vec![*value], 0);
                }
            }
            Step::Compact { back } => {
                let target = self.revision() - i64::from(*back);
                if target <= self.compacted {
                    return Err(Rejection::Compacted);
                }
                self.compacted = target;
                return Ok(());
            }
            Step::Grant { id } => {
                return if self.leases.insert(i64::from(*id)) {
                    Ok(())
                } else {
                    Err(Rejection::LeaseExists)
                };
            }
            Step::Revoke { id } => {
                if !self.leases.remove(&i64::from(*id)) {
                    return Err(Rejection::LeaseNotFound);
                }
                let before = state.len();
                state.retain(|_, kv| kv.lease != i64::from(*id));
                if state.len() == before {
                    return Ok(());
                }
            }
            Step::Flush | Step::Sweep | Step::Reopen => return Ok(()),
        }
        self.at.insert(revision, state);
        Ok(())
    }
}

fn command(step: &Step, revision: i64) -> Option<command::Op> {
    Some(match step {
        Step::Put {
            key,
            value,
            lease,
            ignore_value,
        } => command::Op::Put(PutRequest {
            key: name(*key).into(),
            value: if *ignore_value {
                Bytes::new()
            } else {
                vec![*value].into()
            },
            lease: i64::from(*lease),
            ignore_value: *ignore_value,
            ..PutRequest::default()
        }),
        Step::Delete { from, to } => command::Op::DeleteRange(DeleteRangeRequest {
            key: name(*from).into(),
            range_end: name(*to).into(),
            prev_kv: true,
        }),
        Step::Txn { puts, value } => command::Op::Txn(TxnRequest {
            success: puts
                .iter()
                .map(|key| RequestOp {
                    request: Some(request_op::Request::RequestPut(PutRequest {
                        key: name(*key).into(),
                        value: vec![*value].into(),
                        ..PutRequest::default()
                    })),
                })
                .collect(),
            ..TxnRequest::default()
        }),
        Step::Compact { back } => command::Op::Compact(CompactionRequest {
            revision: revision - i64::from(*back),
            physical: false,
        }),
        Step::Grant { id } => command::Op::LeaseGrant(LeaseGrantRequest {
            id: i64::from(*id),
            ttl: 60,
        }),
        Step::Revoke { id } => command::Op::LeaseRevoke(LeaseRevokeRequest { id: i64::from(*id) }),
        Step::Flush | Step::Sweep | Step::Reopen => return None,
    })
}

fn all(store: &Store, revision: i64) -> Vec<KeyValue> {
    let request = RangeRequest {
        key: vec![0].into(),
        range_end: vec![0].into(),
        revision,
        ..RangeRequest::default()
    };
    store.range(&request).unwrap().kvs
}

fn compare(store: &Store, model: &Model) {
    assert_eq!(store.revision(), model.revision());
    for (revision, state) in model.at.range(model.compacted.max(1)..) {
        let expected: Vec<KeyValue> = state.values().cloned().collect();
        assert_eq!(all(store, *revision), expected, "at revision {revision}");
        for from in state.keys() {
            let page = RangeRequest {
                key: from.clone().into(),
                range_end: vec![0].into(),
                revision: *revision,
                limit: 1,
                ..RangeRequest::default()
            };
            let all = i64::try_from(state.range(from.clone()..).count()).unwrap();
            let counted = store.range(&page).unwrap().count;
            assert_eq!(counted, all, "from {from:?} at revision {revision}");
        }
    }
    let summary = store.summary();
    assert_eq!(summary.keys, model.now().len());
    assert_eq!(
        store
            .leases()
            .iter()
            .map(|lease| lease.id)
            .collect::<BTreeSet<_>>(),
        model.leases
    );
    for id in &model.leases {
        let keys: Vec<Vec<u8>> = model
            .now()
            .iter()
            .filter(|(_, kv)| kv.lease == *id)
            .map(|(k, _)| k.clone())
            .collect();
        assert_eq!(store.lease(*id, true).unwrap().keys, keys);
    }
    changes_rebuild_the_state(store, model);
}

/// A watcher that starts right behind a readable revision sees exactly what leads to the present.
fn changes_rebuild_the_state(store: &Store, model: &Model) {
    let start = model.compacted.max(1);
    let mut state = model.at[model.at.range(..=start).next_back().unwrap().0].clone();
    let mut next = start + 1;
    while next <= store.revision() {
        let (changes, upto) = store.changes(next).unwrap();
        for change in &changes {
            for event in &change.events {
                let kv = event.kv.clone().unwrap();
                assert_eq!(kv.mod_revision, change.revision);
                if kv.version == 0 {
                    state.remove(&kv.key.to_vec());
                } else {
                    state.insert(kv.key.to_vec(), kv);
                }
            }
            assert_eq!(
                state, model.at[&change.revision],
                "after {}",
                change.revision
            );
        }
        next = upto + 1;
    }
    assert_eq!(state, model.now());
}

fn run(steps: &[Step]) {
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
    let mut store = Store::open(engine.clone()).unwrap();
    let mut model = Model {
        at: BTreeMap::from([(1, BTreeMap::new())]),
        leases: BTreeSet::new(),
        compacted: 0,
    };
    let mut sweep = Sweep::default();
    let mut index = 0;
    for step in steps {
        match step {
            Step::Flush => drop(store.flush().unwrap()),
            Step::Sweep => drop(store.sweep(&mut sweep)),
            Step::Reopen => {
                store.flush().unwrap();
                drop(store);
                store = Store::open(engine.clone()).unwrap();
                sweep = Sweep::default();
                assert_eq!(store.applied().0.map_or(0, |p| p.index), index);
            }
            _ => {
                index += 1;
                let op = command(step, model.revision());
                let expected = model.step(step);
                let Reply { op } = store
                    .applier()
                    .apply(
                        Position { term: 1, index },
                        Command {
                            op,
                            ..Command::default()
                        },
                    )
                    .unwrap();
                match (op.unwrap(), expected) {
                    (reply::Op::Rejected(code), Err(rejection)) => {
                        assert_eq!(code, rejection.code(), "{step:?}");
                    }
                    (reply::Op::Rejected(code), Ok(())) => panic!("{step:?}: rejected with {code}"),
                    (_, Err(rejection)) => panic!("{step:?}: not rejected with {rejection}"),
                    (_, Ok(())) => {}
                }
            }
        }
        compare(&store, &model);
    }
    while store.sweep(&mut sweep) {}
    compare(&store, &model);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_store_agrees_with_its_history(steps in prop::collection::vec(step(), 1..60)) {
        run(&steps);
    }
}
