//! Goal: an operator that dies at any step of a bootstrap does no harm: the next one goes on, and the cluster
//! is initialized exactly once. Method: the real program with `KVORUM_FAILPOINT` at every boundary in turn;
//! after its death a second one, without; `Initialize` is counted in the logs of both.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};

use futures::{StreamExt, TryStreamExt};
use kvorum_operator::failpoint;
use kvorum_plan::ClusterSize;
use kvorum_testbed::Testbed;
use kvorum_zones::cluster::Space;
use kvorum_zones::install;
use kvorum_zones::limits::{DEATH, READY};
use kvorum_zones::program::Operator;
use kvorum_zones::world::World;
use serde_json::json;

/// Clusters that are born side by side.
const AT_ONCE: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_killed_at_any_step_of_a_bootstrap_converges_with_one_initialize() {
    let Some((world, testbed)) = World::attach_testbed().await else {
        return;
    };
    // For the definition; the operator it brings leaves our class alone.
    install::operator(&world).await.unwrap();
    let logs = std::env::temp_dir().join(format!("kvorum-failpoints-{}", std::process::id()));
    std::fs::create_dir_all(&logs).unwrap();
    let places = failpoint::places(ClusterSize::try_from(3).unwrap());
    println!("{} places", places.len());
    let (world, testbed, logs) = (&world, &testbed, &logs);
    futures::stream::iter(places.iter().enumerate())
        .map(|(index, place)| async move {
            dies_and_converges(world, testbed, logs, index, place)
                .await
                .map_err(|error| anyhow::anyhow!("{place}: {error:#}"))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await
        .unwrap();
    std::fs::remove_dir_all(logs).unwrap();
}

async fn dies_and_converges(
    world: &World,
    testbed: &Testbed,
    logs: &Path,
    index: usize,
    place: &str,
) -> anyhow::Result<()> {
    let class = format!("place-{index}-{:06x}", rand::random::<u32>() & 0x00ff_ffff);
    let log: PathBuf = logs.join(format!("{index}.log"));
    let space = Space::new(world, "bootstrap").await?;
    let doomed = Operator::start(testbed, &class, Some(place), &log)?;
    let labels = [("kvorum.dev/class", class.as_str())];
    let cluster = space.create_labelled("born", json!({}), &labels).await?;
    doomed.death(DEATH).await?;
    let before = cluster.status().await?.cluster_id;
    let _second = Operator::start(testbed, &class, None, &log)?;
    cluster.ready(READY).await?;

    let status = cluster.status().await?;
    anyhow::ensure!(status.bootstrapped, "bootstrapped is not latched");
    anyhow::ensure!(
        before.is_none() || before == status.cluster_id,
        "the identity changed from {before:?} to {:?}",
        status.cluster_id
    );
    let text = std::fs::read_to_string(&log)?;
    let calls = text.matches("Initialize was answered").count();
    let done = text.matches("already_initialized=false").count();
    // Dying between the call's end and its log line cannot be told from dying before: at most one took effect.
    anyhow::ensure!(
        calls == 1 && done == 1,
        "Initialize: {calls} calls, {done} took effect\n{text}"
    );
    space.finish().await
}
