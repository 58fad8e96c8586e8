//! Put, Range and DeleteRange.

use kvorum_processes::Client;
use kvorum_proto::etcdserverpb::{
    DeleteRangeRequest, DeleteRangeResponse, PutRequest, RangeRequest, RangeResponse,
};
use kvorum_proto::mvccpb::KeyValue;

/// A record's key, value and counters, for comparing.
pub fn parts(kv: &KeyValue) -> (String, String, i64, i64, i64) {
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    (
        text(&kv.key),
        text(&kv.value),
        kv.create_revision,
        kv.mod_revision,
        kv.version,
    )
}

fn record(
    key: &str,
    value: &str,
    create: i64,
    modified: i64,
    version: i64,
) -> (String, String, i64, i64, i64) {
    (key.to_owned(), value.to_owned(), create, modified, version)
}

pub(crate) async fn range(client: &Client, request: RangeRequest) -> RangeResponse {
    client
        .kv()
        .range(request)
        .await
        .unwrap_or_else(|e| panic!("{e}"))
        .into_inner()
}

pub(crate) fn all() -> RangeRequest {
    RangeRequest {
        key: b"\0".as_slice().into(),
        range_end: b"\0".as_slice().into(),
        ..RangeRequest::default()
    }
}

pub(crate) fn keys(response: &RangeResponse) -> Vec<String> {
    response.kvs.iter().map(|kv| parts(kv).0).collect()
}

pub(crate) async fn put(client: &Client, key: &str, value: &str) -> i64 {
    let response = client
        .put(key, value)
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    response.header.unwrap_or_default().revision
}

async fn delete(client: &Client, key: &str, range_end: &str, prev_kv: bool) -> DeleteRangeResponse {
    let request = DeleteRangeRequest {
        key: key.to_owned().into(),
        range_end: range_end.to_owned().into(),
        prev_kv,
    };
    client
        .kv()
        .delete_range(request)
        .await
        .unwrap_or_else(|e| panic!("{e}"))
        .into_inner()
}

/// An empty server is at revision 1; each write counts one.
pub async fn revisions_count_writes(client: &Client) {
    let empty = range(client, all()).await;
    assert_eq!((empty.header.unwrap().revision, empty.count), (1, 0));
    assert_eq!(put(client, "a", "1").await, 2);
    assert_eq!(put(client, "a", "2").await, 3);
    assert_eq!(put(client, "b", "1").await, 4);
    let found = range(client, all()).await;
    let found: Vec<_> = found.kvs.iter().map(parts).collect();
    assert_eq!(
        found,
        [record("a", "2", 2, 3, 2), record("b", "1", 4, 4, 1)]
    );
}

/// The header names cluster, member and term, the same in every answer.
pub async fn headers_are_filled_in(client: &Client) {
    let put = client.put("a", "1").await.unwrap().header.unwrap();
    let got = range(client, all()).await.header.unwrap();
    assert!(put.cluster_id != 0 && put.member_id != 0 && put.raft_term > 0);
    assert_eq!(
        (put.cluster_id, put.member_id, put.raft_term),
        (got.cluster_id, got.member_id, got.raft_term)
    );
}

/// A deleted and re-created key starts again at version 1.
pub async fn deletion_resets_the_version(client: &Client) {
    put(client, "a", "1").await;
    put(client, "a", "2").await;
    let deleted = delete(client, "a", "", false).await;
    assert_eq!((deleted.deleted, deleted.header.unwrap().revision), (1, 4));
    assert_eq!(client.get("a").await.unwrap(), None);
    put(client, "a", "3").await;
    let found = range(client, all()).await;
    assert_eq!(parts(&found.kvs[0]), record("a", "3", 5, 5, 1));
}

/// Deleting nothing is no write.
pub async fn deleting_nothing_keeps_the_revision(client: &Client) {
    put(client, "a", "1").await;
    let deleted = delete(client, "x", "z", false).await;
    assert_eq!((deleted.deleted, deleted.header.unwrap().revision), (0, 2));
}

/// A range is deleted as one revision, and gives back what was there if asked.
pub async fn a_range_is_deleted_at_once(client: &Client) {
    for key in ["a", "b", "c", "d"] {
        put(client, key, key).await;
    }
    let deleted = delete(client, "b", "d", true).await;
    assert_eq!((deleted.deleted, deleted.header.unwrap().revision), (2, 6));
    let before: Vec<_> = deleted.prev_kvs.iter().map(|kv| parts(kv).0).collect();
    assert_eq!(before, ["b", "c"]);
    assert_eq!(keys(&range(client, all()).await), ["a", "d"]);
}

