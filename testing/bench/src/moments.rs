//! What happens to clients at one moment: the leader goes, space is reclaimed, many watch.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::ValueEnum;
use kvorum_processes::load::Load;
use kvorum_processes::{Client, Cluster};
use kvorum_proto::etcdserverpb::{CompactionRequest, DefragmentRequest, PutRequest};

use crate::watchers;

/// Writers that together put 200 times a second.
const WRITERS: usize = 4;
const PAUSE: Duration = Duration::from_millis(20);
/// Writes before and after a moment.
const AROUND: usize = 200;
const SLOW: Duration = Duration::from_secs(60);
/// One step of reclaiming: etcd answers nothing else meanwhile.
const RECLAIMING: Duration = Duration::from_secs(600);
/// Each value of a filled store.
const FILL_BYTES: usize = 64 << 10;
const FILL_WRITERS: u64 = 16;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Moment {
    /// 1,000 watchers with the previous value, 100 puts a second.
    Watchers,
    /// kill -9 of the leader, 200 puts a second.
    Kill,
    /// SIGTERM to the leader, 200 puts a second.
    HandOver,
    /// Compaction, and defragmentation of every member, 200 puts a second beside.
    Reclaim,
}

impl Moment {
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }

    /// How often it is worth the time: filling a store takes minutes.
    pub(crate) fn rounds(self, asked: usize) -> usize {
        if self == Self::Reclaim { 1 } else { asked }
    }

    /// The names of the figures that [`Self::run`] gives.
    pub(crate) fn figures(self) -> &'static [&'static str] {
        match self {
            Self::Watchers => &["event p50 ms", "event p99 ms", "CPU us/event"],
            Self::Kill | Self::HandOver => &["longest time without a write, ms"],
            Self::Reclaim => &["longest time without a write, ms", "done after s"],
        }
    }

    /// Has it happen, and measures.
    pub(crate) async fn run(
        self,
        cluster: &mut Cluster,
        seconds: u64,
        reclaim_mb: u64,
    ) -> anyhow::Result<Vec<f64>> {
        match self {
            Self::Watchers => watchers::run(cluster, Duration::from_secs(seconds)).await,
            Self::Kill | Self::HandOver => leader_goes(cluster, self == Self::Kill).await,
            Self::Reclaim => reclaim(cluster, reclaim_mb).await,
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Watchers => "1,000 watchers with prev_kv, 100 puts/s",
            Self::Kill => "leader killed (-9), 200 puts/s",
            Self::HandOver => "leader told to end (SIGTERM), 200 puts/s",
            Self::Reclaim => "compaction and defragmentation, 200 puts/s",
        })
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Writers that know every member, each beginning at another.
fn writers(cluster: &Cluster) -> Load {
    let clients = || cluster.endpoints().iter().map(|e| Client::new(e)).collect();
    let all = (0..WRITERS).map(|_| clients()).collect();
    Load::start_with(all, "moment/", PAUSE)
}

async fn leader_goes(cluster: &mut Cluster, killed: bool) -> anyhow::Result<Vec<f64>> {
    let leader = cluster.leader().await;
    let load = writers(cluster);
    load.more(AROUND, SLOW).await;
    let member = cluster.members.get_mut(leader).context("no leader")?;
    if killed {
        member.kill();
    } else {
        member.terminate().await;
    }
    load.more(AROUND, SLOW).await;
    let outcome = load.stop().await;
    cluster.start_all().await;
    let client = cluster.members.first().context("no member")?.client();
    outcome.verify(&client).await;
    Ok(vec![millis(outcome.longest_gap)])
}

/// Writes so much, and all of it once more: half of what the store then holds can be reclaimed.
async fn fill(client: &Client, megabytes: u64) -> anyhow::Result<i64> {
    let keys = (megabytes << 20) / FILL_BYTES as u64;
    let writers = (0..FILL_WRITERS).map(|w| {
        let client = client.clone();
        tokio::spawn(async move {
            let mut revision = 0;
            for n in (w..2 * keys).step_by(FILL_WRITERS as usize) {
                let put = PutRequest {
                    key: format!("fill/{:08}", n % keys).into_bytes().into(),
                    // Not all alike: what compresses would be cheated with.
                    value: (0..FILL_BYTES as u64 / 8)
                        .flat_map(|i| (i * n).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
                        .collect::<Vec<u8>>()
                        .into(),
                    ..PutRequest::default()
                };
                let answer = client.kv().put(put).await?.into_inner();
                revision = answer.header.map_or(revision, |header| header.revision);
            }
            Ok::<i64, tonic::Status>(revision)
        })
    });
    let mut newest = 0;
    for writer in writers.collect::<Vec<_>>() {
        newest = newest.max(writer.await??);
    }
    Ok(newest)
}

async fn reclaim(cluster: &mut Cluster, megabytes: u64) -> anyhow::Result<Vec<f64>> {
    let client = cluster.members.first().context("no member")?.client();
    let revision = fill(&client, megabytes)
        .await
        .context("filling the store")?;
    let load = writers(cluster);
    load.more(AROUND, SLOW).await;
    let started = Instant::now();
    let compaction = CompactionRequest {
        revision,
        physical: true,
    };
    let patient = |endpoint: &String| Client::patient(endpoint, RECLAIMING);
    let patient: Vec<Client> = cluster.endpoints().iter().map(patient).collect();
    let first = patient.first().context("no member")?;
    first.kv().compact(compaction).await?;
    for member in &patient {
        let request = tonic::Request::new(DefragmentRequest {});
        member.maintenance().defragment(request).await?;
    }
    let took = started.elapsed();
    load.more(AROUND, SLOW).await;
    let outcome = load.stop().await;
    outcome.verify(&client).await;
    Ok(vec![millis(outcome.longest_gap), took.as_secs_f64()])
}
