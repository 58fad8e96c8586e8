//! Goal: of n members exactly floor((n-1)/2) may be lost, for n from 1 to 9: with those lost
//! the cluster goes on, with one more it refuses and says so, and with one back it goes on.
//! Method: real processes, killed, the leader first.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use futures::StreamExt;
use kvorum_faults::limits::LIMIT;
use kvorum_faults::reads::everywhere;
use kvorum_faults::report::{Table, seconds};
use kvorum_processes::{Cluster, Program};
use std::time::{Duration, Instant};

/// Clusters at work side by side: most of the time is spent waiting for refusals.
const SIDE_BY_SIDE: usize = 4;

/// Members of which a majority is left without them.
const fn may_be_lost(members: usize) -> usize {
    (members - 1) / 2
}

/// How a member without a majority refuses a write and a linearizable read.
async fn refusal(cluster: &Cluster, at: usize) -> String {
    let started = Instant::now();
    let client = cluster.members[at].client();
    let (write, read) = tokio::join!(client.put("refused", "1"), client.get("before/00"));
    for refused in [write.unwrap_err(), read.unwrap_err()] {
        // The server's own answer: the client's would be another code.
        assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused}");
        assert!(refused.message().starts_with("etcdserver: "), "{refused}");
    }
    format!("refused after {}", seconds(started.elapsed()))
}

/// One size; its row.
async fn survives(n: usize) -> Vec<String> {
    let size = u8::try_from(n).unwrap();
    let mut cluster = Cluster::start(&Program::kvorum(), size, &[]).await;
    cluster.wait_registered().await;
    let mut keys = Vec::new();
    for i in 0..20 {
        keys.push(format!("before/{i:02}"));
        let client = cluster.members[i % n].client();
        client.put_until(keys.last().unwrap(), "1", LIMIT).await;
    }
    let leader = cluster.leader().await;
    let order: Vec<usize> = (0..n).map(|i| (leader + i) % n).collect();
    let lost = may_be_lost(n);
    for at in &order[..lost] {
        cluster.members[*at].kill();
    }
    let (killed, last) = (Instant::now(), order[n - 1]);
    keys.push("with/some/lost".to_owned());
    let client = cluster.members[last].client();
    client.put_until(keys.last().unwrap(), "1", LIMIT).await;
    let pause = killed.elapsed();

    cluster.members[order[lost]].kill();
    let refused = if lost + 1 < n {
        refusal(&cluster, last).await
    } else {
        "nobody left to ask".to_owned()
    };

    let back = order[lost];
    cluster.members[back].start().unwrap();
    let started = Instant::now();
    keys.push("with/one/back".to_owned());
    let client = cluster.members[last].client();
    client.put_until(keys.last().unwrap(), "1", LIMIT).await;
    let again = started.elapsed();

    cluster.start_all().await;
    for key in &keys {
        let found = everywhere(&cluster, key).await;
        let one = Some(("1".to_owned(), 1));
        assert!(found.iter().all(|f| *f == one), "{key}: {found:?}");
    }
    let refused_write = everywhere(&cluster, "refused").await;
    assert!(
        refused_write.windows(2).all(|w| w[0] == w[1])
            && refused_write[0]
                .as_ref()
                .is_none_or(|(_, version)| *version == 1),
        "{refused_write:?}"
    );
    let written = |pause: Duration| format!("writes after {}", seconds(pause));
    vec![
        n.to_string(),
        lost.to_string(),
        written(pause),
        refused,
        written(again),
        format!("0 of {}", keys.len()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_as_many_as_leave_a_majority_may_be_lost() {
    let rows = futures::stream::iter((1..=9).rev().map(survives));
    let mut rows: Vec<_> = rows.buffer_unordered(SIDE_BY_SIDE).collect().await;
    rows.sort();
    let mut table = Table::new(&[
        "members",
        "may be lost",
        "with those lost",
        "with one more lost",
        "with one back",
        "acknowledged writes lost",
    ]);
    for row in &rows {
        table.row(row);
    }
    table.write("sizes");
}
