//! Goal: a member that was away longer than the log reaches gets the state as a
//! snapshot and loses nothing.
//! Method: real processes; one is away while the log is purged behind it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_processes::limits::READY_TIMEOUT;
use kvorum_processes::load::Load;
use kvorum_processes::{Cluster, Program};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_member_behind_the_purged_log_is_sent_a_snapshot() {
    let mut cluster = Cluster::start(&Program::kvorum(), 3, &["--snapshot-count=1000"]).await;
    let away = (cluster.leader().await + 1) % 3;
    cluster.members[away].kill();
    let load = Load::start(&cluster.endpoints(), 32);
    load.more(8000, 2 * READY_TIMEOUT).await;
    // A follower keeps its part of the log for a minute after it was last heard of.
    let silent = Instant::now();
    while silent.elapsed() < Duration::from_secs(65) {
        load.more(50, READY_TIMEOUT).await;
    }
    load.more(4000, 2 * READY_TIMEOUT).await;
    cluster.members[away].start().unwrap();
    cluster.wait_ready().await;
    let outcome = load.stop().await;
    outcome.verify(&cluster.members[away].client()).await;
    let printed = cluster.members[away].printed();
    assert!(printed.contains("Received a snapshot"), "{printed}");
    // And it is a full member again: it alone with one other keeps the quorum.
    let other = (away + 1) % 3;
    cluster.members[(away + 2) % 3].kill();
    cluster.members[other]
        .client()
        .put_until("after", "1", READY_TIMEOUT)
        .await;
}
