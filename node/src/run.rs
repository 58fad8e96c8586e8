//! Starting a member from its configuration, and stopping it.

use crate::addresses::Addresses;
use crate::auth::{self, Auth};
use crate::bootstrap;
use crate::config::{AutoCompaction, Config, Start};
use crate::consensus::log_store::LogStore;
use crate::consensus::machine::Machine;
use crate::consensus::{Consensus, membership, upkeep};
use crate::integrity;
use crate::lessor::{self, Lessor};
use crate::limits::SHUTDOWN_TIMEOUT;
use crate::member::Member;
use crate::metrics::Metrics;
use crate::peer::{Contact, Context, Traffic};
use crate::serve::{self, Serving};
use crate::tls::{self, Mode, Port, Tls};
use anyhow::Context as _;
use kvorum_mvcc::Store;
use kvorum_proto::etcdserverpb::CompactionRequest;
use kvorum_proto::log::{Command, command};
use kvorum_storage::disk::RealDisk;
use kvorum_storage::engine;
use kvorum_storage::wal::{self, Wal};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Ends the process at once: what is durable is unknown, so nothing may be
/// acknowledged, handed over or written any more.
fn fatal(reason: &str) -> ! {
    tracing::error!(reason, "The disk failed: ending the process");
    std::process::exit(1);
}

/// Runs a member until it is told to stop.
///
/// # Errors
/// Why it cannot start.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let metrics = Metrics::new(config.extensive_metrics);
    let (member, wal) = assemble(&config, &metrics).await?;
    // A member without a log has not been in a cluster, or has lost everything.
    let empty = wal.state() == wal::State::default();
    let serving = start_serving(&config, &member, &metrics).await?;
    if let Start::Static { members, .. } = &config.start
        && empty
    {
        let formed = member
            .consensus()
            .initialize(bootstrap::nodes(members))
            .await;
        formed
            .map_err(anyhow::Error::msg)
            .context("forming the cluster failed")?;
    }
    start_upkeep(&config, &member, &wal, &metrics);
    let reason = wait_for_end(&member).await?;
    if let Ended::Signal(name) = reason {
        tracing::info!(signal = name, "Stopping");
    }
    stop(&member, &serving, &wal).await;
    match reason {
        Ended::Signal(_) | Ended::Removed => Ok(()),
        Ended::ConsensusStopped => {
            anyhow::bail!("the consensus module stopped: see the lines above")
        }
    }
}

/// Opens the data directory and puts the member together; nothing is served yet.
async fn assemble(config: &Config, metrics: &Metrics) -> anyhow::Result<(Arc<Member>, Wal)> {
    let peer_port = start_tls(config.peer_tls.as_ref(), config.peer_mode)?;
    let client_port = start_tls(config.client_tls.as_ref(), config.client_mode)?;
    if !config.ignored.is_empty() {
        let flags = config.ignored.join(", ");
        tracing::warn!(flags, "Flags of etcd's that mean nothing here");
    }
    let disk = RealDisk { sync: config.sync };
    if !config.sync {
        tracing::warn!("Running without fsync: a power cut loses acknowledged writes");
    }
    let (identity, fresh) = bootstrap::identify(
        &disk,
        &config.data_dir,
        &config.start,
        &peer_port,
        config.sync,
    )
    .await?;
    tracing::info!(
        cluster = format!("{:016x}", identity.cluster_id),
        member = identity.member_id,
        store = identity.store_uuid,
        fresh,
        version = env!("CARGO_PKG_VERSION"),
        "Starting"
    );
    let (wal, store) = open(config, disk, metrics)?;
    let context = Arc::new(Context {
        identity,
        store: store.clone(),
        contact: Contact::new(),
        traffic: Traffic::new(metrics.round_trips.clone()),
        addresses: Addresses::default(),
        peer_port,
        client_port,
        removed: CancellationToken::new(),
    });
    refuse_removed(&context)?;
    if let Start::Static { members, .. } = &config.start
        && wal.state() == wal::State::default()
    {
        bootstrap::ask_peers(&context, &bootstrap::nodes(members)).await?;
    }
    let engine_dir = config.data_dir.join("db");
    let machine = Machine::new(store, engine_dir.clone(), config.sync);
    let log = LogStore::new(wal.clone());
    let consensus = Consensus::start(
        context.clone(),
        config.timing,
        log,
        machine,
        config.learners_max,
    )
    .await
    .context("the log and the store do not fit together")?;
    let member = Arc::new(Member::new(
        context,
        consensus,
        Arc::new(Lessor::default()),
        config.attributes.clone(),
        config.limits,
        Auth::new(&config.auth)?,
        (engine_dir, config.sync),
    ));
    metrics.watch(member.clone());
    Ok((member, wal))
}

