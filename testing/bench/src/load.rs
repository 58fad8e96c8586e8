//! Making load and measuring it.

use crate::report::Sample;
use crate::rows::{Operation, Row};
use anyhow::Context;
use kvorum_processes::{Client, Cluster};
use kvorum_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use kvorum_proto::etcdserverpb::{
    Compare, PutRequest, RangeRequest, RequestOp, TxnRequest, request_op, response_op,
};
use std::time::{Duration, Instant};

/// Keys that gets, ranges and transactions choose from.
const KEYS: u64 = 10_000;
/// Connections at most, as etcd's own benchmark is usually run.
const CONNECTIONS: usize = 16;

fn key(n: u64) -> Vec<u8> {
    format!("bench/{n:020}").into_bytes()
}

fn put(n: u64, value: &[u8]) -> PutRequest {
    PutRequest {
        key: key(n).into(),
        value: value.to_vec().into(),
        ..PutRequest::default()
    }
}

/// Writes the keys that the reading rows read.
pub(crate) async fn fill(cluster: &Cluster, value_bytes: usize) -> anyhow::Result<()> {
    let client = cluster.members.first().context("no member")?.client();
    let value = vec![b'x'; value_bytes];
    let writers = (0..64_u64).map(|w| {
        let (client, value) = (client.clone(), value.clone());
        tokio::spawn(async move {
            for n in (w..KEYS).step_by(64) {
                client.kv().put(put(n, &value)).await?;
            }
            Ok::<(), tonic::Status>(())
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await??;
    }
    Ok(())
}

/// A small generator of numbers that look random, one for each client.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Runs one row for a while.
pub(crate) async fn run(
    cluster: &Cluster,
    row: Row,
    duration: Duration,
    value_bytes: usize,
) -> anyhow::Result<Sample> {
    let endpoints = cluster.endpoints();
    let connections: Vec<Client> = (0..row.clients().min(CONNECTIONS))
        .map(|i| Client::new(&endpoints[i % endpoints.len()]))
        .collect();
    let value = vec![b'y'; value_bytes];
    let cpu_before = cluster.cpu()?;
    let started = Instant::now();
    let until = started + duration;
    let clients = (0..row.clients()).map(|c| {
        let client = connections[c % connections.len()].clone();
        tokio::spawn(work(
            client,
            row.operation(),
            c as u64 + 1,
            value.clone(),
            until,
        ))
    });
    let mut micros = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        micros.extend(client.await??);
    }
    let elapsed = started.elapsed();
    let cpu = cluster.cpu()?.saturating_sub(cpu_before);
    Ok(Sample::new(micros, elapsed, cpu))
}

/// One client: the time that each of its operations took, in microseconds.
async fn work(
    client: Client,
    operation: Operation,
    seed: u64,
    value: Vec<u8>,
    until: Instant,
) -> anyhow::Result<Vec<u32>> {
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut kv = client.kv();
    let mut micros = Vec::new();
    let mut known_revision = 0;
    while Instant::now() < until {
        let n = numbers.next() % KEYS;
        let started = Instant::now();
        match operation {
            Operation::Put => drop(kv.put(put(numbers.next() >> 1, &value)).await?),
            Operation::Get => drop(kv.range(get(n)).await?),
            Operation::Serializable => drop(kv.range(serializable(n)).await?),
            Operation::Range => drop(kv.range(range(n)).await?),
            Operation::Txn => {
                let own = seed % KEYS;
                let response = kv
                    .txn(update(own, known_revision, &value))
                    .await?
                    .into_inner();
                known_revision = match response
                    .responses
                    .into_iter()
                    .next()
                    .and_then(|r| r.response)
                {
                    Some(response_op::Response::ResponseRange(r)) => {
                        r.kvs.first().map_or(0, |kv| kv.mod_revision)
                    }
                    _ => response.header.map_or(0, |h| h.revision),
                };
            }
        }
        micros.push(u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    Ok(micros)
}

fn get(n: u64) -> RangeRequest {
    RangeRequest {
        key: key(n).into(),
        ..RangeRequest::default()
    }
}

fn serializable(n: u64) -> RangeRequest {
    RangeRequest {
        serializable: true,
        ..get(n)
    }
}

fn range(n: u64) -> RangeRequest {
    RangeRequest {
        range_end: b"bench0".as_slice().into(),
        limit: 100,
        ..get(n)
    }
}

fn update(n: u64, revision: i64, value: &[u8]) -> TxnRequest {
    let op = |request| RequestOp {
        request: Some(request),
    };
    TxnRequest {
        compare: vec![Compare {
            key: key(n).into(),
            target: CompareTarget::Mod.into(),
            result: CompareResult::Equal.into(),
            target_union: Some(TargetUnion::ModRevision(revision)),
            ..Compare::default()
        }],
        success: vec![op(request_op::Request::RequestPut(put(n, value)))],
        failure: vec![op(request_op::Request::RequestRange(get(n)))],
    }
}
