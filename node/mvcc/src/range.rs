//! Range reads.

use crate::KeyRange;
use crate::index::Found;
use crate::records::LazyView;
use crate::store::{Error, State, Store};
use crate::{Rejection, records::Lookup};
use kvorum_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use kvorum_proto::etcdserverpb::{RangeRequest, RangeResponse, ResponseHeader};
use kvorum_proto::mvccpb::KeyValue;

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
    let mut found = Vec::new();
    let mut count = 0;
    if let KeyRange::One(key) = range {
        if let Some(one) = state.index.at(key, revision) {
            count = 1;
            if wanted > 0 {
                found.push((key, one));
            }
        }
    } else {
        for one in state.index.range(range, revision) {
            count += 1;
            if found.len() < wanted {
                found.push(one);
            }
        }
    }
    let in_index = found.iter().all(|(_, f)| matches!(f, Found::Latest(_)));
    Ok(Plan {
        found,
        count,
        keys_only: request.keys_only && request.sort_target() != SortTarget::Value && in_index,
    })
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
