//! Ours beside etcd: the same load on both in one run, in alternating rounds.
//!
//! Absolute numbers depend on the machine and on what else it does; the ratios
//! of a run are what counts.

mod load;
mod report;
mod rows;

use anyhow::Context;
use clap::Parser;
use kvorum_processes::{Cluster, Program};
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

    /// Rows to run [default: all]: put-1, put-64, put-256, get-64, txn-64, range-16.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<Row>,

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
    let rows = if args.rows.is_empty() {
        Row::all()
    } else {
        args.rows.clone()
    };
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
    let mut samples = vec![[Vec::new(), Vec::new()]; rows.len()];
    for round in 1..=args.rounds {
        for (row, found) in rows.iter().zip(&mut samples) {
            // Who goes first changes, so that neither always finds the warmer machine.
            let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
            for i in order {
                eprint!(
                    "\rround {round}/{} {members} members: {row} on {:<8}",
                    args.rounds,
                    programs[i].name()
                );
                let duration = Duration::from_secs(args.seconds);
                let sample: Sample =
                    load::run(&clusters[i], *row, duration, args.value_bytes).await?;
                found[i].push(sample);
            }
        }
    }
    eprintln!();
    report::print(members, &rows, &samples);
    Ok(())
}
