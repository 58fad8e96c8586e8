//! The program `kvorum-node`, a drop-in for `etcd`.

use clap::Parser;
use kvorum_node::api::ETCD_VERSION;
use kvorum_node::args::{Args, LogFormat};
use kvorum_node::config::Config;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What programs that start an etcd read from `--version`.
fn print_version() {
    println!("etcd Version: {ETCD_VERSION}");
    println!("kvorum-node Version: {}", env!("CARGO_PKG_VERSION"));
}

fn start_logging(args: &Args) -> Result<(), String> {
    // Each failed attempt to reach a peer; the member itself says once when it is lost and when it is back.
    let attempts = "openraft::replication=error,openraft::engine::handler::replication_handler=error,\
                    openraft::core::heartbeat=error";
    let filter = EnvFilter::try_new(format!("{},openraft=warn,{attempts}", args.log_level))
        .map_err(|e| format!("--log-level: {e}"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

fn main() -> ExitCode {
    // Exits with 2 on a flag that does not parse.
    let args = Args::parse();
    if args.version {
        print_version();
        return ExitCode::SUCCESS;
    }
    let config = match Config::new(&args) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    if args.print_config {
        println!("{config:#?}");
        return ExitCode::SUCCESS;
    }
    if let Err(error) = start_logging(&args) {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(kvorum_node::run::run(config));
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(reason = format!("{error:#}"), "Cannot go on");
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
