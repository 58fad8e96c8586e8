//! Ours beside etcd: the same load on both in one run, in alternating rounds.
//!
//! Absolute numbers depend on the machine and on what else it does; the ratios
//! of a run are what counts.

mod load;
mod moments;
mod report;
mod rows;
mod watchers;

use anyhow::Context;
use clap::Parser;
use kvorum_processes::{Cluster, Program};
use moments::Moment;
use report::Sample;
use rows::Row;
use std::time::Duration;

/// Puts the same load on kvorum-node and on etcd, in alternating rounds, with fsync
/// on, and prints medians, percentiles and CPU per operation with their ratios.
///
/// Needs `KVORUM_NODE_BIN` and `KVORUM_ETCD_BIN`; `cargo xtask bench` sets them.
#[derive(Parser)]
struct Args {
    /// Cluster sizes.
    #[arg(long, value_delimiter = ',', default_value = "1,3")]
    members: Vec<u8>,

    /// Rounds; the median of each figure is printed.
    #[arg(long, default_value_t = 3)]
    rounds: usize,

    /// Seconds of load for each row, program and round.
    #[arg(long, default_value_t = 3)]
    seconds: u64,

    /// Rows to run [default: all, unless moments are named].
    #[arg(long, value_delimiter = ',')]
    rows: Vec<Row>,

    /// Moments to measure, with three members or more [default: all, unless rows are named].
    #[arg(long, value_delimiter = ',')]
    moments: Vec<Moment>,

    /// Megabytes that the moment `reclaim` writes twice before it compacts the older half away.
    #[arg(long, default_value_t = 1200)]
    reclaim_mb: u64,

    /// Bytes of a value.
    #[arg(long, default_value_t = 256)]
    value_bytes: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    for &members in &args.members {
        anyhow::ensure!(
            members % 2 == 1 && members <= 9,
            "--members: must be odd, 1 to 9"
        );
        compare(&args, members).await?;
    }
    Ok(())
}

async fn compare(args: &Args, members: u8) -> anyhow::Result<()> {
    let (mut rows, mut moments) = (args.rows.clone(), args.moments.clone());
    if rows.is_empty() && moments.is_empty() {
        (rows, moments) = (Row::all(), Moment::all());
    }
    if members < 3 {
        moments.clear();
    }
    let programs = [Program::kvorum(), Program::etcd()];
    let mut clusters = Vec::new();
    for program in &programs {
        // A quota that no run reaches, the same for both.
        let quota = "--quota-backend-bytes=8589934592";
        let cluster = Cluster::start(program, members, &[quota]).await;
        load::fill(&cluster, args.value_bytes)
            .await
            .context("filling the store failed")?;
        clusters.push(cluster);
    }
    let say = |round: usize, rounds: usize, what: &dyn std::fmt::Display, which: usize| {
        let name = programs[which].name();
        eprint!("\rround {round}/{rounds} {members} members: {what} on {name:<8}");
    };
    let mut samples = vec![[Vec::new(), Vec::new()]; rows.len()];
    for round in 1..=args.rounds {
        for (row, found) in rows.iter().zip(&mut samples) {
            for i in order(round) {
                say(round, args.rounds, row, i);
                let duration = Duration::from_secs(args.seconds);
                let sample: Sample =
                    load::run(&clusters[i], *row, duration, args.value_bytes).await?;
                found[i].push(sample);
            }
        }
    }
    let mut figures = vec![[Vec::new(), Vec::new()]; moments.len()];
    for (moment, found) in moments.iter().zip(&mut figures) {
        let rounds = moment.rounds(args.rounds);
        for round in 1..=rounds {
            for i in order(round) {
                say(round, rounds, moment, i);
                let cluster = &mut clusters[i];
                let measured = moment.run(cluster, args.seconds, args.reclaim_mb);
                found[i].push(measured.await?);
            }
        }
    }
    eprintln!();
    if !rows.is_empty() {
        report::print(members, &rows, &samples);
    }
    if !moments.is_empty() {
        report::print_moments(members, &moments, &figures);
    }
    Ok(())
}

/// Who goes first changes, so that neither always finds the warmer machine.
fn order(round: usize) -> [usize; 2] {
    if round.is_multiple_of(2) {
        [0, 1]
    } else {
        [1, 0]
    }
}
