//! Goal: an operator that dies at any step of growing, shrinking, rolling out or replacing does no harm: the
//! next one goes on to the same end. Method: the real program with `KVORUM_FAILPOINT` at each step in turn,
//! then one without; writes go on all the while, and every acknowledged one is read back.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::Path;

use kvorum_testbed::Testbed;
use kvorum_zones::cluster::{Cluster, Space};
use kvorum_zones::install;
use kvorum_zones::limits::{DEATH, OPERATED, READY};
use kvorum_zones::load::Load;
use kvorum_zones::program::Operator;
use kvorum_zones::world::World;
use serde_json::{Value, json};

/// Steps of 3 -> 5.
const GROWING: [&str; 8] = [
    "before:enlist",
    "after:allocate",
    "after:enlist",
    "after:member-m4",
    "before:add-m4",
    "after:add-m4",
    "before:voters",
    "after:voters",
];

/// Steps of 5 -> 3, whoever leaves.
const SHRINKING: [&str; 2] = ["before:voters", "after:voters"];

/// Steps of a changed template on three members.
const ROLLING: [&str; 3] = ["before:leader", "after:leader", "after:restart-m2"];

struct Stage<'a> {
    testbed: &'a Testbed,
    class: &'a str,
    log: &'a Path,
}

impl Stage<'_> {
    /// Has an operator die at `place` on the way to `spec`, and another one finish.
    async fn dies(&self, cluster: &Cluster<'_>, load: &Load, place: &str, spec: Value) {
        let doomed = Operator::start(self.testbed, self.class, Some(place), self.log).unwrap();
        cluster.change(spec).await.unwrap();
        doomed.death(DEATH).await.unwrap();
        let second = Operator::start(self.testbed, self.class, None, self.log).unwrap();
        let took = cluster.settled(OPERATED).await.unwrap();
        load.more(20).await.unwrap();
        drop(second);
        println!(
            "died {place}: the next one was done after {:.1} s",
            took.as_secs_f64()
        );
    }

    async fn goes(&self, cluster: &Cluster<'_>, spec: Value) {
        let operator = Operator::start(self.testbed, self.class, None, self.log).unwrap();
        cluster.change(spec).await.unwrap();
        cluster.settled(OPERATED).await.unwrap();
        drop(operator);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_killed_at_any_step_of_an_operation_converges() {
    let Some((world, testbed)) = World::attach_testbed().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let class = format!("crashes-{:06x}", rand::random::<u32>() & 0x00ff_ffff);
    let log = std::env::temp_dir().join(format!("kvorum-{class}.log"));
    let stage = Stage {
        testbed: &testbed,
        class: &class,
        log: &log,
    };
    let space = Space::new(&world, "crashes").await.unwrap();
    let labels = [("kvorum.dev/class", class.as_str())];
    let first = Operator::start(&testbed, &class, None, &log).unwrap();
    let spec = json!({ "storage": { "keepReplacedFor": "0s" }, "placement": { "nodeSpread": "Preferred" } });
    let cluster = space
        .create_labelled("orders", spec, &labels)
        .await
        .unwrap();
    cluster.ready(READY).await.unwrap();
    drop(first);
    let load = Load::start(&cluster).await.unwrap();

    for (turn, place) in ROLLING.into_iter().enumerate() {
        let config = json!({ "config": { "snapshotCount": 20_000 + turn } });
        stage.dies(&cluster, &load, place, config).await;
    }
    let mut next = 4;
    for place in GROWING {
        // Members of earlier rounds have taken IDs.
        let place = place.replace("m4", &format!("m{next}"));
        stage
            .dies(&cluster, &load, &place, json!({ "members": 5 }))
            .await;
        let voters = cluster.voters().await.unwrap();
        assert_eq!(voters.len(), 5);
        next = voters.iter().max().unwrap() + 1;
        stage.goes(&cluster, json!({ "members": 3 })).await;
    }
    for place in SHRINKING {
        stage.goes(&cluster, json!({ "members": 5 })).await;
        stage
            .dies(&cluster, &load, place, json!({ "members": 3 }))
            .await;
    }
    assert_eq!(cluster.voters().await.unwrap().len(), 3);
    println!(
        "{} acknowledged writes, none lost",
        load.check().await.unwrap()
    );
    std::fs::remove_file(&log).unwrap();
    space.finish().await.unwrap();
}
