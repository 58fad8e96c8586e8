//! Range reads.

use crate::KeyRange;
use crate::index::Found;
use crate::records::LazyView;
use crate::store::{Error, State, Store};
use crate::{Rejection, records::Lookup};
use kvorum_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use kvorum_proto::etcdserverpb::{RangeRequest, RangeResponse, ResponseHeader};
use kvorum_proto::mvccpb::KeyValue;
use std::collections::BTreeSet;

impl Store {
    /// Answers a range request from the state as it is now. The header carries the revision only.
    ///
    /// # Errors
    /// [`Rejection::Compacted`] or [`Rejection::FutureRevision`]; I/O errors of the engine.
    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse, Error> {
        let state = self.state.read();
        let current = state.revision;
        let Plan {
            found,
            count,
            keys_only,
        } = plan(&state, request, current)?;
        // Memory first, under the lock; what must come from disk is fetched without it:
        // the view pins its moment, and records never change.
        let mut view = LazyView::new(state.engine.clone());
        let mut kvs = Vec::with_capacity(found.len());
        let mut missing = Vec::new();
        for (key, found) in found {
            if keys_only {
                kvs.push(key_only(key, found));
                continue;
            }
            match state.records.lookup(found.revision()) {
                Lookup::Here(record) => kvs.push(record),
                Lookup::Removed | Lookup::Below => {
                    view.get()?;
                    missing.push((kvs.len(), found.revision()));
                    kvs.push(KeyValue::default());
                }
            }
        }
        drop(state);
        for (at, revision) in missing {
            kvs[at] = crate::records::fetch(view.get()?, revision)?;
        }
        Ok(finish(request, kvs, count, current))
    }
}

/// A range within a transaction: sees what the transaction did so far.
pub(crate) fn within(
    state: &State,
    request: &RangeRequest,
    current: i64,
) -> Result<RangeResponse, Error> {
    let plan = plan(state, request, current)?;
    let mut view = LazyView::new(state.engine.clone());
    let mut kvs = Vec::with_capacity(plan.found.len());
    for (key, found) in plan.found {
        kvs.push(if plan.keys_only {
            key_only(key, found)
        } else {
            view.record(&state.records, found.revision())?
        });
    }
    Ok(finish(request, kvs, plan.count, current))
}

/// Whether a request may be answered at its revision at all.
pub(crate) fn check_revision(state: &State, wanted: i64, current: i64) -> Result<i64, Rejection> {
    if wanted <= 0 {
        return Ok(current);
    }
    if wanted > current {
        return Err(Rejection::FutureRevision);
    }
    if wanted < state.compacted {
        return Err(Rejection::Compacted);
    }
    Ok(wanted)
}

struct Plan<'a> {
    found: Vec<(&'a [u8], Found)>,
    count: i64,
    /// All that is asked for stands in the index.
    keys_only: bool,
}

fn filtered(request: &RangeRequest) -> bool {
    request.min_mod_revision != 0
        || request.max_mod_revision != 0
        || request.min_create_revision != 0
        || request.max_create_revision != 0
}

/// Sorted other than by key, ascending: limits then apply afterwards.
fn sorted(request: &RangeRequest) -> bool {
    request.sort_order() != SortOrder::None || request.sort_target() != SortTarget::Key
}

fn plan<'a>(
    state: &'a State,
    request: &'a RangeRequest,
    current: i64,
) -> Result<Plan<'a>, Rejection> {
    let revision = check_revision(state, request.revision, current)?;
    let range = KeyRange::new(&request.key, &request.range_end);
    let wanted = if request.count_only {
        0
    } else if request.limit <= 0 || sorted(request) || filtered(request) {
        usize::MAX
    } else {
        usize::try_from(request.limit).map_or(usize::MAX, |n| n.saturating_add(1))
    };
    let found: Vec<_> = match range {
        KeyRange::One(key) => {
            let one = state.index.at(key, revision);
            one.map(|one| (key, one)).into_iter().take(wanted).collect()
        }
        _ => state.index.range(range, revision).take(wanted).collect(),
    };
    let count = if found.len() < wanted {
        found.len()
    } else {
        count(state, range, revision, current)
    };
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let in_index = found.iter().all(|(_, f)| matches!(f, Found::Latest(_)));
    Ok(Plan {
        found,
        count,
        keys_only: request.keys_only && request.sort_target() != SortTarget::Value && in_index,
    })
}

/// How many keys of a range are there at a revision, without a walk over all of them if that can be.
fn count(state: &State, range: KeyRange<'_>, revision: i64, current: i64) -> usize {
    let now = state.index.count(range);
    if revision == current {
        return now;
    }
    // What a transaction did so far is in the index, but no change yet.
    let recent = (current == state.revision).then_some(&state.recent);
    let changes = recent.and_then(|recent| recent.after(revision));
    let Some(changes) = changes.filter(|changes| changes.len() < now) else {
        return state.index.range(range, revision).count();
    };
    let keys = changes.flat_map(|change| change.events.iter());
    let keys = keys.filter_map(|event| Some(&event.kv.as_ref()?.key[..]));
    let changed: BTreeSet<&[u8]> = keys.filter(|key| range.contains(key)).collect();
    let was = |key: &&&[u8]| state.index.at(key, revision).is_some();
    let is = |key: &&&[u8]| state.index.latest(key).is_some();
    now + changed.iter().filter(was).count() - changed.iter().filter(is).count()
}

