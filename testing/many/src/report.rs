//! What was measured, in words.

use std::time::Duration;

use crate::Options;
use crate::limits::{GOAL_MEGABYTES, GOAL_P99};
use crate::sample::{Buckets, Memory, Sample, quantile, since};

/// Everything that was measured.
pub(crate) struct Report {
    /// From the first creation until all were Ready.
    pub(crate) formed: Duration,
    /// How many were Ready, and what the operator held then.
    pub(crate) growth: Vec<(usize, Memory)>,
    /// When all were at rest.
    pub(crate) before: Sample,
    /// When nothing had changed for a while.
    pub(crate) after: Sample,
    /// After a start of the operator beside all of them, and one look at each.
    pub(crate) restarted: Sample,
}

fn met(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

/// A row of how long looks took.
fn looks(buckets: &Buckets) -> String {
    let count = buckets.last().map_or(0.0, |(_, count)| *count);
    let [half, most] = [0.5, 0.99].map(|share| quantile(buckets, share) * 1000.0);
    format!("{count:>6.0} times, p50 {half:.1} ms, p99 {most:.1} ms")
}

fn parts(after: &Sample, before: Option<&Sample>) {
    for (name, buckets) in &after.parts {
        let then = before.and_then(|before| before.parts.get(name));
        println!("  of it {name:<9} {}", looks(&since(buckets, then)));
    }
}

/// What was written between two samples.
fn writes(before: &Sample, after: &Sample) -> String {
    let writes: Vec<String> = after
        .writes
        .iter()
        .map(|(what, count)| (what, count - before.writes.get(what).unwrap_or(&0)))
        .filter(|(_, count)| *count > 0)
        .map(|(what, count)| format!("{count} x {what}"))
        .collect();
    if writes.is_empty() {
        return "none".to_owned();
    }
    writes.join(", ")
}

/// Prints it.
pub(crate) fn print(options: &Options, report: &Report) {
    let Report {
        formed,
        growth,
        before,
        after,
        restarted,
    } = report;
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
    for (ready, memory) in growth {
        println!("memory      {:.0} MB with {ready} Ready", memory.resident);
    }
    println!(
        "the rush    {} while all were created",
        looks(&before.looks)
    );
    parts(before, None);
    steady(before, after);
    println!(
        "restarted   {:.0} MB resident, {:.0} MB at its peak; written: {}; looks {}",
        restarted.memory.resident,
        restarted.memory.peak,
        writes(after, restarted),
        looks(&restarted.looks)
    );
    parts(restarted, None);
}

/// The time in which nothing changes: what the goals are about.
fn steady(before: &Sample, after: &Sample) {
    let seconds = after.at.duration_since(before.at).as_secs_f64();
    let resident = after.memory.resident;
    println!("then, for {seconds:.0} s in which nothing changes:");
    println!(
        "memory      {resident:.0} MB resident, {:.0} MB at its peak (goal: at most {GOAL_MEGABYTES} MB, {})",
        after.memory.peak,
        met(resident <= GOAL_MEGABYTES)
    );
    let written = writes(before, after);
    println!(
        "API writes  {written} (goal: none, {}); {} renewals of the Lease",
        met(written == "none"),
        after.renewals - before.renewals
    );
    let took = since(&after.looks, Some(&before.looks));
    let most = quantile(&took, 0.99);
    println!(
        "looks       {}, {:.0} failed (goal: p99 at most {} ms, {})",
        looks(&took),
        after.failed - before.failed,
        GOAL_P99.as_millis(),
        met(most <= GOAL_P99.as_secs_f64())
    );
    parts(after, Some(before));
    println!(
        "processor   {:.0} % of one core",
        (after.processor_seconds - before.processor_seconds) / seconds * 100.0
    );
}
