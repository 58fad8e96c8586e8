//! Goal: a member that was away longer than the log reaches gets the state as a
//! snapshot and loses nothing; and one that hangs does not keep the others' logs from being
//! purged.
//! Method: real processes; one is killed, or stopped with its connections open, while the log
//! is purged behind it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_processes::limits::READY_TIMEOUT;
use kvorum_processes::load::Load;
use kvorum_processes::{Cluster, Program};
use std::time::{Duration, Instant};

/// How a member is away.
enum Away {
    Killed,
    /// Its connections stay open and nothing answers on them.
    Paused,
}

async fn is_sent_a_snapshot(away: Away) {
    let mut cluster = Cluster::start(&Program::kvorum(), 3, &["--snapshot-count=1000"]).await;
    let at = (cluster.leader().await + 1) % 3;
    let endpoints: Vec<String> = (0..3)
        .filter(|i| *i != at)
        .map(|i| cluster.members[i].endpoint())
        .collect();
    match away {
        Away::Killed => cluster.members[at].kill(),
        Away::Paused => cluster.members[at].pause(),
    }
    let load = Load::start(&endpoints, 32);
    load.more(8000, 2 * READY_TIMEOUT).await;
    // A follower keeps its part of the log for a minute after it was last heard of.
    let silent = Instant::now();
    while silent.elapsed() < Duration::from_secs(65) {
        load.more(50, READY_TIMEOUT).await;
    }
    load.more(4000, 2 * READY_TIMEOUT).await;
    match away {
        Away::Killed => cluster.members[at].start().unwrap(),
        Away::Paused => cluster.members[at].resume(),
    }
    cluster.members[at].prints("Received a snapshot").await;
    cluster.wait_ready().await;
    let outcome = load.stop().await;
    outcome.verify(&cluster.members[at].client()).await;
    // And it is a full member again: it alone with one other keeps the quorum.
    let other = (at + 1) % 3;
    cluster.members[(at + 2) % 3].kill();
    cluster.members[other]
        .client()
        .put_until("after", "1", READY_TIMEOUT)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_behind_the_purged_log_is_sent_a_snapshot() {
    is_sent_a_snapshot(Away::Killed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_hangs_does_not_keep_the_log_from_being_purged() {
    is_sent_a_snapshot(Away::Paused).await;
}
