//! The measurement: everything up, everything Ready, everything at rest, then a time in which all is counted.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::control_plane::{ControlPlane, Process};
use crate::limits::{ALL_READY, BORN_AT_A_TIME, GOAL_MEGABYTES, GOAL_P99, POLL, REST, RESTED};
use crate::members::Members;
use crate::world::until;
use crate::{Options, audit, nodes, world};

const METRICS: &str = "127.0.0.1:8080";

pub(crate) async fn run(options: &Options) -> Result<()> {
    let pods = options.clusters * options.members;
    eprintln!("starting etcd and Kubernetes without nodes");
    let mut plane = ControlPlane::start(options).await?;
    eprintln!("creating simulated nodes and {pods} volumes");
    world::prepare(&plane.client, options.clusters, options.members).await?;
    let members = Arc::new(Members::default());
    let client = plane.client.clone();
    let simulated = async {
        let kubelets = nodes::run(client.clone(), Arc::clone(&members));
        tokio::try_join!(Arc::clone(&members).serve(), kubelets).map(|_| ())
    };
    let mut operator = start_operator(options, &plane)?;
    let measured = async {
        let started = Instant::now();
        eprintln!("creating {} KvClusters", options.clusters);
        all_ready(options, &client, &mut plane, &mut operator).await?;
        let formed = started.elapsed();
        at_rest(&plane).await?;
        let before = Sample::take(&plane, &operator).await?;
        tokio::time::sleep(Duration::from_secs(options.seconds)).await;
        let after = Sample::take(&plane, &operator).await?;
        operator.alive()?;
        Ok::<_, anyhow::Error>((formed, before, after))
    };
    let (formed, before, after) = tokio::select! {
        measured = measured => measured?,
        ended = simulated => {
            ended?;
            bail!("the simulated nodes have ended");
        }
    };
    print(options, formed, &before, &after);
    Ok(())
}

fn start_operator(options: &Options, plane: &ControlPlane) -> Result<Process> {
    let mut command = Command::new(&options.operator);
    command
        .args(["run", "--lease-namespace=default", "--listen", METRICS])
        .args(["--log", "warn"])
        .env("KUBECONFIG", plane.kubeconfig("operator"));
    Process::start(&mut command, plane.directory.path().join("operator.log"))
}

/// Creates them, some at a time, and waits for all: many at once would measure the API server.
async fn all_ready(
    options: &Options,
    client: &kube::Client,
    plane: &mut ControlPlane,
    operator: &mut Process,
) -> Result<()> {
    let (mut said, mut created) = (Instant::now(), 0);
    let started = Instant::now();
    while created < options.clusters {
        plane.processes.iter_mut().try_for_each(Process::alive)?;
        operator.alive()?;
        let ready = world::ready(client).await?;
        let room = (ready + BORN_AT_A_TIME).min(options.clusters);
        world::create_clusters(client, created..room.max(created), options.members).await?;
        created = room.max(created);
        if said.elapsed() > Duration::from_secs(10) {
            said = Instant::now();
            eprintln!("{ready} of {} are Ready", options.clusters);
        }
        ensure!(started.elapsed() < ALL_READY, "{ready} are Ready, not all");
        tokio::time::sleep(POLL).await;
    }
    until("all clusters are Ready", ALL_READY, || {
        let alive = plane
            .processes
            .iter_mut()
            .chain([&mut *operator])
            .try_for_each(Process::alive);
        let tell = said.elapsed() > Duration::from_secs(10);
        if tell {
            said = Instant::now();
        }
        async move {
            alive?;
            let ready = world::ready(client).await?;
            if tell {
                eprintln!("{ready} of {} are Ready", options.clusters);
            }
            Ok(if ready == options.clusters {
                Ok(())
            } else {
                Err(format!("{ready} are"))
            })
        }
    })
    .await
}

/// Waits until nothing was written for a while.
async fn at_rest(plane: &ControlPlane) -> Result<()> {
    eprintln!("waiting for rest");
    let log = plane.audit_log();
    let (mut last, mut since) = (audit::read(&log)?.0, Instant::now());
    let started = Instant::now();
    while since.elapsed() < REST {
        tokio::time::sleep(POLL).await;
        let now = audit::read(&log)?.0;
        if now != last {
            (last, since) = (now, Instant::now());
        }
        if started.elapsed() > RESTED {
            eprintln!("it never rests; counting all the same");
            break;
        }
    }
    Ok(())
}

/// Everything that is counted, at one moment.
struct Sample {
    at: Instant,
    writes: audit::Writes,
    renewals: usize,
    resident: f64,
    peak: f64,
    processor_seconds: f64,
    /// Looks that took at most so many seconds.
    buckets: Vec<(f64, f64)>,
    results: BTreeMap<String, f64>,
}

impl Sample {
    async fn take(plane: &ControlPlane, operator: &Process) -> Result<Self> {
        let (writes, renewals) = audit::read(&plane.audit_log())?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", operator.id()))?;
        let megabytes = |name: &str| -> Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            let kilobytes: f64 = number.context("no such line in /proc")?.parse()?;
            Ok(kilobytes / 1024.0)
        };
        let text = metrics().await?;
        Ok(Self {
            at: Instant::now(),
            writes,
            renewals,
            resident: megabytes("VmRSS:")?,
            peak: megabytes("VmHWM:")?,
            processor_seconds: processor_seconds(operator.id())?,
            buckets: buckets(&text),
            results: results(&text),
        })
    }
}

