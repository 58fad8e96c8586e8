//! Compaction.

use crate::kv::{all, keys, put, range};
use crate::refused;
use kvorum_processes::Client;
use kvorum_proto::etcdserverpb::{CompactionRequest, RangeRequest};
use tonic::Code::OutOfRange;

pub(crate) const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";

pub(crate) async fn compact(client: &Client, revision: i64) {
    let request = CompactionRequest {
        revision,
        physical: true,
    };
    client
        .kv()
        .compact(request)
        .await
        .unwrap_or_else(|e| panic!("{e}"));
}

/// Below the compacted revision nothing can be read; at it and above, everything.
pub async fn the_compacted_past_is_gone(client: &Client) {
    for value in ["1", "2", "3", "4"] {
        put(client, "a", value).await;
    }
    compact(client, 4).await;
    for revision in 2..=3 {
        let request = RangeRequest { revision, ..all() };
        refused(client.kv().range(request).await, OutOfRange, COMPACTED);
    }
    for (revision, value) in [(4, "3"), (5, "4"), (0, "4")] {
        let response = range(client, RangeRequest { revision, ..all() }).await;
        assert_eq!(
            &response.kvs[0].value[..],
            value.as_bytes(),
            "at {revision}"
        );
    }
}

/// A revision is compacted once, and not before it is there.
pub async fn compacting_twice_or_ahead_is_refused(client: &Client) {
    put(client, "a", "1").await;
    put(client, "a", "2").await;
    compact(client, 2).await;
    let request = |revision| CompactionRequest {
        revision,
        physical: false,
    };
    refused(client.kv().compact(request(2)).await, OutOfRange, COMPACTED);
    refused(client.kv().compact(request(1)).await, OutOfRange, COMPACTED);
    let future = "etcdserver: mvcc: required revision is a future revision";
    refused(client.kv().compact(request(9)).await, OutOfRange, future);
}

/// Keys that are there survive any compaction; deleted ones stay deleted.
pub async fn compaction_keeps_what_is_there(client: &Client) {
    put(client, "a", "1").await;
    put(client, "b", "1").await;
    client.delete("b").await.unwrap();
    put(client, "c", "1").await;
    compact(client, 5).await;
    assert_eq!(keys(&range(client, all()).await), ["a", "c"]);
    put(client, "b", "2").await;
    let found = client.range("b", "").await.unwrap();
    assert_eq!((found.kvs[0].version, found.kvs[0].create_revision), (1, 6));
}