fn key_only(key: &[u8], found: Found) -> KeyValue {
    match found {
        Found::Latest(v) => KeyValue {
            key: bytes::Bytes::copy_from_slice(key),
            create_revision: v.create,
            mod_revision: v.revision.main,
            version: v.version,
            value: bytes::Bytes::new(),
            lease: v.lease,
        },
        Found::Older(_) => KeyValue::default(),
    }
}

/// Filters, sorts and cuts what was found.
fn finish(
    request: &RangeRequest,
    mut kvs: Vec<KeyValue>,
    count: i64,
    current: i64,
) -> RangeResponse {
    let within =
        |value: i64, min: i64, max: i64| (min == 0 || value >= min) && (max == 0 || value <= max);
    if filtered(request) {
        kvs.retain(|kv| {
            within(
                kv.mod_revision,
                request.min_mod_revision,
                request.max_mod_revision,
            ) && within(
                kv.create_revision,
                request.min_create_revision,
                request.max_create_revision,
            )
        });
    }
    if sorted(request) {
        match request.sort_target() {
            SortTarget::Key => {}
            SortTarget::Version => kvs.sort_by_key(|kv| kv.version),
            SortTarget::Create => kvs.sort_by_key(|kv| kv.create_revision),
            SortTarget::Mod => kvs.sort_by_key(|kv| kv.mod_revision),
            SortTarget::Value => kvs.sort_by(|a, b| a.value.cmp(&b.value)),
        }
        if request.sort_order() == SortOrder::Descend {
            kvs.reverse();
        }
    }
    let mut more = false;
    if let Ok(limit) = usize::try_from(request.limit)
        && limit > 0
        && kvs.len() > limit
    {
        kvs.truncate(limit);
        more = true;
    }
    if request.keys_only {
        for kv in &mut kvs {
            kv.value = bytes::Bytes::new();
        }
    }
    RangeResponse {
        header: header(current),
        kvs,
        more,
        count,
    }
}

/// A header that says the revision only.
#[allow(clippy::unnecessary_wraps, reason = "that is the field's type")]
pub(crate) fn header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader {
        revision,
        ..ResponseHeader::default()
    })
}

#[cfg(test)]
mod tests {
    use crate::engine::MemoryEngine;
    use crate::{Position, Store};
    use kvorum_proto::etcdserverpb::{
        PutRequest, RangeRequest, RequestOp, TxnRequest, request_op, response_op,
    };
    use kvorum_proto::log::{Command, command, reply};
    use std::sync::Arc;

    fn apply(store: &Store, index: u64, op: command::Op) -> reply::Op {
        let position = Position { term: 1, index };
        let command = Command {
            op: Some(op),
            ..Command::default()
        };
        let reply = store.applier().apply(position, command).unwrap();
        reply.op.unwrap()
    }

    fn put(key: u8) -> PutRequest {
        PutRequest {
            key: vec![key].into(),
            ..PutRequest::default()
        }
    }

    /// Of everything; one key at most.
    fn page(revision: i64) -> RangeRequest {
        RangeRequest {
            key: vec![0].into(),
            range_end: vec![0].into(),
            revision,
            limit: 1,
            ..RangeRequest::default()
        }
    }

    #[test]
    fn a_transaction_counts_the_past_without_what_it_did_itself() {
        let store = Store::open(Arc::new(MemoryEngine::default())).unwrap();
        for key in 1..=9 {
            apply(&store, key.into(), command::Op::Put(put(key)));
        }
        let before = store.revision();
        let requests = [
            request_op::Request::RequestPut(put(10)),
            request_op::Request::RequestRange(page(before)),
            request_op::Request::RequestRange(page(before - 2)),
            request_op::Request::RequestRange(page(0)),
        ];
        let success = requests.map(|request| RequestOp {
            request: Some(request),
        });
        let transaction = TxnRequest {
            success: success.to_vec(),
            ..TxnRequest::default()
        };
        let reply::Op::Txn(answer) = apply(&store, 10, command::Op::Txn(transaction)) else {
            panic!("not a transaction's answer");
        };
        let counts = answer
            .responses
            .into_iter()
            .filter_map(|r| match r.response {
                Some(response_op::Response::ResponseRange(range)) => Some(range.count),
                _ => None,
            });
        assert_eq!(counts.collect::<Vec<_>>(), [9, 7, 10]);
        assert_eq!(store.range(&page(before)).unwrap().count, 9);
        assert_eq!(store.range(&page(before - 2)).unwrap().count, 7);
    }
}
