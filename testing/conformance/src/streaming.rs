//! Ranges in pieces.

use crate::kv::{all, put};
use kvorum_processes::Client;
use kvorum_proto::etcdserverpb::range_request::SortOrder;
use kvorum_proto::etcdserverpb::{RangeRequest, RangeResponse};
use tonic::{Code, Status};

async fn stream(client: &Client, request: RangeRequest) -> Result<Vec<RangeResponse>, Status> {
    let mut answers = client.kv().range_stream(request).await?.into_inner();
    let mut parts = Vec::new();
    while let Some(answer) = answers.message().await? {
        parts.push(answer.range_response.unwrap());
    }
    Ok(parts)
}

async fn fill(client: &Client, keys: usize) {
    for i in 0..keys {
        put(client, &format!("key-{i:03}"), "value").await;
    }
}

/// Pieces add up to the range; the last one says what Range's answer says.
pub async fn pieces_add_up_to_the_range(client: &Client) {
    fill(client, 50).await;
    for limit in [0, 1, 15, 50, 70] {
        let request = RangeRequest { limit, ..all() };
        let whole = client
            .kv()
            .range(request.clone())
            .await
            .unwrap()
            .into_inner();
        let parts = stream(client, request).await.unwrap();
        let last = parts.last().unwrap();
        let kvs: Vec<_> = parts.iter().flat_map(|p| p.kvs.clone()).collect();
        assert_eq!(
            (&kvs, last.more, last.count),
            (&whole.kvs, whole.more, whole.count),
            "limit {limit}"
        );
        assert_eq!(
            last.header.unwrap().revision,
            whole.header.unwrap().revision
        );
        for part in &parts[..parts.len() - 1] {
            assert_eq!((part.header, part.more, part.count), (None, false, 0));
        }
        if limit == 0 {
            assert!(parts.len() > 1, "50 keys come in pieces");
            assert_eq!(parts[0].kvs.len(), 10);
        }
    }
}

/// Counting and single keys need one message.
pub async fn counting_takes_one_message(client: &Client) {
    fill(client, 30).await;
    let count = RangeRequest {
        count_only: true,
        ..all()
    };
    let parts = stream(client, count).await.unwrap();
    assert_eq!(
        (parts.len(), parts[0].count, parts[0].kvs.len()),
        (1, 30, 0)
    );
    let one = RangeRequest {
        key: b"key-007".as_slice().into(),
        ..RangeRequest::default()
    };
    let parts = stream(client, one).await.unwrap();
    assert_eq!((parts.len(), parts[0].count, parts[0].kvs.len()), (1, 1, 1));
}

/// What cannot be streamed is left to Range; other refusals are Range's.
pub async fn sorting_and_filters_are_left_to_range(client: &Client) {
    let sorted = RangeRequest {
        sort_order: SortOrder::Descend.into(),
        ..all()
    };
    let filtered = RangeRequest {
        min_mod_revision: 1,
        ..all()
    };
    for (request, code, text) in [
        (
            sorted,
            Code::Unimplemented,
            "RangeStream does not support custom sort orders",
        ),
        (
            filtered,
            Code::Unimplemented,
            "RangeStream does not support revision filters",
        ),
        (
            RangeRequest::default(),
            Code::InvalidArgument,
            "etcdserver: key is not provided",
        ),
        (
            RangeRequest {
                revision: 99,
                ..all()
            },
            Code::OutOfRange,
            "etcdserver: mvcc: required revision is a future revision",
        ),
    ] {
        crate::refused(stream(client, request).await, code, text);
    }
}
