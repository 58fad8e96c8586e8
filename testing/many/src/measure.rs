//! The measurement: everything up, everything Ready, everything at rest, then a time in which all is counted.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::control_plane::{ControlPlane, Process};
use crate::limits::{ALL_READY, BORN_AT_A_TIME, GROWTH, POLL, REST, RESTED, STARTED};
use crate::members::Members;
use crate::report::{Report, print};
use crate::sample::{METRICS, Memory, Sample};
use crate::world::until;
use crate::{Options, audit, nodes, world};

pub(crate) async fn run(options: &Options) -> Result<()> {
    let pods = options.clusters * options.members;
    eprintln!("starting etcd and Kubernetes without nodes");
    let mut plane = ControlPlane::start(options).await?;
    eprintln!("creating simulated nodes and {pods} volumes");
    world::prepare(&plane.client, options.clusters, options.members).await?;
    let members = Arc::new(Members::default());
    let client = plane.client.clone();
    let simulated = async {
        let kubelets = nodes::run(client.clone(), Arc::clone(&members));
        tokio::try_join!(Arc::clone(&members).serve(), kubelets).map(|_| ())
    };
    let measured = async {
        let mut operator = start_operator(options, &plane)?;
        // The object that it cannot read.
        looked(&plane, &operator, 1).await?;
        let mut growth = vec![(0, Memory::of(operator.id())?)];
        let started = Instant::now();
        eprintln!("creating {} KvClusters", options.clusters);
        all_ready(options, &mut plane, &mut operator, &mut growth).await?;
        let formed = started.elapsed();
        at_rest(&plane).await?;
        let before = Sample::take(&plane, &operator).await?;
        tokio::time::sleep(Duration::from_secs(options.seconds)).await;
        let after = Sample::take(&plane, &operator).await?;
        operator.alive()?;
        drop(operator);
        eprintln!("starting the operator again");
        let mut operator = start_operator(options, &plane)?;
        let restarted = looked(&plane, &operator, options.clusters).await?;
        operator.alive()?;
        Ok::<_, anyhow::Error>(Report {
            formed,
            growth,
            before,
            after,
            restarted,
        })
    };
    let report = tokio::select! {
        measured = measured => measured?,
        ended = simulated => {
            ended?;
            bail!("the simulated nodes have ended");
        }
    };
    print(options, &report);
    Ok(())
}

fn start_operator(options: &Options, plane: &ControlPlane) -> Result<Process> {
    let mut command = Command::new(&options.operator);
    command
        .args(["run", "--lease-namespace=default", "--listen", METRICS])
        .args(["--log", "warn"])
        .env("KUBECONFIG", plane.kubeconfig("operator"));
    Process::start(&mut command, plane.directory.path().join("operator.log"))
}

/// Waits until so many looks have ended.
async fn looked(plane: &ControlPlane, operator: &Process, clusters: usize) -> Result<Sample> {
    #[allow(clippy::cast_precision_loss, reason = "clusters are few")]
    let clusters = clusters as f64;
    until(
        "the operator has looked at all clusters",
        STARTED,
        || async {
            let sample = Sample::take(plane, operator).await;
            Ok(match sample {
                Ok(sample) if sample.count() >= clusters => Ok(sample),
                Ok(sample) => Err(format!("it has looked {} times", sample.count())),
                Err(error) => Err(format!("{error:#}")),
            })
        },
    )
    .await
}

/// Creates them, some at a time, and waits for all: many at once would measure the API server.
async fn all_ready(
    options: &Options,
    plane: &mut ControlPlane,
    operator: &mut Process,
    growth: &mut Vec<(usize, Memory)>,
) -> Result<()> {
    let client = &plane.client.clone();
    let (mut said, mut created) = (Instant::now(), 0);
    let started = Instant::now();
    while created < options.clusters {
        plane.processes.iter_mut().try_for_each(Process::alive)?;
        operator.alive()?;
        let ready = world::ready(client).await?;
        let room = (ready + BORN_AT_A_TIME).min(options.clusters);
        world::create_clusters(client, created..room.max(created), options.members).await?;
        created = room.max(created);
        if growth.last().is_some_and(|last| ready >= last.0 + GROWTH) {
            growth.push((ready, Memory::of(operator.id())?));
        }
        if said.elapsed() > Duration::from_secs(10) {
            said = Instant::now();
            eprintln!("{ready} of {} are Ready", options.clusters);
        }
        ensure!(started.elapsed() < ALL_READY, "{ready} are Ready, not all");
        tokio::time::sleep(POLL).await;
    }
    until("all clusters are Ready", ALL_READY, || {
        let alive = plane
            .processes
            .iter_mut()
            .chain([&mut *operator])
            .try_for_each(Process::alive);
        let tell = said.elapsed() > Duration::from_secs(10);
        if tell {
            said = Instant::now();
        }
        async move {
            alive?;
            let ready = world::ready(client).await?;
            if tell {
                eprintln!("{ready} of {} are Ready", options.clusters);
            }
            Ok(if ready == options.clusters {
                Ok(())
            } else {
                Err(format!("{ready} are"))
            })
        }
    })
    .await
}

/// Waits until nothing was written for a while.
async fn at_rest(plane: &ControlPlane) -> Result<()> {
    eprintln!("waiting for rest");
    let log = plane.audit_log();
    let (mut last, mut since) = (audit::read(&log)?.0, Instant::now());
    let started = Instant::now();
    while since.elapsed() < REST {
        tokio::time::sleep(POLL).await;
        let now = audit::read(&log)?.0;
        if now != last {
            (last, since) = (now, Instant::now());
        }
        if started.elapsed() > RESTED {
            eprintln!("it never rests; counting all the same");
            break;
        }
    }
    Ok(())
}
