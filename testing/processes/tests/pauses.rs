//! Goal: a leader that was stopped for a while, and does not know it, answers no linearizable
//! read with what was replaced meanwhile.
//! Method: SIGSTOP and SIGCONT; the reads wait in the old leader's sockets when it goes on.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_processes::limits::{POLL, READY_TIMEOUT};
use kvorum_processes::{Client, Cluster, Program};
use std::time::Instant;

/// Connections, and reads on each of them.
const CONNECTIONS: usize = 20;
const READS: usize = 10;

/// Waits until another member than `old` leads; its place in the list.
async fn another_leader(cluster: &Cluster, old: usize) -> usize {
    let until = Instant::now() + READY_TIMEOUT;
    loop {
        for (i, member) in cluster
            .members
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != old)
        {
            let status = member.client().status().await.unwrap();
            let id = status.header.map_or(0, |h| h.member_id);
            if status.leader == id {
                return i;
            }
        }
        assert!(Instant::now() < until, "nobody took over");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_paused_answers_no_read_from_before() {
    let cluster = Cluster::start(&Program::kvorum(), 3, &[]).await;
    for round in 0..5 {
        let old = cluster.leader().await;
        let key = format!("key/{round}");
        let client = cluster.members[old].client();
        client.put_until(&key, "old", READY_TIMEOUT).await;
        // Connected beforehand, so that the requests are there the moment it goes on.
        let clients: Vec<Client> = (0..CONNECTIONS)
            .map(|_| cluster.members[old].client())
            .collect();
        for client in &clients {
            assert_eq!(client.get(&key).await.unwrap().as_deref(), Some("old"));
        }
        cluster.members[old].pause();
        let new = another_leader(&cluster, old).await;
        let client = cluster.members[new].client();
        client.put_until(&key, "new", READY_TIMEOUT).await;
        let reads: Vec<_> = clients
            .iter()
            .flat_map(|client| std::iter::repeat_n(client, READS))
            .map(|client| {
                let (client, key) = (client.clone(), key.clone());
                tokio::spawn(async move { client.get(&key).await })
            })
            .collect();
        cluster.members[old].resume();
        let mut answered = 0;
        for read in reads {
            // An error is honest; the old value is not.
            if let Ok(value) = read.await.unwrap() {
                assert_eq!(value.as_deref(), Some("new"), "round {round}: a stale read");
                answered += 1;
            }
        }
        println!(
            "round {round}: {answered} of {} reads answered",
            CONNECTIONS * READS
        );
        cluster.wait_ready().await;
    }
}
