//! Transactions: compare, choose a branch, do it as one revision.

use crate::apply::Write;
use crate::range::{check_revision, header, within};
use crate::records::LazyView;
use crate::store::{Error, State, Store};
use crate::{KeyRange, Rejection};
use kvorum_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use kvorum_proto::etcdserverpb::{
    Compare, RequestOp, ResponseOp, TxnRequest, TxnResponse, request_op, response_op,
};
use std::cmp::Ordering;

impl Store {
    /// Answers a transaction that writes nothing.
    ///
    /// # Errors
    /// As for [`Store::range`]; [`Rejection::Unknown`] if the chosen branch writes.
    pub fn read_txn(&self, request: &TxnRequest) -> Result<TxnResponse, Error> {
        let state = self.state.read();
        let path = choose(&state, request)?;
        check_reads(&state, request, &path, state.revision)?;
        answer_reads(&state, request, &path)
    }
}

/// Which branch each transaction of the tree takes, decided before anything is done.
struct Path {
    succeeded: bool,
    nested: Vec<Path>,
}

impl Path {
    fn branch<'r>(&self, request: &'r TxnRequest) -> &'r [RequestOp] {
        if self.succeeded {
            &request.success
        } else {
            &request.failure
        }
    }
}

fn choose(state: &State, request: &TxnRequest) -> Result<Path, Error> {
    let mut succeeded = true;
    for compare in &request.compare {
        if !holds(state, compare)? {
            succeeded = false;
            break;
        }
    }
    let mut path = Path {
        succeeded,
        nested: Vec::new(),
    };
    for op in path.branch(request) {
        if let Some(request_op::Request::RequestTxn(inner)) = &op.request {
            let inner = choose(state, inner)?;
            path.nested.push(inner);
        }
    }
    Ok(path)
}

/// Whether a comparison holds for all keys that it names. A key that is not
/// there compares as zeroes, except that no comparison of its value holds.
fn holds(state: &State, compare: &Compare) -> Result<bool, Error> {
    let range = KeyRange::new(&compare.key, &compare.range_end);
    let mut view = LazyView::new(state.engine.clone());
    let mut any = false;
    for (key, found) in state.index.range(range, i64::MAX) {
        any = true;
        let ordering = if compare.target() == CompareTarget::Value {
            let record = view.record(&state.records, found.revision())?;
            let wanted = match &compare.target_union {
                Some(TargetUnion::Value(value)) => &value[..],
                _ => &[],
            };
            record.value[..].cmp(wanted)
        } else {
            let Some(v) = state.index.latest(key) else {
                continue;
            };
            number(compare, v.version, v.create, v.revision.main, v.lease)
        };
        if !matches(compare.result(), ordering) {
            return Ok(false);
        }
    }
    if any {
        return Ok(true);
    }
    if compare.target() == CompareTarget::Value {
        return Ok(false);
    }
    Ok(matches(compare.result(), number(compare, 0, 0, 0, 0)))
}

fn number(compare: &Compare, version: i64, create: i64, modified: i64, lease: i64) -> Ordering {
    let (actual, wanted) = match (compare.target(), &compare.target_union) {
        (CompareTarget::Version, Some(TargetUnion::Version(n))) => (version, *n),
        (CompareTarget::Create, Some(TargetUnion::CreateRevision(n))) => (create, *n),
        (CompareTarget::Mod, Some(TargetUnion::ModRevision(n))) => (modified, *n),
        (CompareTarget::Lease, Some(TargetUnion::Lease(n))) => (lease, *n),
        (CompareTarget::Create, _) => (create, 0),
        (CompareTarget::Mod, _) => (modified, 0),
        (CompareTarget::Lease, _) => (lease, 0),
        (CompareTarget::Version | CompareTarget::Value, _) => (version, 0),
    };
    actual.cmp(&wanted)
}

fn matches(result: CompareResult, ordering: Ordering) -> bool {
    match result {
        CompareResult::Equal => ordering.is_eq(),
        CompareResult::NotEqual => ordering.is_ne(),
        CompareResult::Greater => ordering.is_gt(),
        CompareResult::Less => ordering.is_lt(),
    }
}

