//! The program `kvorum-operator`.

use std::process::ExitCode;

use clap::Parser;
use kvorum_operator::cli::{Args, Command};
use kvorum_operator::{check, explain, run};

fn main() -> ExitCode {
    match Args::parse().command {
        Command::Run(args) => run::run(args),
        Command::Crd => explain::print(&kvorum_api::crd_yaml()),
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(&args),
    }
}
