//! `cargo xtask`: the one tool of this repository, for users who try it and for those who work on it.

mod bench;
mod certificates;
mod cli;
mod codegen;
mod counts;
mod environment;
mod etcdctl;
mod faults;
mod fuzz;
mod gate;
mod images;
mod kubernetes;
mod layers;
mod model;
mod picture;
mod test;
mod up;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use kvorum_testbed::{StateDir, Testbed};

use cli::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let name = arguments.name.as_str();
    match &arguments.command {
        Command::Up(options) => up::run(name, options)?,
        Command::Down => {
            let was_there = Testbed::down(name)?;
            println!(
                "{}",
                if was_there {
                    "down"
                } else {
                    "there was nothing to take down"
                }
            );
        }
        Command::Env => print!("{}", environment::lines(name)?),
        Command::Status => return Ok(status()),
        Command::Dump => print!("{}", Testbed::remains(name)?.dump()),
        Command::Fault(fault) => println!("{}", fault.run(&Testbed::attach(name)?)?),
        Command::Image { out } => images::run(out.as_deref())?,
        Command::Test(options) => return test::run(options, Vec::new()),
        Command::Fuzz(options) => fuzz::run(options)?,
        Command::Linearizability(options) => return faults::check_histories(options),
        Command::FailureModes => return faults::write_failure_modes(),
        Command::ModelCheck(options) => return model::run(options),
        Command::Verify => return gate::verify(),
        Command::Fix => return gate::fix(),
        Command::Codegen { check } => return codegen::run(*check),
        Command::BenchOperator { arguments } => return bench::run_operator(arguments),
        Command::Bench { arguments } => return bench::run(arguments),
    }
    Ok(ExitCode::SUCCESS)
}

fn status() -> ExitCode {
    let names = StateDir::names();
    if names.is_empty() {
        println!("no testbed is up; `cargo xtask up` starts one");
        return ExitCode::FAILURE;
    }
    for name in names {
        match Testbed::attach(&name) {
            Ok(testbed) => print!("{}", kubernetes::describe(&testbed)),
            Err(error) => println!("{name}: {error:#}"),
        }
    }
    ExitCode::SUCCESS
}