/// Single keys, spans, prefixes, from a key on, everything; an empty span.
pub async fn ranges_have_etcds_forms(client: &Client) {
    for key in ["a", "aa", "ab", "b", "c"] {
        put(client, key, key).await;
    }
    for (key, end, expected) in [
        ("a", "", vec!["a"]),
        ("x", "", vec![]),
        ("a", "b", vec!["a", "aa", "ab"]),
        ("aa", "ac", vec!["aa", "ab"]),
        ("ab", "\0", vec!["ab", "b", "c"]),
        ("\0", "\0", vec!["a", "aa", "ab", "b", "c"]),
        ("c", "a", vec![]),
    ] {
        let response = client.range(key, end).await.unwrap();
        assert_eq!(keys(&response), expected, "{key:?}..{end:?}");
        assert_eq!(response.count as usize, expected.len());
        assert!(!response.more);
    }
}

/// A limit cuts the list; the count is that of the whole range.
pub async fn limits_cut_and_count_goes_on(client: &Client) {
    for key in ["a", "b", "c"] {
        put(client, key, key).await;
    }
    for (limit, n, more) in [
        (0, 3, false),
        (1, 1, true),
        (2, 2, true),
        (3, 3, false),
        (9, 3, false),
    ] {
        let response = range(client, RangeRequest { limit, ..all() }).await;
        assert_eq!(
            (response.kvs.len(), response.more, response.count),
            (n, more, 3),
            "limit {limit}"
        );
    }
}

/// Counting and listing keys leave the values out.
pub async fn counts_and_keys_only(client: &Client) {
    put(client, "a", "1").await;
    put(client, "b", "2").await;
    let counted = range(
        client,
        RangeRequest {
            count_only: true,
            ..all()
        },
    )
    .await;
    assert_eq!((counted.count, counted.kvs.len()), (2, 0));
    let listed = range(
        client,
        RangeRequest {
            keys_only: true,
            ..all()
        },
    )
    .await;
    let listed: Vec<_> = listed.kvs.iter().map(parts).collect();
    assert_eq!(listed, [record("a", "", 2, 2, 1), record("b", "", 3, 3, 1)]);
}

/// Old revisions read as they were; the header still says now.
pub async fn the_past_reads_as_it_was(client: &Client) {
    put(client, "a", "1").await;
    put(client, "a", "2").await;
    delete(client, "a", "", false).await;
    put(client, "b", "3").await;
    for (revision, expected) in [
        (1, vec![]),
        (2, vec![record("a", "1", 2, 2, 1)]),
        (3, vec![record("a", "2", 2, 3, 2)]),
        (4, vec![]),
        (5, vec![record("b", "3", 5, 5, 1)]),
    ] {
        let response = range(client, RangeRequest { revision, ..all() }).await;
        let found: Vec<_> = response.kvs.iter().map(parts).collect();
        assert_eq!(found, expected, "at {revision}");
        assert_eq!(response.header.unwrap().revision, 5);
    }
}

/// A put can give back what was there before.
pub async fn puts_give_back_the_previous_record(client: &Client) {
    let put = |value: &str| PutRequest {
        key: b"a".as_slice().into(),
        value: value.to_owned().into(),
        prev_kv: true,
        ..PutRequest::default()
    };
    let first = client.kv().put(put("1")).await.unwrap().into_inner();
    assert_eq!(first.prev_kv, None);
    let second = client.kv().put(put("2")).await.unwrap().into_inner();
    assert_eq!(parts(&second.prev_kv.unwrap()), record("a", "1", 2, 2, 1));
}

/// `ignore_value` keeps the value and counts as a write.
pub async fn a_put_may_keep_the_value(client: &Client) {
    put(client, "a", "1").await;
    let keep = PutRequest {
        key: b"a".as_slice().into(),
        ignore_value: true,
        ..PutRequest::default()
    };
    client.kv().put(keep).await.unwrap();
    let found = range(client, all()).await;
    assert_eq!(parts(&found.kvs[0]), record("a", "1", 2, 3, 2));
}

/// Keys and values are bytes, of any kind and none.
pub async fn keys_and_values_are_bytes(client: &Client) {
    let request = PutRequest {
        key: vec![0xff, 0, 1].into(),
        value: Vec::new().into(),
        ..PutRequest::default()
    };
    client.kv().put(request).await.unwrap();
    let found = range(client, all()).await;
    assert_eq!(
        (&found.kvs[0].key[..], &found.kvs[0].value[..]),
        (&[0xff, 0, 1][..], &[][..])
    );
}

/// A member's own state can be read without asking the others.
pub async fn serializable_reads_work(client: &Client) {
    put(client, "a", "1").await;
    let response = range(
        client,
        RangeRequest {
            serializable: true,
            ..all()
        },
    )
    .await;
    assert_eq!(keys(&response), ["a"]);
}