/// Whether every read of the chosen branches can be answered.
fn check_reads(
    state: &State,
    request: &TxnRequest,
    path: &Path,
    current: i64,
) -> Result<(), Rejection> {
    let mut nested = path.nested.iter();
    for op in path.branch(request) {
        match &op.request {
            Some(request_op::Request::RequestRange(r)) => {
                check_revision(state, r.revision, current)?;
            }
            Some(request_op::Request::RequestTxn(r)) => {
                if let Some(inner) = nested.next() {
                    check_reads(state, r, inner, current)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn answer_reads(state: &State, request: &TxnRequest, path: &Path) -> Result<TxnResponse, Error> {
    let mut nested = path.nested.iter();
    let mut responses = Vec::new();
    for op in path.branch(request) {
        let response = match &op.request {
            Some(request_op::Request::RequestRange(r)) => {
                response_op::Response::ResponseRange(within(state, r, state.revision)?)
            }
            Some(request_op::Request::RequestTxn(r)) => match nested.next() {
                Some(inner) => response_op::Response::ResponseTxn(answer_reads(state, r, inner)?),
                None => continue,
            },
            _ => return Err(Rejection::Unknown.into()),
        };
        responses.push(ResponseOp {
            response: Some(response),
        });
    }
    Ok(TxnResponse {
        header: header(state.revision),
        succeeded: path.succeeded,
        responses,
    })
}

impl Write<'_> {
    pub(crate) fn txn(&mut self, request: TxnRequest) -> Result<TxnResponse, Error> {
        let path = choose(self.state, &request)?;
        // Everything that could be refused is refused before the first change.
        check_reads(self.state, &request, &path, self.state.revision)?;
        self.check_puts(&request, &path)?;
        let mut response = self.run(request, &path)?;
        response.header = header(self.revision());
        Ok(response)
    }

    fn check_puts(&self, request: &TxnRequest, path: &Path) -> Result<(), Rejection> {
        let mut nested = path.nested.iter();
        for op in path.branch(request) {
            match &op.request {
                Some(request_op::Request::RequestPut(r)) => self.check_put(r)?,
                Some(request_op::Request::RequestTxn(r)) => {
                    if let Some(inner) = nested.next() {
                        self.check_puts(r, inner)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn run(&mut self, request: TxnRequest, path: &Path) -> Result<TxnResponse, Error> {
        let branch = if path.succeeded {
            request.success
        } else {
            request.failure
        };
        let mut nested = path.nested.iter();
        let mut responses = Vec::with_capacity(branch.len());
        for op in branch {
            let response = match op.request {
                Some(request_op::Request::RequestRange(r)) => {
                    let response = within(self.state, &r, self.revision())?;
                    response_op::Response::ResponseRange(response)
                }
                Some(request_op::Request::RequestPut(r)) => {
                    response_op::Response::ResponsePut(self.put(r)?)
                }
                Some(request_op::Request::RequestDeleteRange(r)) => {
                    response_op::Response::ResponseDeleteRange(self.delete(&r)?)
                }
                Some(request_op::Request::RequestTxn(r)) => match nested.next() {
                    Some(inner) => response_op::Response::ResponseTxn(self.run(r, inner)?),
                    None => continue,
                },
                None => return Err(Rejection::KeyNotFound.into()),
            };
            responses.push(ResponseOp {
                response: Some(response),
            });
        }
        Ok(TxnResponse {
            header: header(self.revision()),
            succeeded: path.succeeded,
            responses,
        })
    }
}

/// Whether a transaction can write, whichever branch it takes.
#[must_use]
pub fn writes(request: &TxnRequest) -> bool {
    request
        .success
        .iter()
        .chain(&request.failure)
        .any(|op| match &op.request {
            Some(request_op::Request::RequestTxn(inner)) => writes(inner),
            Some(request_op::Request::RequestRange(_)) => false,
            _ => true,
        })
}

/// Whether two writes of one branch would meet at a key: puts of the same key,
/// or a put within a deleted range. Branches that exclude each other may meet.
#[must_use]
pub fn writes_collide(request: &TxnRequest) -> bool {
    branch_writes(&request.success).is_none() || branch_writes(&request.failure).is_none()
}

type Writes<'r> = (Vec<&'r [u8]>, Vec<KeyRange<'r>>);

/// The puts and deletions of a branch; `None` if they collide.
fn branch_writes(ops: &[RequestOp]) -> Option<Writes<'_>> {
    let (mut puts, mut deletes): Writes<'_> = (Vec::new(), Vec::new());
    for op in ops {
        let (more_puts, more_deletes): Writes<'_> = match &op.request {
            Some(request_op::Request::RequestPut(r)) => (vec![&r.key[..]], Vec::new()),
            Some(request_op::Request::RequestDeleteRange(r)) => {
                (Vec::new(), vec![KeyRange::new(&r.key, &r.range_end)])
            }
            Some(request_op::Request::RequestTxn(r)) => {
                let (mut p, mut d) = branch_writes(&r.success)?;
                let (p2, d2) = branch_writes(&r.failure)?;
                p.extend(p2);
                p.sort_unstable();
                p.dedup();
                d.extend(d2);
                (p, d)
            }
            _ => continue,
        };
        let meet = |put: &[u8], deletes: &[KeyRange<'_>]| {
            deletes.iter().any(|d| d.overlaps(&KeyRange::One(put)))
        };
        if more_puts
            .iter()
            .any(|p| puts.contains(p) || meet(p, &deletes))
            || puts.iter().any(|p| meet(p, &more_deletes))
        {
            return None;
        }
        puts.extend(more_puts);
        deletes.extend(more_deletes);
    }
    Some((puts, deletes))
}
