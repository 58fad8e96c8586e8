//! Transactions.

use crate::compaction::{COMPACTED, compact};
use crate::kv::{all, keys, put, range};
use crate::refused;
use kvorum_processes::Client;
use kvorum_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use kvorum_proto::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, TxnResponse,
    request_op, response_op,
};
use tonic::Code::{InvalidArgument, OutOfRange};

fn op(request: request_op::Request) -> RequestOp {
    RequestOp {
        request: Some(request),
    }
}

fn put_op(key: &str, value: &str) -> RequestOp {
    op(request_op::Request::RequestPut(PutRequest {
        key: key.to_owned().into(),
        value: value.to_owned().into(),
        ..PutRequest::default()
    }))
}

fn get_op(key: &str) -> RequestOp {
    op(request_op::Request::RequestRange(RangeRequest {
        key: key.to_owned().into(),
        ..RangeRequest::default()
    }))
}

fn delete_op(key: &str, end: &str) -> RequestOp {
    op(request_op::Request::RequestDeleteRange(
        DeleteRangeRequest {
            key: key.to_owned().into(),
            range_end: end.to_owned().into(),
            prev_kv: false,
        },
    ))
}

fn nested_op(txn: TxnRequest) -> RequestOp {
    op(request_op::Request::RequestTxn(txn))
}

fn compare(key: &str, target: TargetUnion, result: CompareResult) -> Compare {
    let kind = match target {
        TargetUnion::Version(_) => CompareTarget::Version,
        TargetUnion::CreateRevision(_) => CompareTarget::Create,
        TargetUnion::ModRevision(_) => CompareTarget::Mod,
        TargetUnion::Value(_) => CompareTarget::Value,
        TargetUnion::Lease(_) => CompareTarget::Lease,
    };
    Compare {
        key: key.to_owned().into(),
        target: kind.into(),
        result: result.into(),
        target_union: Some(target),
        ..Compare::default()
    }
}

async fn run(client: &Client, txn: TxnRequest) -> TxnResponse {
    client
        .kv()
        .txn(txn)
        .await
        .unwrap_or_else(|e| panic!("{e}"))
        .into_inner()
}

async fn holds(client: &Client, compare: Compare) -> bool {
    let txn = TxnRequest {
        compare: vec![compare],
        ..TxnRequest::default()
    };
    run(client, txn).await.succeeded
}

fn then(success: Vec<RequestOp>) -> TxnRequest {
    TxnRequest {
        success,
        ..TxnRequest::default()
    }
}

fn value_of(response: &TxnResponse, at: usize) -> Option<String> {
    match response.responses.get(at)?.response.as_ref()? {
        response_op::Response::ResponseRange(r) => r
            .kvs
            .first()
            .map(|kv| String::from_utf8_lossy(&kv.value).into_owned()),
        _ => None,
    }
}

/// Every target with every comparison.
pub async fn every_comparison_holds_or_not(client: &Client) {
    put(client, "a", "m").await;
    put(client, "a", "m").await;
    let number = |n: i64| -> [(&str, TargetUnion, i64); 4] {
        [
            ("version", TargetUnion::Version(n), 2),
            ("create", TargetUnion::CreateRevision(n), 2),
            ("mod", TargetUnion::ModRevision(n), 3),
            ("lease", TargetUnion::Lease(n), 0),
        ]
    };
    for n in -1..5 {
        for (name, target, actual) in number(n) {
            for (result, expected) in [
                (CompareResult::Equal, actual == n),
                (CompareResult::NotEqual, actual != n),
                (CompareResult::Greater, actual > n),
                (CompareResult::Less, actual < n),
            ] {
                let compare = compare("a", target.clone(), result);
                assert_eq!(
                    holds(client, compare).await,
                    expected,
                    "{name} {result:?} {n}"
                );
            }
        }
    }
    for value in ["l", "m", "n"] {
        for (result, expected) in [
            (CompareResult::Equal, "m" == value),
            (CompareResult::NotEqual, "m" != value),
            (CompareResult::Greater, "m" > value),
            (CompareResult::Less, "m" < value),
        ] {
            let compare = compare("a", TargetUnion::Value(value.to_owned().into()), result);
            assert_eq!(
                holds(client, compare).await,
                expected,
                "value {result:?} {value}"
            );
        }
    }
}

