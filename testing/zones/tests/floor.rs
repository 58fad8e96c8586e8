//! Goal: ours beside the floor, etcd in a plain StatefulSet: the same faults to both on the same machine in
//! one run, under writes without pause. Method: each row has a load of its own, which is read back; the table
//! that is printed at the end goes into docs/performance.md. Asserted is what is safe, never what is fast.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use kube::api::DeleteParams;
use kvorum_testbed::{Cut, Testbed};
use kvorum_zones::cluster::{Cluster, Space};
use kvorum_zones::etcd::{self, Etcd};
use kvorum_zones::install;
use kvorum_zones::limits::{HEALED, OPERATED, READY};
use kvorum_zones::load::Load;
use kvorum_zones::served::Served;
use kvorum_zones::world::{World, blocking, until};
use serde_json::json;

/// What is done to each side, and the goal that operator.md sets for ours.
const ROWS: [(&str, &str); 5] = [
    ("apply -> three members Ready", "Ready after 6 s"),
    ("the leader's pod deleted", "0.1 s"),
    ("the leader's node powered off without a word", "0.8 s"),
    ("3 -> 5 -> 3 members", "healed in 60 s"),
    ("a follower's disk lost", "healed in 60 s"),
];

/// What was seen of one side in one row.
struct Seen {
    gap: Option<Duration>,
    /// How long until all was well again, or why it never was.
    done: Result<Duration, String>,
    acknowledged: u64,
    lost: usize,
}

impl Seen {
    fn gap(&self) -> String {
        let seconds = |gap: Duration| format!("{:.2} s", gap.as_secs_f64());
        self.gap.map_or_else(|| "-".to_owned(), seconds)
    }

    fn done(&self) -> String {
        match &self.done {
            Ok(took) => format!("{:.1} s", took.as_secs_f64()),
            Err(why) => format!("never ({why})"),
        }
    }
}

enum Side<'a> {
    Floor(Etcd<'a>),
    Ours(Box<Cluster<'a>>),
}

impl Side<'_> {
    fn served(&self) -> Served {
        match self {
            Self::Floor(etcd) => etcd.served(),
            Self::Ours(cluster) => cluster.served(),
        }
    }

    /// Waits until all three members serve, and our operator says so too.
    async fn whole(&self) {
        self.served().whole(3).await.unwrap();
        match self {
            Self::Floor(etcd) => drop(etcd.ready().await.unwrap()),
            Self::Ours(cluster) => drop(cluster.settled(HEALED).await.unwrap()),
        }
    }

    async fn rows(&self, testbed: &Testbed) -> Vec<Seen> {
        let born = match self {
            Self::Floor(etcd) => etcd.ready().await.unwrap(),
            Self::Ours(cluster) => cluster.ready(READY).await.unwrap(),
        };
        let born = Seen {
            gap: None,
            done: Ok(born),
            acknowledged: 0,
            lost: 0,
        };
        vec![
            born,
            self.pod_deleted().await,
            self.node_off(testbed).await,
            self.grown_and_shrunk().await,
            self.disk_lost().await,
        ]
    }

    async fn pod_deleted(&self) -> Seen {
        let row = Row::start(self).await;
        let leader = self.served().leader().await.unwrap();
        delete_pod(self, &leader).await;
        row.load.more(200).await.unwrap();
        self.whole().await;
        row.end(Ok).await
    }

    /// The wire is cut first, so that not even a closed connection tells anybody.
    async fn node_off(&self, testbed: &Testbed) -> Seen {
        let row = Row::start(self).await;
        let leader = self.served().leader().await.unwrap();
        let node = leader.spec.unwrap().node_name.unwrap();
        let (power, name) = (testbed.clone(), node.clone());
        blocking(move || {
            power.cut(Cut::Node(name.clone()))?;
            power.node_kill(&name)
        })
        .await
        .unwrap();
        row.load.more(300).await.unwrap();
        let power = testbed.clone();
        blocking(move || {
            power.heal(Cut::Node(node.clone()))?;
            power.node_start(&node)
        })
        .await
        .unwrap();
        self.whole().await;
        row.end(Ok).await
    }

    async fn grown_and_shrunk(&self) -> Seen {
        let row = Row::start(self).await;
        let why = match self {
            Self::Floor(etcd) => {
                etcd.scale(5).await.unwrap();
                let new = [etcd::pod(3), etcd::pod(4)];
                let why = etcd.failure_of(&new).await.unwrap();
                let members = etcd.members().await.unwrap();
                etcd.scale(3).await.unwrap();
                until("two pods fewer", HEALED, || async {
                    let pods = etcd.served().pods().await?.len();
                    Ok((pods == 3)
                        .then_some(())
                        .ok_or_else(|| format!("{pods} pods")))
                })
                .await
                .unwrap();
                why.map(|why| format!("{members} members of 5: {why}"))
            }
            Self::Ours(cluster) => {
                for members in [5, 3] {
                    cluster.change(json!({ "members": members })).await.unwrap();
                    cluster.settled(OPERATED).await.unwrap();
                    assert_eq!(cluster.voters().await.unwrap().len(), members);
                }
                None
            }
        };
        self.served().whole(3).await.unwrap();
        row.end(|took| why.map_or(Ok(took), Err)).await
    }

    async fn disk_lost(&self) -> Seen {
        let row = Row::start(self).await;
        let leader = self.served().leader().await.unwrap().name_any();
        let pods = self.served().pods().await.unwrap();
        let victim = pods.into_iter().find(|pod| pod.name_any() != leader);
        let victim = victim.unwrap();
        let (space, claim, id) = self.disk_of(&victim.name_any()).await;
        let claims = space.api::<PersistentVolumeClaim>();
        claims
            .delete(&claim, &DeleteParams::default())
            .await
            .unwrap();
        delete_pod(self, &victim).await;
        let why = match self {
            Self::Floor(etcd) => etcd.failure_of(&[victim.name_any()]).await.unwrap(),
            Self::Ours(cluster) => {
                until("another member took its place", HEALED, || async {
                    let voters = cluster.voters().await?;
                    let done = voters.len() == 3 && !voters.contains(&id);
                    Ok(done
                        .then_some(())
                        .ok_or_else(|| format!("voters {voters:?}")))
                })
                .await
                .unwrap();
                self.whole().await;
                None
            }
        };
        row.end(|took| why.map_or(Ok(took), Err)).await
    }

    /// The claim of a pod's disk, and our ID of its member.
    async fn disk_of(&self, pod: &str) -> (&Space, String, i64) {
        match self {
            Self::Floor(etcd) => (etcd.space(), etcd::claim_of(pod), 0),
            Self::Ours(cluster) => {
                let members = cluster.status().await.unwrap().members.into_iter();
                let mut members = members.filter(|member| format!("{}-0", member.name) == pod);
                let member = members.next().unwrap();
                (cluster.space, member.pvc, member.id)
            }
        }
    }
}

