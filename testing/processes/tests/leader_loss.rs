//! Goal: losing the leader loses no acknowledged write.
//! Method: writers on real processes that are killed, paused or told to end,
//! then every acknowledged write is read back from every member.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_processes::load::Load;
use kvorum_processes::{Cluster, Program};
use std::time::Duration;

const SLOW: Duration = Duration::from_secs(60);

async fn verify_everywhere(cluster: &Cluster, outcome: &kvorum_processes::load::Outcome) {
    cluster.wait_ready().await;
    for member in &cluster.members {
        outcome.verify(&member.client()).await;
    }
}

async fn kill_leader_repeatedly(size: u8, rounds: usize) {
    let mut cluster = Cluster::start(&Program::kvorum(), size, &[]).await;
    let load = Load::start(&cluster.endpoints(), 16);
    load.more(500, SLOW).await;
    for _ in 0..rounds {
        let leader = cluster.leader().await;
        cluster.members[leader].kill();
        load.more(500, SLOW).await;
        cluster.members[leader].start().unwrap();
        cluster.wait_ready().await;
    }
    let outcome = load.stop().await;
    println!(
        "{size} members, leader killed {rounds} times: {} writes, {} failed, longest gap {:?}",
        outcome.acknowledged.len(),
        outcome.failed,
        outcome.longest_gap
    );
    verify_everywhere(&cluster, &outcome).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_members_leader_killed_under_load() {
    kill_leader_repeatedly(3, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_members_leader_killed_under_load() {
    kill_leader_repeatedly(5, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_members_killed_at_once_under_load() {
    let mut cluster = Cluster::start(&Program::kvorum(), 3, &[]).await;
    for _ in 0..3 {
        let load = Load::start(&cluster.endpoints(), 16);
        load.more(1000, SLOW).await;
        cluster
            .members
            .iter_mut()
            .for_each(kvorum_processes::Member::kill);
        let outcome = load.stop().await;
        for member in &mut cluster.members {
            member.start().unwrap();
        }
        verify_everywhere(&cluster, &outcome).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_leader_comes_back_as_a_follower() {
    let cluster = Cluster::start(&Program::kvorum(), 3, &[]).await;
    let load = Load::start(&cluster.endpoints(), 8);
    load.more(200, SLOW).await;
    let old = cluster.leader().await;
    cluster.members[old].pause();
    load.more(200, SLOW).await;
    cluster.members[old].resume();
    load.more(200, SLOW).await;
    let outcome = load.stop().await;
    verify_everywhere(&cluster, &outcome).await;
    assert_ne!(
        cluster.leader().await,
        old,
        "the others elected a leader of their own"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_leader_hands_over_and_exits_cleanly() {
    let mut cluster = Cluster::start(&Program::kvorum(), 3, &[]).await;
    let old = cluster.leader().await;
    let load = Load::start(&cluster.endpoints(), 8);
    load.more(200, SLOW).await;
    let (status, took) = cluster.members[old].terminate().await;
    assert!(status.success(), "{status}");
    load.more(200, SLOW).await;
    let outcome = load.stop().await;
    println!(
        "hand-over: exit after {took:?}, longest gap {:?}",
        outcome.longest_gap
    );
    let printed = cluster.members[old].printed();
    assert!(printed.contains("Handed leadership over"), "{printed}");
    cluster.members[old].start().unwrap();
    verify_everywhere(&cluster, &outcome).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_nothing_is_written_and_nothing_is_lost() {
    let mut cluster = Cluster::start(&Program::kvorum(), 3, &[]).await;
    let load = Load::start(&cluster.endpoints(), 4);
    load.more(100, SLOW).await;
    let outcome = load.stop().await;
    cluster.members[0].kill();
    cluster.members[1].kill();
    let lonely = cluster.members[2].client();
    let refused = lonely.put("lonely", "1").await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused}");
    let refused = lonely.get("ready").await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused}");
    cluster.members[0].start().unwrap();
    lonely.put_until("back", "1", SLOW).await;
    cluster.members[1].start().unwrap();
    verify_everywhere(&cluster, &outcome).await;
}
