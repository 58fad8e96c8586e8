//! What can be refused by looking at a request alone.

use super::errors;
use kvorum_mvcc::writes_collide;
use kvorum_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use kvorum_proto::etcdserverpb::{
    DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, request_op,
};
use tonic::Status;

type Checked = Result<(), Status>;

/// # Errors
/// The status that etcd gives.
#[allow(clippy::result_large_err, reason = "tonic's own error")]
pub fn range(request: &RangeRequest) -> Checked {
    if request.key.is_empty() {
        return Err(errors::empty_key());
    }
    let sort = (
        SortOrder::try_from(request.sort_order),
        SortTarget::try_from(request.sort_target),
    );
    if matches!(sort, (Err(_), _) | (_, Err(_))) {
        return Err(errors::invalid_sort_option());
    }
    Ok(())
}

/// # Errors
/// The status that etcd gives.
#[allow(clippy::result_large_err, reason = "tonic's own error")]
pub fn put(request: &PutRequest) -> Checked {
    if request.key.is_empty() {
        return Err(errors::empty_key());
    }
    if request.ignore_value && !request.value.is_empty() {
        return Err(errors::value_provided());
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(errors::lease_provided());
    }
    Ok(())
}

/// # Errors
/// The status that etcd gives.
#[allow(clippy::result_large_err, reason = "tonic's own error")]
pub fn delete(request: &DeleteRangeRequest) -> Checked {
    if request.key.is_empty() {
        return Err(errors::empty_key());
    }
    Ok(())
}

/// # Errors
/// The status that etcd gives.
#[allow(clippy::result_large_err, reason = "tonic's own error")]
pub fn txn(request: &TxnRequest, max_ops: usize) -> Checked {
    operations(request, max_ops)?;
    if writes_collide(request) {
        return Err(errors::duplicate_key());
    }
    Ok(())
}

#[allow(clippy::result_large_err, reason = "tonic's own error")]
fn operations(request: &TxnRequest, max_ops: usize) -> Checked {
    let count = request
        .compare
        .len()
        .max(request.success.len())
        .max(request.failure.len());
    let Some(left) = max_ops.checked_sub(count) else {
        return Err(errors::too_many_ops());
    };
    if request.compare.iter().any(|c| c.key.is_empty()) {
        return Err(errors::empty_key());
    }
    for op in request.success.iter().chain(&request.failure) {
        operation(op, left)?;
    }
    Ok(())
}

#[allow(clippy::result_large_err, reason = "tonic's own error")]
fn operation(op: &RequestOp, left: usize) -> Checked {
    match &op.request {
        Some(request_op::Request::RequestRange(r)) => range(r),
        Some(request_op::Request::RequestPut(r)) => put(r),
        Some(request_op::Request::RequestDeleteRange(r)) => delete(r),
        Some(request_op::Request::RequestTxn(r)) => operations(r, left),
        None => Err(errors::key_not_found()),
    }
}
