//! `kvorum-testbed`: a testbed by hand, and the helper that the library runs inside a testbed's namespaces.

mod daemon;
mod provisioner;
mod ready;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use kvorum_testbed::{FaultCommand, StateDir, Testbed, UpOptions, internal, limits};

/// A real local Kubernetes with zones, in namespaces of this machine
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Which testbed
    #[arg(long, global = true, env = "KVORUM_TESTBED", default_value = "dev")]
    name: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a testbed and wait until all nodes are Ready
    Up {
        /// Nodes in each of the three zones
        #[arg(long, default_value_t = 1)]
        nodes_per_zone: u8,
        /// Seconds without a sign of life after which a node counts as not ready
        #[arg(long, default_value_t = limits::DEFAULT_GRACE_SECONDS)]
        grace: u32,
        /// Leave everything as it is if the start fails
        #[arg(long)]
        keep_on_failure: bool,
    },
    /// Remove every trace of a testbed, alive or dead
    Down,
    /// List testbeds and the power of their nodes
    Status,
    /// Load image archives into all nodes
    Load {
        /// OCI archives
        archives: Vec<PathBuf>,
    },
    /// Print events, pod logs and component logs
    Dump,
    /// Run a program where pods and services are reachable by name
    Exec {
        /// The program and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    #[command(flatten)]
    Fault(FaultCommand),
    #[command(subcommand, hide = true)]
    Internal(Internal),
}

#[derive(Debug, Subcommand)]
enum Internal {
    Spawn {
        #[arg(long)]
        log: PathBuf,
        #[arg(long = "group")]
        groups: Vec<PathBuf>,
        #[arg(last = true)]
        command: Vec<String>,
    },
    NodeInit {
        config: PathBuf,
    },
    Daemon(daemon::Options),
    WaitApi {
        #[arg(long)]
        kubeconfig: PathBuf,
        #[arg(long)]
        limit: u64,
    },
    WaitNodes {
        #[arg(long)]
        kubeconfig: PathBuf,
        #[arg(long)]
        limit: u64,
        #[arg(long)]
        count: usize,
    },
}

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
        Command::Up {
            nodes_per_zone,
            grace,
            keep_on_failure,
        } => up(name, *nodes_per_zone, *grace, *keep_on_failure)?,
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
        Command::Status => status(),
        Command::Load { archives } => {
            let archives: Vec<&Path> = archives.iter().map(PathBuf::as_path).collect();
            Testbed::attach(name)?.load_images(&archives)?;
        }
        Command::Dump => print!("{}", Testbed::remains(name)?.dump()),
        Command::Exec { command } => return exec(name, command),
        Command::Fault(fault) => println!("{}", fault.run(&Testbed::attach(name)?)?),
        Command::Internal(command) => run_internal(command)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn up(name: &str, nodes_per_zone: u8, grace_seconds: u32, keep_on_failure: bool) -> Result<()> {
    let helper = std::env::current_exe().context("cannot find this program's own file")?;
    let options = UpOptions {
        nodes_per_zone,
        grace_seconds,
        keep_on_failure,
        ..UpOptions::new(name, &helper)
    };
    let testbed = Testbed::up(&options)?;
    println!(
        "export KUBECONFIG={}\nexport PATH={}:$PATH",
        testbed.kubeconfig().display(),
        testbed.bin_directory().display()
    );
    Ok(())
}

fn status() {
    for name in StateDir::names() {
        match Testbed::attach(&name) {
            Ok(testbed) => {
                println!("{name}: up, {}", testbed.nodes_in_words());
            }
            Err(error) => println!("{name}: {error:#}"),
        }
    }
}

fn exec(name: &str, command: &[String]) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("no program given")?;
    let status = Testbed::attach(name)?
        .command_in_cluster(program)
        .args(arguments)
        .status()?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

fn run_internal(command: &Internal) -> Result<()> {
    match command {
        Internal::Spawn {
            log,
            groups,
            command,
        } => internal::spawn(groups, log, command),
        Internal::NodeInit { config } => internal::node_init(config),
        Internal::Daemon(options) => daemon::run(options),
        Internal::WaitApi { kubeconfig, limit } => ready::wait_api(kubeconfig, *limit),
        Internal::WaitNodes {
            kubeconfig,
            limit,
            count,
        } => ready::wait_nodes(kubeconfig, *limit, *count),
    }
}
