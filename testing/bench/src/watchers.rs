//! Many watchers of the same keys, and how long an event takes to each of them.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use kvorum_processes::{Client, Cluster};
use kvorum_proto::etcdserverpb::watch_request::RequestUnion;
use kvorum_proto::etcdserverpb::{PutRequest, WatchCreateRequest, WatchRequest, WatchResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::report::Sample;

/// Watchers in all, and the connections that they share, one stream each.
const WATCHERS: usize = 1000;
const STREAMS: usize = 20;
/// 100 a second.
const PAUSE: Duration = Duration::from_millis(10);
/// Keys that are written in turn.
const KEYS: u64 = 100;
/// For what is under way when the last put is done.
const LATE: Duration = Duration::from_secs(60);

/// Median and 99th percentile in milliseconds from the call of a put to each event, and the members' CPU time for
/// one event in microseconds.
pub(crate) async fn run(cluster: &Cluster, duration: Duration) -> anyhow::Result<Vec<f64>> {
    let endpoints = cluster.endpoints();
    let origin = Instant::now();
    let puts = duration.as_millis() / PAUSE.as_millis();
    let puts = u64::try_from(puts).context("too long")?;
    let mut watching = Vec::new();
    for stream in 0..STREAMS {
        let endpoint = endpoints.get(stream % endpoints.len());
        let client = Client::new(endpoint.context("no member")?);
        let stream = open(&client).await?;
        let wanted = usize::try_from(puts)? * WATCHERS / STREAMS;
        watching.push(tokio::spawn(read(stream, origin, wanted)));
    }
    let before = cluster.cpu()?;
    let client = cluster.members.first().context("no member")?.client();
    let mut every = tokio::time::interval(PAUSE);
    for n in 0..puts {
        every.tick().await;
        let mut kv = client.kv();
        let put = PutRequest {
            key: format!("watched/{:03}", n % KEYS).into_bytes().into(),
            value: stamp(origin).into(),
            ..PutRequest::default()
        };
        // The next one does not wait for it.
        tokio::spawn(async move { kv.put(put).await });
    }
    let mut micros = Vec::new();
    for stream in watching {
        let read = tokio::time::timeout(LATE, stream).await;
        micros.extend(read.context("events are missing")???);
    }
    let cpu = cluster.cpu()?.saturating_sub(before);
    let events = Sample::new(micros, origin.elapsed(), cpu);
    Ok(vec![events.p50_ms, events.p99_ms, events.cpu_us])
}

/// A value that says when it was sent; 256 bytes, as the values of other rows.
fn stamp(origin: Instant) -> Vec<u8> {
    let micros = u64::try_from(origin.elapsed().as_micros()).unwrap_or(u64::MAX);
    let mut value = micros.to_le_bytes().to_vec();
    value.resize(256, b'w');
    value
}

/// A stream with its share of the watchers, all of them created.
async fn open(client: &Client) -> anyhow::Result<Streaming<WatchResponse>> {
    let share = WATCHERS / STREAMS;
    let (sender, requests) = mpsc::channel(share);
    for _ in 0..share {
        let create = WatchCreateRequest {
            key: b"watched/".as_slice().into(),
            range_end: b"watched0".as_slice().into(),
            prev_kv: true,
            ..WatchCreateRequest::default()
        };
        let request_union = Some(RequestUnion::CreateRequest(create));
        sender.send(WatchRequest { request_union }).await?;
    }
    // The sending half stays open with the stream: a client that ends it ends its watches.
    let requests =
        tokio_stream::StreamExt::chain(ReceiverStream::new(requests), tokio_stream::pending());
    drop(sender);
    let mut stream = client.watch().watch(requests).await?.into_inner();
    for _ in 0..share {
        let answer = stream.message().await?.context("the stream ended")?;
        if !answer.created || answer.canceled {
            bail!("a watch was refused: {}", answer.cancel_reason);
        }
    }
    Ok(stream)
}

/// Reads so many events; the time that each took, in microseconds.
async fn read(
    mut stream: Streaming<WatchResponse>,
    origin: Instant,
    wanted: usize,
) -> anyhow::Result<Vec<u32>> {
    let mut micros = Vec::with_capacity(wanted);
    while micros.len() < wanted {
        let answer = stream.message().await?.context("the stream ended")?;
        let now = u64::try_from(origin.elapsed().as_micros())?;
        for event in answer.events {
            let value = event.kv.unwrap_or_default().value;
            let sent = value.get(..8).and_then(|bytes| bytes.try_into().ok());
            let sent = u64::from_le_bytes(sent.context("not a value of ours")?);
            micros.push(u32::try_from(now.saturating_sub(sent)).unwrap_or(u32::MAX));
        }
    }
    Ok(micros)
}