/// A row under way.
struct Row {
    load: Load,
    started: Instant,
}

impl Row {
    async fn start(side: &Side<'_>) -> Self {
        let load = Load::on(side.served()).await.unwrap();
        let _ = load.gap();
        let started = Instant::now();
        Self { load, started }
    }

    async fn end(self, done: impl FnOnce(Duration) -> Result<Duration, String>) -> Seen {
        let done = done(self.started.elapsed());
        self.load.more(50).await.unwrap();
        let gap = self.load.gap();
        let written = self.load.stop().await.unwrap();
        let tally = written.read_back().await.unwrap();
        Seen {
            gap: Some(gap),
            done,
            acknowledged: tally.acknowledged,
            lost: tally.lost.len(),
        }
    }
}

/// Deletes a pod and waits until it is gone or another one bears its name.
async fn delete_pod(side: &Side<'_>, pod: &Pod) {
    let served = side.served();
    let pods = kube::Api::<Pod>::namespaced(served.world.client.clone(), &served.namespace);
    let (name, uid) = (pod.name_any(), pod.uid());
    pods.delete(&name, &DeleteParams::default()).await.unwrap();
    until("the pod is gone", HEALED, || async {
        let now = pods.get_opt(&name).await?.and_then(|pod| pod.uid());
        Ok((now != uid)
            .then_some(())
            .ok_or_else(|| "still there".to_owned()))
    })
    .await
    .unwrap();
}

fn print(floor: &[Seen], ours: &[Seen]) {
    println!(
        "| what is done | goal | floor: longest time without a write | floor: done after | ours | ours: done after | acknowledged writes, lost: floor / ours |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (((what, goal), floor), ours) in ROWS.iter().zip(floor).zip(ours) {
        println!(
            "| {what} | {goal} | {} | {} | {} | {} | {}, {} / {}, {} |",
            floor.gap(),
            floor.done(),
            ours.gap(),
            ours.done(),
            floor.acknowledged,
            floor.lost,
            ours.acknowledged,
            ours.lost
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_faults_to_etcd_in_a_statefulset_and_to_ours() {
    let Some((world, testbed)) = World::attach_testbed().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "floor").await.unwrap();
    let etcd = Etcd::create(&space, &testbed).await.unwrap();
    let floor = Side::Floor(etcd).rows(&testbed).await;
    space.finish().await.unwrap();
    let space = Space::new(&world, "ours").await.unwrap();
    let spec = json!({ "placement": { "nodeSpread": "Preferred" } });
    let cluster = space.create("orders", spec).await.unwrap();
    let ours = Side::Ours(Box::new(cluster)).rows(&testbed).await;
    print(&floor, &ours);
    assert!(ours.iter().all(|seen| seen.lost == 0), "writes are lost");
    space.finish().await.unwrap();
}