/// A key that is not there compares as zeroes; no comparison of its value holds.
pub async fn a_missing_key_compares_as_zeroes(client: &Client) {
    let equal = CompareResult::Equal;
    assert!(holds(client, compare("x", TargetUnion::Version(0), equal)).await);
    assert!(holds(client, compare("x", TargetUnion::CreateRevision(0), equal)).await);
    assert!(holds(client, compare("x", TargetUnion::ModRevision(0), equal)).await);
    assert!(!holds(client, compare("x", TargetUnion::Version(1), equal)).await);
    for result in [equal, CompareResult::NotEqual, CompareResult::Less] {
        let value = TargetUnion::Value(b"".as_slice().into());
        assert!(
            !holds(client, compare("x", value, result)).await,
            "{result:?}"
        );
    }
}

/// A comparison of a range must hold for every key in it.
pub async fn range_comparisons_hold_for_all_or_not(client: &Client) {
    put(client, "a1", "x").await;
    put(client, "a2", "x").await;
    put(client, "a2", "x").await;
    let all_of = |target: TargetUnion, result| Compare {
        range_end: b"b".as_slice().into(),
        ..compare("a", target, result)
    };
    let value = TargetUnion::Value(b"x".as_slice().into());
    assert!(holds(client, all_of(value, CompareResult::Equal)).await);
    assert!(
        !holds(
            client,
            all_of(TargetUnion::Version(1), CompareResult::Equal)
        )
        .await
    );
    assert!(
        holds(
            client,
            all_of(TargetUnion::Version(0), CompareResult::Greater)
        )
        .await
    );
}

/// All comparisons must hold for the first branch; its writes are one revision.
pub async fn a_branch_is_one_revision(client: &Client) {
    put(client, "a", "1").await;
    let txn = TxnRequest {
        compare: vec![compare("a", TargetUnion::Version(1), CompareResult::Equal)],
        success: vec![put_op("b", "1"), put_op("c", "1"), delete_op("a", "")],
        failure: vec![put_op("no", "1")],
    };
    let done = run(client, txn.clone()).await;
    assert!(done.succeeded);
    assert_eq!(
        (done.header.unwrap().revision, done.responses.len()),
        (3, 3)
    );
    let found = range(client, all()).await;
    assert_eq!(keys(&found), ["b", "c"]);
    assert!(found.kvs.iter().all(|kv| kv.mod_revision == 3));
    let other = run(client, txn).await;
    assert!(!other.succeeded);
    assert_eq!(client.get("no").await.unwrap().as_deref(), Some("1"));
}

/// Operations see what the same transaction did before them.
pub async fn operations_see_earlier_ones(client: &Client) {
    put(client, "a", "old").await;
    let done = run(
        client,
        then(vec![
            get_op("a"),
            put_op("a", "new"),
            get_op("a"),
            delete_op("b", "c"),
            get_op("b"),
        ]),
    )
    .await;
    assert_eq!(value_of(&done, 0).as_deref(), Some("old"));
    assert_eq!(value_of(&done, 2).as_deref(), Some("new"));
    assert_eq!(value_of(&done, 4), None);
}

/// A transaction that only reads is no write.
pub async fn reading_keeps_the_revision(client: &Client) {
    put(client, "a", "1").await;
    let done = run(client, then(vec![get_op("a")])).await;
    assert_eq!(
        (done.header.unwrap().revision, value_of(&done, 0).as_deref()),
        (2, Some("1"))
    );
    assert_eq!(put(client, "a", "2").await, 3);
}

