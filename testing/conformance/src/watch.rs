//! Watching.

use crate::compaction::compact;
use crate::kv::put;
use crate::watching::{Watching, short, watcher};
use kvorum_processes::Client;
use kvorum_proto::etcdserverpb::watch_create_request::FilterType;
use kvorum_proto::etcdserverpb::{
    PutRequest, RequestOp, TxnRequest, WatchCreateRequest, request_op,
};

/// Changes come in order, each with its revision; a deletion carries key and revision only.
pub async fn changes_come_in_order(client: &Client) {
    let mut watching = Watching::open(client).await;
    let created = watching.create(watcher("a", "")).await;
    assert_eq!((created.watch_id, created.header.unwrap().revision), (0, 1));
    put(client, "a", "1").await;
    put(client, "b", "1").await;
    put(client, "a", "2").await;
    client.delete("a").await.unwrap();
    assert_eq!(
        watching.events(3).await,
        ["PUT a=1@2", "PUT a=2@4", "DELETE a=@5"]
    );
    watching.quiet().await;
}

/// Single keys, spans, from a key on, everything.
pub async fn ranges_are_watched(client: &Client) {
    for (key, end, expected) in [
        ("b", "", "b"),
        ("b", "d", "bc"),
        ("c", "\0", "cd"),
        ("\0", "\0", "abcd"),
        ("", "\0", "abcd"),
    ] {
        let mut watching = Watching::open(client).await;
        let now = watching
            .create(watcher(key, end))
            .await
            .header
            .unwrap()
            .revision;
        for name in ["a", "b", "c", "d"] {
            put(client, name, "x").await;
        }
        let seen = watching.events(expected.len()).await;
        let seen: String = seen.iter().map(|e| e.chars().nth(4).unwrap()).collect();
        assert_eq!(seen, expected, "{key:?}..{end:?} from {now}");
        watching.quiet().await;
    }
}

/// A watcher may begin in the past, and goes on into the present.
pub async fn the_past_is_replayed(client: &Client) {
    for value in ["1", "2", "3"] {
        put(client, "a", value).await;
    }
    client.delete("a").await.unwrap();
    let mut watching = Watching::open(client).await;
    watching
        .create(WatchCreateRequest {
            start_revision: 3,
            ..watcher("a", "")
        })
        .await;
    assert_eq!(
        watching.events(3).await,
        ["PUT a=2@3", "PUT a=3@4", "DELETE a=@5"]
    );
    put(client, "a", "4").await;
    assert_eq!(watching.events(1).await, ["PUT a=4@6"]);
}

/// A watcher may begin in the future, and sees nothing older.
pub async fn the_future_is_waited_for(client: &Client) {
    let mut watching = Watching::open(client).await;
    watching
        .create(WatchCreateRequest {
            start_revision: 4,
            ..watcher("a", "")
        })
        .await;
    for value in ["1", "2", "3", "4"] {
        put(client, "a", value).await;
    }
    assert_eq!(watching.events(2).await, ["PUT a=3@4", "PUT a=4@5"]);
}

/// All changes of one revision come in one response.
pub async fn one_revision_is_one_response(client: &Client) {
    let mut watching = Watching::open(client).await;
    watching.create(watcher("a", "b")).await;
    let put = |key: &str| RequestOp {
        request: Some(request_op::Request::RequestPut(PutRequest {
            key: key.to_owned().into(),
            value: b"v".as_slice().into(),
            ..PutRequest::default()
        })),
    };
    let txn = TxnRequest {
        success: ["a1", "a3", "x", "a2"].map(put).into(),
        ..TxnRequest::default()
    };
    client.kv().txn(txn).await.unwrap();
    let response = watching.next().await;
    let seen: Vec<_> = response.events.iter().map(short).collect();
    assert_eq!(seen, ["PUT a1=v@2", "PUT a3=v@2", "PUT a2=v@2"]);
    assert_eq!(response.header.unwrap().revision, 2);
}

/// What was there before comes along if asked for.
pub async fn previous_records_come_along(client: &Client) {
    put(client, "a", "1").await;
    let mut watching = Watching::open(client).await;
    watching
        .create(WatchCreateRequest {
            prev_kv: true,
            ..watcher("a", "c")
        })
        .await;
    put(client, "a", "2").await;
    client.delete("a").await.unwrap();
    put(client, "b", "1").await;
    let mut before = Vec::new();
    while before.len() < 3 {
        for event in watching.next().await.events {
            before.push(event.prev_kv.map(|kv| {
                (
                    String::from_utf8_lossy(&kv.value).into_owned(),
                    kv.mod_revision,
                )
            }));
        }
    }
    assert_eq!(
        before,
        [Some(("1".to_owned(), 2)), Some(("2".to_owned(), 3)), None]
    );
}

