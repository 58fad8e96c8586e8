//! Refusals, to the letter.

use crate::kv::{all, put};
use crate::refused;
use kvorum_processes::Client;
use kvorum_proto::etcdserverpb::{
    DeleteRangeRequest, LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest,
};
use tonic::Code::{FailedPrecondition, InvalidArgument, NotFound, OutOfRange};

const EMPTY_KEY: &str = "etcdserver: key is not provided";

/// Every request needs a key.
pub async fn an_empty_key_is_refused(client: &Client) {
    let mut kv = client.kv();
    refused(
        kv.put(PutRequest::default()).await,
        InvalidArgument,
        EMPTY_KEY,
    );
    refused(
        kv.range(RangeRequest::default()).await,
        InvalidArgument,
        EMPTY_KEY,
    );
    refused(
        kv.delete_range(DeleteRangeRequest::default()).await,
        InvalidArgument,
        EMPTY_KEY,
    );
}

/// Unknown enums are no sort options.
pub async fn unknown_sort_options_are_refused(client: &Client) {
    let text = "etcdserver: invalid sort option";
    let order = RangeRequest {
        sort_order: 9,
        ..all()
    };
    refused(client.kv().range(order).await, InvalidArgument, text);
    let target = RangeRequest {
        sort_target: 9,
        ..all()
    };
    refused(client.kv().range(target).await, InvalidArgument, text);
}

/// The future cannot be read.
pub async fn a_future_revision_is_refused(client: &Client) {
    let request = RangeRequest {
        revision: 2,
        ..all()
    };
    let text = "etcdserver: mvcc: required revision is a future revision";
    refused(client.kv().range(request).await, OutOfRange, text);
}

/// What is kept must not be given, and must be there.
pub async fn keeping_what_is_not_there_is_refused(client: &Client) {
    let put = |value: &str, lease: i64, ignore_value, ignore_lease| PutRequest {
        key: b"a".as_slice().into(),
        value: value.to_owned().into(),
        lease,
        ignore_value,
        ignore_lease,
        ..PutRequest::default()
    };
    let mut kv = client.kv();
    refused(
        kv.put(put("", 0, true, false)).await,
        InvalidArgument,
        "etcdserver: key not found",
    );
    refused(
        kv.put(put("", 0, false, true)).await,
        InvalidArgument,
        "etcdserver: key not found",
    );
    refused(
        kv.put(put("x", 0, true, false)).await,
        InvalidArgument,
        "etcdserver: value is provided",
    );
    refused(
        kv.put(put("", 1, false, true)).await,
        InvalidArgument,
        "etcdserver: lease is provided",
    );
}

/// A request has a largest size.
pub async fn a_large_request_is_refused(client: &Client) {
    let value = "x".repeat(1_600_000);
    refused(
        client.put("a", &value).await,
        InvalidArgument,
        "etcdserver: request is too large",
    );
    put(client, "a", &value[..1_500_000]).await;
}

/// Leases that are not there, are there already, or are too long.
pub async fn wrong_leases_are_refused(client: &Client) {
    let not_found = "etcdserver: requested lease not found";
    let request = PutRequest {
        key: b"a".as_slice().into(),
        lease: 77,
        ..PutRequest::default()
    };
    refused(client.kv().put(request).await, NotFound, not_found);
    let mut lease = client.lease();
    refused(
        lease.lease_revoke(LeaseRevokeRequest { id: 77 }).await,
        NotFound,
        not_found,
    );
    let grant = |ttl| LeaseGrantRequest { ttl, id: 77 };
    lease.lease_grant(grant(60)).await.unwrap();
    refused(
        lease.lease_grant(grant(60)).await,
        FailedPrecondition,
        "etcdserver: lease already exists",
    );
    let long = LeaseGrantRequest {
        ttl: 9_000_000_001,
        id: 78,
    };
    refused(
        lease.lease_grant(long).await,
        OutOfRange,
        "etcdserver: too large lease TTL",
    );
}