/// Transactions nest; the inner one's comparison is decided before the outer writes.
pub async fn transactions_nest(client: &Client) {
    let inner = TxnRequest {
        compare: vec![compare("a", TargetUnion::Version(0), CompareResult::Equal)],
        success: vec![put_op("inner", "then")],
        failure: vec![put_op("inner", "else")],
    };
    let done = run(client, then(vec![put_op("a", "1"), nested_op(inner)])).await;
    assert_eq!(done.header.unwrap().revision, 2);
    assert_eq!(client.get("inner").await.unwrap().as_deref(), Some("then"));
    let Some(response_op::Response::ResponseTxn(inner)) = &done.responses[1].response else {
        panic!("{done:?}");
    };
    assert!(inner.succeeded);
}

/// Two writes of one branch must not meet; writes of different branches may.
pub async fn colliding_writes_are_refused(client: &Client) {
    let duplicate = "etcdserver: duplicate key given in txn request";
    for ops in [
        vec![put_op("a", "1"), put_op("a", "2")],
        vec![put_op("a", "1"), delete_op("a", "")],
        vec![delete_op("a", "c"), put_op("b", "1")],
        vec![put_op("a", "1"), nested_op(then(vec![put_op("a", "2")]))],
    ] {
        refused(client.kv().txn(then(ops)).await, InvalidArgument, duplicate);
    }
    let apart = TxnRequest {
        success: vec![put_op("a", "1")],
        failure: vec![delete_op("a", "")],
        ..TxnRequest::default()
    };
    run(client, apart).await;
    run(client, then(vec![delete_op("x", ""), delete_op("x", "z")])).await;
}

/// There is a most of operations, counted along the nesting.
pub async fn too_many_operations_are_refused(client: &Client) {
    let text = "etcdserver: too many operations in txn request";
    let many = |n: usize| {
        (0..n)
            .map(|i| put_op(&format!("k{i}"), "1"))
            .collect::<Vec<_>>()
    };
    run(client, then(many(128))).await;
    refused(
        client.kv().txn(then(many(129))).await,
        InvalidArgument,
        text,
    );
    let mut outer: Vec<RequestOp> = (0..99).map(|i| put_op(&format!("o{i}"), "1")).collect();
    outer.push(nested_op(then(many(29))));
    refused(client.kv().txn(then(outer)).await, InvalidArgument, text);
}

/// Wrong operations are refused as they are outside a transaction.
pub async fn wrong_operations_are_refused(client: &Client) {
    let empty_key = "etcdserver: key is not provided";
    for ops in [
        vec![put_op("", "1")],
        vec![get_op("")],
        vec![delete_op("", "")],
    ] {
        refused(client.kv().txn(then(ops)).await, InvalidArgument, empty_key);
    }
    let nothing = then(vec![RequestOp { request: None }]);
    refused(
        client.kv().txn(nothing).await,
        InvalidArgument,
        "etcdserver: key not found",
    );
    let compare_nothing = TxnRequest {
        compare: vec![compare("", TargetUnion::Version(0), CompareResult::Equal)],
        ..TxnRequest::default()
    };
    refused(
        client.kv().txn(compare_nothing).await,
        InvalidArgument,
        empty_key,
    );
}

/// A read that cannot be answered refuses the whole transaction before any write.
pub async fn an_impossible_read_writes_nothing(client: &Client) {
    for value in ["1", "2", "3"] {
        put(client, "a", value).await;
    }
    compact(client, 3).await;
    let at = |revision| {
        op(request_op::Request::RequestRange(RangeRequest {
            key: b"a".as_slice().into(),
            revision,
            ..RangeRequest::default()
        }))
    };
    let future = "etcdserver: mvcc: required revision is a future revision";
    for (revision, text) in [(2, COMPACTED), (99, future)] {
        let txn = then(vec![put_op("b", "1"), at(revision)]);
        refused(client.kv().txn(txn).await, OutOfRange, text);
    }
    assert_eq!(keys(&range(client, all()).await), ["a"]);
}