fn processor_seconds(process: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let after_name = stat.rsplit_once(") ").context("no name in /proc")?.1;
    let fields: Vec<&str> = after_name.split(' ').collect();
    let ticks =
        |index: usize| -> Result<f64> { Ok(fields.get(index).context("a short /proc")?.parse()?) };
    // Hundredths of a second, on every Linux there is.
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

async fn metrics() -> Result<String> {
    let mut stream = TcpStream::connect(METRICS).await?;
    let request = "GET /metrics HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

fn buckets(text: &str) -> Vec<(f64, f64)> {
    let name = "controller_runtime_reconcile_time_seconds_bucket{le=\"";
    let mut buckets: Vec<(f64, f64)> = text
        .lines()
        .filter_map(|line| {
            let (bound, rest) = line.strip_prefix(name)?.split_once('"')?;
            let bound = bound.parse().unwrap_or(f64::INFINITY);
            Some((bound, rest.rsplit_once(' ')?.1.parse().ok()?))
        })
        .collect();
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    buckets
}

fn results(text: &str) -> BTreeMap<String, f64> {
    let name = "controller_runtime_reconcile_total{";
    text.lines()
        .filter_map(|line| {
            let (labels, count) = line.strip_prefix(name)?.rsplit_once("} ")?;
            let result = labels.split("result=\"").nth(1)?.trim_end_matches('"');
            Some((result.to_owned(), count.parse().ok()?))
        })
        .collect()
}

/// Where a share of all looks ends, taken as evenly spread within a bucket, as Prometheus does.
fn quantile(buckets: &[(f64, f64)], share: f64) -> f64 {
    let all = buckets.last().map_or(0.0, |(_, count)| *count);
    let (mut low, mut below) = (0.0, 0.0);
    for (bound, count) in buckets {
        if *count >= share * all {
            let within = (share * all - below) / (count - below).max(f64::MIN_POSITIVE);
            let high = if bound.is_finite() { *bound } else { low };
            return low + (high - low) * within;
        }
        (low, below) = (*bound, *count);
    }
    low
}

fn print(options: &Options, formed: Duration, before: &Sample, after: &Sample) {
    let seconds = after.at.duration_since(before.at).as_secs_f64();
    let since = |now: &[(f64, f64)], then: &[(f64, f64)]| -> Vec<(f64, f64)> {
        let pairs = now.iter().zip(then);
        pairs
            .map(|((bound, now), (_, then))| (*bound, now - then))
            .collect()
    };
    let looks = since(&after.buckets, &before.buckets);
    let count = looks.last().map_or(0.0, |(_, count)| *count);
    let (half, most) = (quantile(&looks, 0.5), quantile(&looks, 0.99));
    let writes: Vec<String> = after
        .writes
        .iter()
        .map(|(what, count)| (what, count - before.writes.get(what).unwrap_or(&0)))
        .filter(|(_, count)| *count > 0)
        .map(|(what, count)| format!("{count} x {what}"))
        .collect();
    let failed = |sample: &Sample| sample.results.get("error").copied().unwrap_or(0.0);
    let met = |met: bool| if met { "met" } else { "MISSED" };
    println!(
        "one operator, {} KvClusters of {} members, and one that it cannot read",
        options.clusters, options.members
    );
    println!(
        "real:       etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kvorum-operator"
    );
    println!(
        "simulated:  nodes, kubelets, volumes; members (one process answers the admin API at every pod's address, as healthy members would)"
    );
    println!(
        "all Ready   {:.0} s after the first was created",
        formed.as_secs_f64()
    );
    println!(
        "memory      {:.0} MB resident, {:.0} MB at its peak (goal: at most {GOAL_MEGABYTES} MB, {})",
        after.resident,
        after.peak,
        met(after.resident <= GOAL_MEGABYTES)
    );
    println!("then, for {seconds:.0} s in which nothing changes:");
    println!(
        "API writes  {} (goal: none, {}); {} renewals of the Lease",
        if writes.is_empty() {
            "none".to_owned()
        } else {
            writes.join(", ")
        },
        met(writes.is_empty()),
        after.renewals - before.renewals
    );
    println!(
        "looks       {count:.0} ({:.0} a second, {:.0} failed), p50 {:.1} ms, p99 {:.1} ms (goal: p99 at most {} ms, {})",
        count / seconds,
        failed(after) - failed(before),
        half * 1000.0,
        most * 1000.0,
        GOAL_P99.as_millis(),
        met(most <= GOAL_P99.as_secs_f64())
    );
    println!(
        "processor   {:.0} % of one core",
        (after.processor_seconds - before.processor_seconds) / seconds * 100.0
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_within_its_bucket() {
        let buckets = [
            (0.005, 50.0),
            (0.01, 90.0),
            (0.02, 100.0),
            (f64::INFINITY, 100.0),
        ];
        assert!((quantile(&buckets, 0.5) - 0.005).abs() < 1e-9);
        assert!((quantile(&buckets, 0.99) - 0.019).abs() < 1e-9);
        assert!(quantile(&[], 0.5).abs() < 1e-9);
    }

    #[test]
    fn metrics_are_read_in_whatever_order_they_come() {
        let text = "\
controller_runtime_reconcile_total{controller=\"kvcluster\",result=\"error\"} 3
controller_runtime_reconcile_time_seconds_bucket{le=\"+Inf\",controller=\"kvcluster\"} 9
controller_runtime_reconcile_time_seconds_bucket{le=\"0.01\",controller=\"kvcluster\"} 7
";
        assert_eq!(buckets(text), [(0.01, 7.0), (f64::INFINITY, 9.0)]);
        assert_eq!(results(text), [("error".to_owned(), 3.0)].into());
    }
}
