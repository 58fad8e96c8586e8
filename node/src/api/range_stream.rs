//! Ranges in pieces: one revision, read slice by slice while the client takes them.

use super::{Api, errors};
use crate::limits::{RANGE_STREAM_AHEAD, RANGE_STREAM_FIRST};
use bytes::{BufMut, Bytes, BytesMut};
use kvorum_mvcc::auth::Caller;
use kvorum_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use kvorum_proto::etcdserverpb::{RangeRequest, RangeResponse, RangeStreamResponse};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

type Out = mpsc::Sender<Result<RangeStreamResponse, Status>>;

/// Refuses what cannot be answered slice by slice, as etcd does.
///
/// # Errors
/// UNIMPLEMENTED, on which clients go back to Range.
#[allow(clippy::result_large_err, reason = "tonic's own error")]
pub(super) fn check(request: &RangeRequest) -> Result<(), Status> {
    let natural = request.sort_target() == SortTarget::Key
        && matches!(request.sort_order(), SortOrder::None | SortOrder::Ascend);
    if !natural {
        return Err(errors::stream_sorted());
    }
    let filtered = request.min_mod_revision != 0
        || request.max_mod_revision != 0
        || request.min_create_revision != 0
        || request.max_create_revision != 0;
    if filtered {
        return Err(errors::stream_filtered());
    }
    Ok(())
}

/// Answers in a task of its own, which ends with the stream.
pub(super) fn start(
    api: Api,
    caller: Caller,
    request: RangeRequest,
) -> ReceiverStream<Result<RangeStreamResponse, Status>> {
    let (out, answers) = mpsc::channel(RANGE_STREAM_AHEAD);
    tokio::spawn(async move {
        if let Err(status) = answer(&api, &caller, request, &out).await {
            let _ = out.send(Err(status)).await;
        }
    });
    ReceiverStream::new(answers)
}

async fn read(api: &Api, caller: &Caller, request: RangeRequest) -> Result<RangeResponse, Status> {
    let found = api.blocking(move |store| store.range(&request)).await?;
    // A slow client must not go on reading what it may not any more.
    api.still(caller)?;
    Ok(found)
}

/// The key right behind this one.
fn after(key: &Bytes) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.put_u8(0);
    next.freeze()
}

async fn answer(
    api: &Api,
    caller: &Caller,
    request: RangeRequest,
    out: &Out,
) -> Result<(), Status> {
    let single = request.range_end.is_empty() || request.count_only;
    let whole = RangeRequest {
        count_only: true,
        ..request.clone()
    };
    // Pins the revision, and counts once: slices would count again and again.
    let counted = read(api, caller, if single { request.clone() } else { whole }).await?;
    let revision = counted.header.map_or(0, |h| h.revision);
    if single {
        send(api, counted, out).await;
        return Ok(());
    }
    let mut slice = RangeRequest {
        revision: if request.revision > 0 {
            request.revision
        } else {
            revision
        },
        ..request.clone()
    };
    let mut left = if request.limit > 0 {
        request.limit
    } else {
        i64::MAX
    };
    let mut size = RANGE_STREAM_FIRST;
    loop {
        slice.limit = size.min(left);
        let mut part = read(api, caller, slice.clone()).await?;
        let taken = i64::try_from(part.kvs.len()).unwrap_or(i64::MAX);
        left = left.saturating_sub(taken);
        size = next_size(size, part.encoded_len(), api.member.limits().bytes);
        let behind = part.kvs.last().map(|kv| after(&kv.key));
        let more = part.more;
        if let Some(behind) = behind.filter(|_| more && left > 0) {
            slice.key = behind;
            part.header = None;
            part.count = 0;
            part.more = false;
            if out.send(Ok(message(part))).await.is_err() {
                return Ok(());
            }
        } else {
            part.count = counted.count;
            part.header = counted.header;
            send(api, part, out).await;
            return Ok(());
        }
    }
}

/// Twice as many keys while messages are small, half as many when one was too large.
fn next_size(size: i64, bytes: usize, max: usize) -> i64 {
    if bytes > max {
        (size / 2).max(1)
    } else if bytes < max / 2 {
        size.saturating_mul(2)
    } else {
        size
    }
}

fn message(part: RangeResponse) -> RangeStreamResponse {
    RangeStreamResponse {
        range_response: Some(part),
    }
}

async fn send(api: &Api, mut last: RangeResponse, out: &Out) {
    api.complete(&mut last.header);
    let _ = out.send(Ok(message(last))).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_grow_towards_the_request_size_and_shrink_beyond_it() {
        assert_eq!(next_size(10, 100, 1000), 20);
        assert_eq!(next_size(80, 700, 1000), 80);
        assert_eq!(next_size(80, 1200, 1000), 40);
        assert_eq!(next_size(1, 1200, 1000), 1);
    }
}