fn refuse_removed(context: &Context) -> anyhow::Result<()> {
    if context.is_removed() {
        anyhow::bail!(
            "this member ({}) was removed from the cluster: its ID and its data directory must not be used \
             again; add a new member with an empty directory",
            context.identity.member_id
        );
    }
    Ok(())
}

/// Starts what runs beside the requests. Each ends with the process.
fn start_upkeep(config: &Config, member: &Arc<Member>, wal: &Wal, metrics: &Metrics) {
    let (consensus, store) = (member.consensus(), member.store());
    let commits = metrics.backend_commit.clone();
    upkeep::start_flushing(
        store.clone(),
        move |seconds| commits.observe(seconds),
        |reason| fatal(&reason),
    );
    tokio::spawn(upkeep::run(
        Arc::downgrade(consensus),
        wal.clone(),
        config.snapshot_count,
    ));
    tokio::spawn(membership::run(Arc::downgrade(consensus)));
    tokio::spawn(lessor::run(
        member.lessor().clone(),
        Arc::downgrade(consensus),
        store.clone(),
    ));
    tokio::spawn(member.clone().publish());
    tokio::spawn(compact_by_itself(member.clone(), config.auto_compaction));
    tokio::spawn(auth::forget_old_tokens(member.clone()));
    if let Some(every) = config.compare_every {
        tokio::spawn(integrity::run(member.clone(), every));
    }
    tokio::spawn(say_ready(member.clone()));
}

fn open(config: &Config, disk: RealDisk, metrics: &Metrics) -> anyhow::Result<(Wal, Arc<Store>)> {
    let fsync = metrics.wal_fsync.clone();
    let options = wal::Options {
        on_failure: Arc::new(|error| fatal(&error.to_string())),
        on_sync: Arc::new(move |seconds| fsync.observe(seconds)),
        ..wal::Options::new(config.data_dir.join("wal"))
    };
    let wal = Wal::open(Arc::new(disk), options)?;
    let engine = engine::open(&config.data_dir.join("db"), config.sync)
        .context("opening the store failed")?;
    let store = Store::open(Arc::new(engine)).context("reading the store failed")?;
    Ok((wal, Arc::new(store)))
}

/// Reads certificates and keeps looking at them.
fn start_tls(settings: Option<&tls::Settings>, mode: Mode) -> anyhow::Result<Port> {
    let Some(settings) = settings else {
        return Ok(Port { mode, tls: None });
    };
    let tls = Tls::new(settings.clone())?;
    tokio::spawn(tls.clone().reload());
    let tls = Some(tls);
    Ok(Port { mode, tls })
}

/// What serves whom: peers must be served until the clients are.
struct Servings {
    clients: Serving,
    peers: Serving,
}

async fn start_serving(
    config: &Config,
    member: &Arc<Member>,
    metrics: &Metrics,
) -> anyhow::Result<Servings> {
    let peers = Serving {
        stop: CancellationToken::new(),
        connections: TaskTracker::new(),
        keepalive: config.keepalive,
        traffic: None,
    };
    let serving = Serving {
        stop: member.stopping().clone(),
        connections: TaskTracker::new(),
        keepalive: config.keepalive,
        traffic: Some(metrics.client_bytes.clone()),
    };
    let callers = Arc::new(config.admin_callers.clone());
    for at in &config.listen_peer {
        let listener = serve::listen(at, &member.context().peer_port).await?;
        let callers = callers.clone();
        tokio::spawn(serve::peers(
            listener,
            member.clone(),
            callers,
            peers.clone(),
        ));
    }
    let port = &member.context().client_port;
    let clients = serve::client_router(member, metrics, config.gateway)?;
    for at in &config.listen_client {
        let listener = serve::listen(at, port).await?;
        tokio::spawn(serve::http(listener, clients.clone(), serving.clone()));
    }
    for at in &config.listen_http {
        let listener = serve::listen(at, port).await?;
        tokio::spawn(serve::http(listener, clients.clone(), serving.clone()));
    }
    let pages = crate::http::router(member.clone(), metrics.clone());
    for at in &config.listen_metrics {
        let listener = serve::listen(at, port).await?;
        tokio::spawn(serve::http(listener, pages.clone(), serving.clone()));
    }
    Ok(Servings {
        clients: serving,
        peers,
    })
}

