//! Medians over the rounds, and the table.

use crate::moments::Moment;
use crate::rows::Row;
use std::time::Duration;

/// What one row gave on one program in one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) cpu_us: f64,
}

impl Sample {
    pub(crate) fn new(mut micros: Vec<u32>, elapsed: Duration, cpu: Duration) -> Self {
        micros.sort_unstable();
        let count = micros.len().max(1);
        let percentile = |p: usize| {
            micros
                .get(micros.len() * p / 100)
                .map_or(0.0, |us| f64::from(*us) / 1000.0)
        };
        Self {
            per_second: micros.len() as f64 / elapsed.as_secs_f64(),
            p50_ms: percentile(50),
            p99_ms: percentile(99),
            cpu_us: cpu.as_secs_f64() * 1e6 / count as f64,
        }
    }
}

fn median<T>(samples: &[T], of: impl Fn(&T) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(of).collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Prints what the disk gave by itself, with as many files as there are members.
pub(crate) fn print_disk(members: u8, samples: &[Sample]) {
    println!(
        "\nthe disk by itself, {members} file{}: {:.0} fdatasync/s for each, p50 {:.2} ms, p99 {:.2} ms",
        if members == 1 { "" } else { "s" },
        median(samples, |s| s.per_second) / f64::from(members),
        median(samples, |s| s.p50_ms),
        median(samples, |s| s.p99_ms),
    );
}

/// Prints the table of one cluster size beside one rival: its place among the contestants, and its name.
pub(crate) fn print(
    members: u8,
    rows: &[Row],
    samples: &[Vec<Vec<Sample>>],
    (place, rival): (usize, &str),
) {
    println!(
        "\n{members} member{}, fsync on; medians; ratio is kvorum to {rival}",
        if members == 1 { "" } else { "s" }
    );
    println!(
        "| {:<34} | {:>9} | {:>10} | {:>6} | {:>16} | {:>16} | {:>16} |",
        "row",
        "kvorum/s",
        format!("{rival}/s"),
        "ratio",
        "p50 ms k / e",
        "p99 ms k / e",
        "CPU us/op k / e"
    );
    println!(
        "|{:-<36}|{:->11}|{:->12}|{:->8}|{:->18}|{:->18}|{:->18}|",
        "", ":", ":", ":", ":", ":", ":"
    );
    for (row, found) in rows.iter().zip(samples) {
        let [ours, theirs] = [0, place].map(|place| found.get(place).map_or(&[][..], |all| all));
        let rate = (
            median(ours, |s| s.per_second),
            median(theirs, |s| s.per_second),
        );
        let p50 = (median(ours, |s| s.p50_ms), median(theirs, |s| s.p50_ms));
        let p99 = (median(ours, |s| s.p99_ms), median(theirs, |s| s.p99_ms));
        let cpu = (median(ours, |s| s.cpu_us), median(theirs, |s| s.cpu_us));
        let ratio = if rate.1 > 0.0 { rate.0 / rate.1 } else { 0.0 };
        println!(
            "| {:<34} | {:>9.0} | {:>10.0} | {:>6.2} | {:>7.2} / {:>6.2} | {:>7.2} / {:>6.2} | {:>7.0} / {:>6.0} |",
            row.to_string(),
            rate.0,
            rate.1,
            ratio,
            p50.0,
            p50.1,
            p99.0,
            p99.1,
            cpu.0,
            cpu.1
        );
    }
}

/// Prints the figures of moments beside one rival: its place among the contestants, and its name.
pub(crate) fn print_moments(
    members: u8,
    moments: &[Moment],
    figures: &[Vec<Vec<Vec<f64>>>],
    (place, rival): (usize, &str),
) {
    println!("\n{members} members, fsync on; medians; ratio is kvorum to {rival}");
    println!(
        "| {:<42} | {:<33} | {:>9} | {:>9} | {:>6} |",
        "moment", "", "kvorum", rival, "ratio"
    );
    println!(
        "|{:-<44}|{:-<35}|{:->11}|{:->11}|{:->8}|",
        "", "", ":", ":", ":"
    );
    for (moment, found) in moments.iter().zip(figures) {
        let [ours, theirs] = [0, place].map(|place| found.get(place).map_or(&[][..], |all| all));
        for (which, figure) in moment.figures().iter().enumerate() {
            let of = |round: &Vec<f64>| round.get(which).copied().unwrap_or(f64::NAN);
            let (ours, theirs) = (median(ours, of), median(theirs, of));
            println!(
                "| {:<42} | {figure:<33} | {ours:>9.2} | {theirs:>9.2} | {:>6.2} |",
                moment.to_string(),
                ours / theirs
            );
        }
    }
}
