//! Runs the model check for as long as one likes: `cargo xtask model-check`.

use clap::Parser;
use kvorum_sim::limits::{STATES_DEFAULT, WALK_LENGTH, WALKS_DEFAULT};
use kvorum_sim::suite::{run_searches, run_walks};

/// The planner against a toy Kubernetes and a toy Raft.
#[derive(Debug, Parser)]
struct Arguments {
    /// States of each small world at most
    #[arg(long, default_value_t = STATES_DEFAULT)]
    states: usize,
    /// Random walks through each bigger world
    #[arg(long, default_value_t = WALKS_DEFAULT)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Things that happen in one walk
    #[arg(long, default_value_t = WALK_LENGTH)]
    length: usize,
}

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    let mut broken = false;
    let searches = run_searches(arguments.states);
    let walks = run_walks(arguments.first, arguments.seeds, arguments.length);
    for report in [searches, walks] {
        for line in &report.lines {
            println!("{line}");
        }
        for failure in &report.failures {
            println!("BROKEN {failure}");
            broken = true;
        }
    }
    std::process::ExitCode::from(u8::from(broken))
}