/// Prints etcd's own line once this member serves: programs that start an etcd wait for it.
async fn say_ready(member: Arc<Member>) {
    let mut progress = member.consensus().progress();
    while member.ready().is_err() {
        let _ = tokio::time::timeout(Duration::from_millis(20), progress.changed()).await;
    }
    tracing::info!("ready to serve client requests");
}

/// Why a member ends.
enum Ended {
    Signal(&'static str),
    ConsensusStopped,
    Removed,
}

/// Waits for a signal, or for the consensus module to stop.
async fn wait_for_end(member: &Arc<Member>) -> anyhow::Result<Ended> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut look = tokio::time::interval(Duration::from_millis(200));
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(Ended::Signal("SIGTERM")),
            _ = interrupt.recv() => return Ok(Ended::Signal("SIGINT")),
            () = member.context().removed.cancelled() => {
                tracing::info!("This member was removed from the cluster: ending");
                return Ok(Ended::Removed);
            }
            _ = look.tick() => {
                let status = member.consensus().status();
                if status.role == crate::consensus::status::Role::Stopped {
                    return Ok(Ended::ConsensusStopped);
                }
                if member.context().is_removed() {
                    tracing::info!("This member was removed from the cluster: ending");
                    return Ok(Ended::Removed);
                }
            }
        }
    }
}

/// Hands leadership over, lets requests end, makes everything durable.
async fn stop(member: &Arc<Member>, serving: &Servings, wal: &Wal) {
    let started = Instant::now();
    member.consensus().hand_over().await;
    // Requests still under way are answered by the new leader: this member must
    // follow it until they are.
    for part in [&serving.clients, &serving.peers] {
        part.stop.cancel();
        part.connections.close();
        let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, part.connections.wait()).await;
    }
    member.consensus().stop().await;
    let (store, wal) = (member.store().clone(), wal.clone());
    let flushed = tokio::task::spawn_blocking(move || {
        wal.flush().map_err(std::io::Error::other)?;
        store.flush()
    })
    .await;
    match flushed {
        Ok(Ok(_)) => tracing::info!(millis = started.elapsed().as_millis(), "Stopped"),
        Ok(Err(error)) => {
            tracing::warn!(%error, "The last flush failed; the log is replayed at the next start");
        }
        Err(error) => tracing::warn!(%error, "The last flush did not run"),
    }
}

/// Compacts as `--auto-compaction-*` says, on the leader.
async fn compact_by_itself(member: Arc<Member>, what: AutoCompaction) {
    let (period, keep) = match what {
        AutoCompaction::Off => return,
        // Ten looks per span, as etcd does, but not more often than it allows.
        AutoCompaction::Periodic(span) => (span / 10, None),
        AutoCompaction::Revisions(n) => (Duration::from_secs(300), Some(n)),
    };
    let mut seen: std::collections::VecDeque<i64> = std::collections::VecDeque::new();
    let mut tick = tokio::time::interval(period.max(Duration::from_secs(1)));
    tick.tick().await;
    loop {
        tick.tick().await;
        let summary = member.store().summary();
        let target = match keep {
            Some(n) => summary.revision - n,
            None => {
                seen.push_back(summary.revision);
                if seen.len() <= 10 {
                    continue;
                }
                seen.pop_front().unwrap_or(0)
            }
        };
        if target > summary.compacted && member.consensus().leads() {
            let request = CompactionRequest {
                revision: target,
                physical: false,
            };
            let command = Command {
                op: Some(command::Op::Compact(request)),
                ..Command::default()
            };
            match member.consensus().propose(&command).await {
                Ok(_) => tracing::info!(revision = target, "Compacted by itself"),
                Err(error) => tracing::warn!(%error, "Compacting by itself failed; trying again"),
            }
        }
    }
}
