//! Sorting and filtering of ranges.

use crate::kv::{all, keys, put, range};
use kvorum_processes::Client;
use kvorum_proto::etcdserverpb::RangeRequest;
use kvorum_proto::etcdserverpb::range_request::{SortOrder, SortTarget};

/// Keys whose order differs by every target: created c, b, a; then changed.
async fn fill(client: &Client) {
    put(client, "c", "2").await;
    put(client, "b", "3").await;
    put(client, "a", "9").await;
    put(client, "c", "1").await;
    put(client, "c", "1").await;
    put(client, "b", "3").await;
}

async fn sorted(client: &Client, target: SortTarget, order: SortOrder, limit: i64) -> String {
    let request = RangeRequest {
        sort_target: target.into(),
        sort_order: order.into(),
        limit,
        ..all()
    };
    keys(&range(client, request).await).concat()
}

/// Every target, both orders; a target without an order ascends.
pub async fn every_target_sorts(client: &Client) {
    fill(client).await;
    for (target, ascending) in [
        (SortTarget::Key, "abc"),
        (SortTarget::Version, "abc"),
        (SortTarget::Create, "cba"),
        (SortTarget::Mod, "acb"),
        (SortTarget::Value, "cba"),
    ] {
        let descending: String = ascending.chars().rev().collect();
        assert_eq!(
            sorted(client, target, SortOrder::Ascend, 0).await,
            ascending,
            "{target:?}"
        );
        assert_eq!(
            sorted(client, target, SortOrder::None, 0).await,
            ascending,
            "{target:?}"
        );
        assert_eq!(
            sorted(client, target, SortOrder::Descend, 0).await,
            descending,
            "{target:?}"
        );
    }
}

/// A limit applies after sorting.
pub async fn limits_apply_after_sorting(client: &Client) {
    fill(client).await;
    assert_eq!(
        sorted(client, SortTarget::Mod, SortOrder::Descend, 1).await,
        "b"
    );
    assert_eq!(
        sorted(client, SortTarget::Key, SortOrder::Descend, 2).await,
        "cb"
    );
}

/// Revision filters drop records; the count ignores them; limits apply afterwards.
pub async fn revision_filters_drop_records(client: &Client) {
    fill(client).await;
    let filtered = |request: RangeRequest| async move {
        let response = range(client, request).await;
        assert_eq!(response.count, 3);
        (keys(&response).concat(), response.more)
    };
    let request = RangeRequest {
        min_mod_revision: 6,
        ..all()
    };
    assert_eq!(filtered(request).await, ("bc".to_owned(), false));
    let request = RangeRequest {
        max_mod_revision: 5,
        ..all()
    };
    assert_eq!(filtered(request).await, ("a".to_owned(), false));
    let request = RangeRequest {
        min_create_revision: 3,
        max_create_revision: 3,
        ..all()
    };
    assert_eq!(filtered(request).await, ("b".to_owned(), false));
    let request = RangeRequest {
        min_create_revision: 3,
        limit: 1,
        ..all()
    };
    assert_eq!(filtered(request).await, ("a".to_owned(), true));
}
