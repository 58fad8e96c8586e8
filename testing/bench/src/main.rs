//! Ours beside etcd: the same load on both in one run, in alternating rounds.
//!
//! Absolute numbers depend on the machine and on what else it does; the ratios
//! of a run are what counts.

mod disk;
mod load;
mod moments;
mod report;
mod rows;
mod watchers;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use kvorum_processes::{Cluster, Program};
use moments::Moment;
use report::Sample;
use rows::Row;
use std::time::Duration;

/// Puts the same load on kvorum-node and on etcd, in alternating rounds, with fsync
/// on, and prints medians, percentiles and CPU per operation with their ratios.
///
/// Needs `KVORUM_NODE_BIN`, `KVORUM_ETCD_BIN` and `KVORUM_ETCD36_BIN`; `cargo xtask bench` sets them.
#[derive(Parser)]
struct Args {
    /// Cluster sizes.
    #[arg(long, value_delimiter = ',', default_value = "1,3")]
    members: Vec<u8>,

    /// Versions of etcd to compare with.
    #[arg(long, value_delimiter = ',', default_value = "etcd-3.7,etcd-3.6")]
    beside: Vec<Rival>,

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

/// A version of etcd to be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Rival {
    #[value(name = "etcd-3.7")]
    Etcd37,
    #[value(name = "etcd-3.6")]
    Etcd36,
}

impl Rival {
    fn name(self) -> &'static str {
        match self {
            Self::Etcd37 => "etcd 3.7",
            Self::Etcd36 => "etcd 3.6",
        }
    }

    fn program(self) -> Program {
        match self {
            Self::Etcd37 => Program::etcd(),
            Self::Etcd36 => Program::etcd_36(),
        }
    }
}

/// One of those that are compared, with a store that is filled.
struct Contestant {
    name: &'static str,
    cluster: Cluster,
}

impl Contestant {
    async fn start(
        name: &'static str,
        program: &Program,
        members: u8,
        value_bytes: usize,
    ) -> anyhow::Result<Self> {
        // A quota that no run reaches, the same for all.
        let quota = "--quota-backend-bytes=8589934592";
        let cluster = Cluster::start(program, members, &[quota]).await;
        let filled = load::fill(&cluster, value_bytes).await;
        filled.with_context(|| format!("filling the store of {name} failed"))?;
        Ok(Self { name, cluster })
    }
}

async fn compare(args: &Args, members: u8) -> anyhow::Result<()> {
    let (mut rows, mut moments) = (args.rows.clone(), args.moments.clone());
    if rows.is_empty() && moments.is_empty() {
        (rows, moments) = (Row::all(), Moment::all());
    }
    if members < 3 {
        moments.clear();
    }
    let mut contestants =
        vec![Contestant::start("kvorum", &Program::kvorum(), members, args.value_bytes).await?];
    for rival in &args.beside {
        let (name, program) = (rival.name(), rival.program());
        contestants.push(Contestant::start(name, &program, members, args.value_bytes).await?);
    }
    let rivals: Vec<_> = args.beside.iter().map(|rival| rival.name()).collect();
    let rivals = || (1..).zip(rivals.iter().copied());
    if !rows.is_empty() {
        let disk = disk_of(args, members).await?;
        let samples = rows_of(args, members, &rows, &contestants).await?;
        eprintln!();
        report::print_disk(members, &disk);
        rivals().for_each(|rival| report::print(members, &rows, &samples, rival));
    }
    if !moments.is_empty() {
        let figures = moments_of(args, members, &moments, &mut contestants).await?;
        eprintln!();
        rivals().for_each(|rival| report::print_moments(members, &moments, &figures, rival));
    }
    Ok(())
}

/// What the disk gave by itself in each round.
async fn disk_of(args: &Args, members: u8) -> anyhow::Result<Vec<Sample>> {
    let mut samples = Vec::new();
    let duration = Duration::from_secs(args.seconds);
    for _ in 0..args.rounds {
        samples.push(tokio::task::spawn_blocking(move || disk::run(members, duration)).await??);
    }
    Ok(samples)
}

/// What every row gave: for each contestant, a sample of each round.
async fn rows_of(
    args: &Args,
    members: u8,
    rows: &[Row],
    contestants: &[Contestant],
) -> anyhow::Result<Vec<Vec<Vec<Sample>>>> {
    let duration = Duration::from_secs(args.seconds);
    let mut samples = vec![vec![Vec::new(); contestants.len()]; rows.len()];
    for round in 1..=args.rounds {
        for (row, found) in rows.iter().zip(&mut samples) {
            let pairs = contestants.iter().zip(found).collect();
            for (contestant, found) in in_turn(pairs, round) {
                say((round, args.rounds), members, row, contestant.name);
                let cluster = &contestant.cluster;
                found.push(load::run(cluster, *row, duration, args.value_bytes).await?);
            }
        }
    }
    Ok(samples)
}

/// What every moment gave: for each contestant, the figures of each round.
async fn moments_of(
    args: &Args,
    members: u8,
    moments: &[Moment],
    contestants: &mut [Contestant],
) -> anyhow::Result<Vec<Vec<Vec<Vec<f64>>>>> {
    let mut figures = vec![vec![Vec::new(); contestants.len()]; moments.len()];
    for (moment, found) in moments.iter().zip(&mut figures) {
        let rounds = moment.rounds(args.rounds);
        for round in 1..=rounds {
            let pairs = contestants.iter_mut().zip(found.iter_mut()).collect();
            for (contestant, found) in in_turn(pairs, round) {
                say((round, rounds), members, moment, contestant.name);
                let cluster = &mut contestant.cluster;
                let measured = moment.run(cluster, args.seconds, args.reclaim_mb);
                found.push(measured.await?);
            }
        }
    }
    Ok(figures)
}

fn say((round, rounds): (usize, usize), members: u8, what: &dyn std::fmt::Display, who: &str) {
    eprint!("\rround {round}/{rounds} {members} members: {what} on {who:<8}");
}

/// Who goes first changes, so that nobody always finds the warmer machine.
fn in_turn<T>(mut all: Vec<T>, round: usize) -> Vec<T> {
    let first = round % all.len().max(1);
    all.rotate_left(first);
    all
}