/// Puts or deletions can be left out.
pub async fn filters_leave_out(client: &Client) {
    for (filter, expected) in [(FilterType::Noput, "DELETE"), (FilterType::Nodelete, "PUT")] {
        let mut watching = Watching::open(client).await;
        let request = WatchCreateRequest {
            filters: vec![filter.into()],
            ..watcher("a", "")
        };
        watching.create(request).await;
        put(client, "a", "1").await;
        client.delete("a").await.unwrap();
        let seen = watching.events(1).await;
        assert!(seen[0].starts_with(expected), "{seen:?}");
        watching.quiet().await;
    }
}

/// A watcher of what is compacted is created, then cancelled with the revision it can start from.
pub async fn a_compacted_start_is_cancelled(client: &Client) {
    for value in ["1", "2", "3", "4"] {
        put(client, "a", value).await;
    }
    compact(client, 4).await;
    let mut watching = Watching::open(client).await;
    let created = watching
        .create(WatchCreateRequest {
            start_revision: 2,
            ..watcher("a", "")
        })
        .await;
    let cancelled = watching.next().await;
    assert_eq!(cancelled.watch_id, created.watch_id);
    assert_eq!((cancelled.canceled, cancelled.compact_revision), (true, 4));
    // The stream itself goes on.
    watching
        .create(WatchCreateRequest {
            start_revision: 4,
            ..watcher("a", "")
        })
        .await;
    assert_eq!(watching.events(2).await, ["PUT a=3@4", "PUT a=4@5"]);
}

/// Watchers are told apart by IDs: the server's, or the client's own.
pub async fn watchers_have_ids(client: &Client) {
    let mut watching = Watching::open(client).await;
    assert_eq!(watching.create(watcher("a", "")).await.watch_id, 0);
    let own = WatchCreateRequest {
        watch_id: 7,
        ..watcher("b", "")
    };
    assert_eq!(watching.create(own.clone()).await.watch_id, 7);
    assert_eq!(watching.create(watcher("c", "")).await.watch_id, 1);
    let twice = watching.create(own).await;
    assert_eq!((twice.watch_id, twice.canceled), (-1, true));
    assert_eq!(
        twice.cancel_reason,
        "mvcc: duplicate watch ID provided on the WatchStream"
    );
    put(client, "b", "1").await;
    let seen = watching.next().await;
    assert_eq!((seen.watch_id, seen.events.len()), (7, 1));
}

/// A cancelled watcher says so and sees nothing more; an unknown one is passed over.
pub async fn watchers_can_be_cancelled(client: &Client) {
    let mut watching = Watching::open(client).await;
    let first = watching.create(watcher("a", "")).await.watch_id;
    watching.create(watcher("a", "")).await;
    watching.cancel(99).await;
    watching.cancel(first).await;
    let cancelled = watching.next().await;
    assert_eq!(
        (
            cancelled.watch_id,
            cancelled.canceled,
            cancelled.cancel_reason.as_str()
        ),
        (first, true, "")
    );
    put(client, "a", "1").await;
    let seen = watching.next().await;
    assert!(seen.watch_id != first, "{seen:?}");
    watching.quiet().await;
}

/// An empty range cannot be watched.
pub async fn an_empty_range_is_refused(client: &Client) {
    let mut watching = Watching::open(client).await;
    let answer = watching.create(watcher("b", "a")).await;
    assert_eq!((answer.watch_id, answer.canceled), (-1, true));
}

/// Asked for progress, the server answers once everything so far was delivered.
pub async fn progress_is_told_when_asked(client: &Client) {
    let mut watching = Watching::open(client).await;
    watching.create(watcher("a", "")).await;
    put(client, "a", "1").await;
    put(client, "b", "1").await;
    assert_eq!(watching.events(1).await, ["PUT a=1@2"]);
    watching.progress().await;
    let note = watching.next().await;
    assert_eq!(
        (
            note.watch_id,
            note.events.len(),
            note.header.unwrap().revision
        ),
        (-1, 0, 3)
    );
}

/// A large revision comes in marked parts to who asked for it.
pub async fn large_revisions_come_in_fragments(client: &Client) {
    let value = "x".repeat(700_000);
    for key in ["a1", "a2", "a3"] {
        put(client, key, &value).await;
    }
    let mut watching = Watching::open(client).await;
    let request = WatchCreateRequest {
        start_revision: 2,
        fragment: true,
        ..watcher("a", "b")
    };
    watching.create(request).await;
    let mut events = 0;
    let mut parts = 0;
    while events < 3 {
        let response = watching.next().await;
        events += response.events.len();
        parts += 1;
        if events == 3 {
            assert!(!response.fragment, "the last part is not marked");
        }
    }
    assert!(parts > 1, "one response of {events} events");
}
