//! What is counted: of the operator's process, of its metrics, and of what the API server wrote down.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::audit;
use crate::control_plane::{ControlPlane, Process};

/// Where the operator tells its metrics.
pub(crate) const METRICS: &str = "127.0.0.1:8080";

/// How long all looks took that are longer than each bound, summed up: (bound in seconds, looks within it).
pub(crate) type Buckets = Vec<(f64, f64)>;

/// Everything that is counted, at one moment.
pub(crate) struct Sample {
    pub(crate) at: Instant,
    pub(crate) writes: audit::Writes,
    pub(crate) renewals: usize,
    pub(crate) memory: Memory,
    pub(crate) processor_seconds: f64,
    /// Of whole looks.
    pub(crate) looks: Buckets,
    /// Of parts of them, by name.
    pub(crate) parts: BTreeMap<String, Buckets>,
    pub(crate) failed: f64,
}

/// Megabytes.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    pub(crate) peak: f64,
}

impl Memory {
    /// Of a process.
    pub(crate) fn of(process: u32) -> Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let megabytes = |name: &str| -> Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            let kilobytes: f64 = number.context("no such line in /proc")?.parse()?;
            Ok(kilobytes / 1024.0)
        };
        Ok(Self {
            resident: megabytes("VmRSS:")?,
            peak: megabytes("VmHWM:")?,
        })
    }
}

impl Sample {
    pub(crate) async fn take(plane: &ControlPlane, operator: &Process) -> Result<Self> {
        let (writes, renewals) = audit::read(&plane.audit_log())?;
        let text = metrics().await?;
        let looks = histograms(
            &text,
            "controller_runtime_reconcile_time_seconds",
            "controller",
        );
        Ok(Self {
            at: Instant::now(),
            writes,
            renewals,
            memory: Memory::of(operator.id())?,
            processor_seconds: processor_seconds(operator.id())?,
            looks: looks.into_values().next().unwrap_or_default(),
            parts: histograms(&text, "kvorum_operator_look_part_seconds", "part"),
            failed: results(&text).get("error").copied().unwrap_or(0.0),
        })
    }

    /// How many looks have ended.
    pub(crate) fn count(&self) -> f64 {
        self.looks.last().map_or(0.0, |(_, count)| *count)
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

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let mut labels = labels.split(',');
    labels.find_map(|label| {
        label
            .strip_prefix(name)?
            .strip_prefix("=\"")?
            .strip_suffix('"')
    })
}

/// The histograms of a metric, by one of its labels.
fn histograms(text: &str, metric: &str, by: &str) -> BTreeMap<String, Buckets> {
    let mut histograms = BTreeMap::<String, Buckets>::new();
    for line in text.lines() {
        let read = || {
            let rest = line.strip_prefix(metric)?.strip_prefix("_bucket{")?;
            let (labels, count) = rest.rsplit_once("} ")?;
            let bound = label(labels, "le")?.parse().unwrap_or(f64::INFINITY);
            Some((label(labels, by)?.to_owned(), (bound, count.parse().ok()?)))
        };
        if let Some((name, bucket)) = read() {
            histograms.entry(name).or_default().push(bucket);
        }
    }
    for buckets in histograms.values_mut() {
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    }
    histograms
}

fn results(text: &str) -> BTreeMap<String, f64> {
    let name = "controller_runtime_reconcile_total{";
    text.lines()
        .filter_map(|line| {
            let (labels, count) = line.strip_prefix(name)?.rsplit_once("} ")?;
            Some((label(labels, "result")?.to_owned(), count.parse().ok()?))
        })
        .collect()
}

/// What was added to a histogram since; a histogram that was not there before was empty.
pub(crate) fn since(now: &Buckets, then: Option<&Buckets>) -> Buckets {
    let then = |index: usize| then.and_then(|then| then.get(index)).map_or(0.0, |is| is.1);
    now.iter()
        .enumerate()
        .map(|(index, (bound, count))| (*bound, count - then(index)))
        .collect()
}

/// Where a share of all looks ends, taken as evenly spread within a bucket, as Prometheus does.
pub(crate) fn quantile(buckets: &Buckets, share: f64) -> f64 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_within_its_bucket() {
        let buckets = vec![
            (0.005, 50.0),
            (0.01, 90.0),
            (0.02, 100.0),
            (f64::INFINITY, 100.0),
        ];
        assert!((quantile(&buckets, 0.5) - 0.005).abs() < 1e-9);
        assert!((quantile(&buckets, 0.99) - 0.019).abs() < 1e-9);
        assert!(quantile(&Vec::new(), 0.5).abs() < 1e-9);
    }

    #[test]
    fn metrics_are_read_in_whatever_order_they_come() {
        let text = "\
controller_runtime_reconcile_total{controller=\"kvcluster\",result=\"error\"} 3
a_time_bucket{le=\"+Inf\",stage=\"one\"} 9
a_time_bucket{stage=\"other\",le=\"0.01\"} 4
a_time_bucket{le=\"0.01\",stage=\"one\"} 7
";
        let one = vec![(0.01, 7.0), (f64::INFINITY, 9.0)];
        let expected = [("one", one.clone()), ("other", vec![(0.01, 4.0)])];
        let expected = expected.map(|(name, buckets)| (name.to_owned(), buckets));
        assert_eq!(histograms(text, "a_time", "stage"), expected.into());
        assert_eq!(results(text), [("error".to_owned(), 3.0)].into());
        let before = vec![(0.01, 5.0), (f64::INFINITY, 5.0)];
        assert_eq!(
            since(&one, Some(&before)),
            [(0.01, 2.0), (f64::INFINITY, 4.0)]
        );
        assert_eq!(since(&one, None), one);
    }
}
