//! Goal: whenever a leader dies in the life of a write, no acknowledged write is lost and an
//! unacknowledged one is there once or not at all, for all members alike.
//! Method: a test build of the node that ends itself at exactly one step; the logs are looked
//! at while everyone else is stopped, the stores after everyone is back. The last moment, two
//! leaders at once, by cutting links.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_faults::World;
use kvorum_faults::limits::LIMIT;
use kvorum_faults::reads::{Found, everywhere, in_log};
use kvorum_faults::report::Table;
use kvorum_faults::rules::stations;
use kvorum_processes::{Cluster, Program};

/// What the node takes for the marked write (`node/src/faultpoint.rs`).
const MARK: &str = "faultpoint-write";

/// What Raft's rules say of the write after everyone is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Afterwards {
    Absent,
    Once,
    Either,
}

impl Afterwards {
    fn words(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Once => "there, once",
            Self::Either => "once or absent",
        }
    }

    fn allows(self, found: &Found) -> bool {
        match found {
            None => self != Self::Once,
            Some((value, version)) => self != Self::Absent && value == "1" && *version == 1,
        }
    }
}

struct Moment {
    title: &'static str,
    point: &'static str,
    members: u8,
    /// Members whose logs hold the write at the moment of the death; the leader is one of
    /// them unless there is none.
    in_logs: usize,
    afterwards: Afterwards,
}

const MOMENTS: [Moment; 6] = [
    Moment {
        title: "before the write reaches the leader's log",
        point: "before-log",
        members: 3,
        in_logs: 0,
        afterwards: Afterwards::Absent,
    },
    Moment {
        title: "in the leader's log, sent to nobody",
        point: "in-log",
        members: 3,
        in_logs: 1,
        afterwards: Afterwards::Absent,
    },
    Moment {
        title: "in the log of one follower of four",
        point: "some-followers:1",
        members: 5,
        in_logs: 2,
        afterwards: Afterwards::Either,
    },
    Moment {
        title: "in all logs, not yet committed",
        point: "all-followers:2",
        members: 3,
        in_logs: 3,
        afterwards: Afterwards::Once,
    },
    Moment {
        title: "committed, and only the leader knows",
        point: "committed-on-leader",
        members: 3,
        // One follower is enough for the majority; the other may have it.
        in_logs: 2,
        afterwards: Afterwards::Once,
    },
    Moment {
        title: "committed, everyone knows, the client is not answered",
        point: "committed-everywhere:2",
        members: 3,
        in_logs: 3,
        afterwards: Afterwards::Once,
    },
];

async fn acknowledged(cluster: &Cluster, at: usize) -> Vec<String> {
    let client = cluster.members[at].client();
    let keys: Vec<String> = (0..20).map(|i| format!("acknowledged/{i:02}")).collect();
    for key in &keys {
        client.put_until(key, "1", LIMIT).await;
    }
    keys
}

async fn assert_there(cluster: &Cluster, keys: &[String]) {
    for key in keys {
        let found = everywhere(cluster, key).await;
        let one = Some(("1".to_owned(), 1));
        assert!(found.iter().all(|f| *f == one), "{key}: {found:?}");
    }
}

/// The same answer of every member, one that is allowed.
async fn agreed(cluster: &Cluster, key: &str, afterwards: Afterwards) -> &'static str {
    let found = everywhere(cluster, key).await;
    assert!(found.windows(2).all(|w| w[0] == w[1]), "{key}: {found:?}");
    assert!(afterwards.allows(&found[0]), "{key}: {found:?}");
    if found[0].is_some() {
        "there, once"
    } else {
        "absent"
    }
}

async fn die_at(moment: &Moment, table: &mut Table) {
    let mut cluster = Cluster::lay_out(&Program::kvorum_with_faultpoints(), moment.members, &[]);
    cluster.members[0].set_variable("KVORUM_FAULTPOINT", moment.point);
    cluster.start_all().await;
    cluster.wait_registered().await;
    cluster.move_leader(0).await;
    let keys = acknowledged(&cluster, 0).await;

    let saw = cluster.members[0].client().put(MARK, "1").await;
    let saw = saw.expect_err("the leader died before it could answer");
    cluster.members[0].exited(LIMIT).await;
    // Nobody may elect and send it on while the logs are looked at.
    cluster
        .members
        .iter()
        .for_each(kvorum_processes::Member::pause);
    let printed = cluster.members[0].printed();
    let there: Vec<bool> = cluster.members.iter().map(|m| in_log(m, MARK)).collect();
    cluster
        .members
        .iter()
        .for_each(kvorum_processes::Member::resume);
    assert!(
        printed.contains("Fault point"),
        "{}: {printed}",
        moment.title
    );
    let count = there.iter().filter(|there| **there).count();
    let more = usize::from(moment.point == "committed-on-leader");
    let in_logs = moment.in_logs..=moment.in_logs + more;
    assert!(in_logs.contains(&count), "{}: {there:?}", moment.title);
    assert_eq!(there[0], moment.in_logs > 0, "{}: {there:?}", moment.title);

    cluster.members[1]
        .client()
        .put_until("after", "1", LIMIT)
        .await;
    cluster.members[0].drop_variable("KVORUM_FAULTPOINT");
    cluster.start_all().await;
    let read = agreed(&cluster, MARK, moment.afterwards).await;
    assert_there(&cluster, &keys).await;
    table.row(&[
        moment.title.to_owned(),
        moment.members.to_string(),
        format!("an error ({:?})", saw.code()),
        format!("{count} of {}", moment.members),
        moment.afterwards.words().to_owned(),
        read.to_owned(),
        format!("0 of {}", keys.len()),
    ]);
}

/// The seventh: the old leader is cut off with one follower and takes writes that it can never
/// commit, while the others have a leader of their own.
async fn two_leaders(table: &mut Table) {
    let names = ["m1", "m2", "m3", "m4", "m5"];
    let world = World::start(&names, &[], &[]).await;
    world.cluster.wait_registered().await;
    world.cluster.move_leader(0).await;
    let (_, term) = world.agreed().await;
    let mut keys = acknowledged(&world.cluster, 0).await;
    let cuts: Vec<_> = [0, 1]
        .into_iter()
        .flat_map(|old| (2..5).flat_map(move |new| stations(names[old], names[new])))
        .collect();
    world.network.cut(&cuts);
    // Before it can know that it has lost its majority.
    let old = world.cluster.members[0].client();
    let write = tokio::spawn(async move { old.put(MARK, "1").await });
    let (leader, later) = world.elected(term).await;
    assert!(leader > 1 && later > term);
    let new = world.cluster.members[leader].client();
    for i in 0..20 {
        keys.push(format!("new/{i:02}"));
        new.put(keys.last().unwrap(), "1").await.unwrap();
    }
    let there: Vec<bool> = world
        .cluster
        .members
        .iter()
        .map(|m| in_log(m, MARK))
        .collect();
    assert_eq!(there, [true, true, false, false, false]);
    let old = world.cluster.members[0].client();
    let read = old.get("acknowledged/00").await;
    let read = read.expect_err("a leader without a majority must not answer a linearizable read");
    assert_eq!(read.code(), tonic::Code::Unavailable, "{read}");
    let saw = write.await.unwrap();
    let saw = saw.expect_err("a leader without a majority must not acknowledge a write");
    world.network.heal();
    world.agreed().await;
    let read = agreed(&world.cluster, MARK, Afterwards::Absent).await;
    assert_there(&world.cluster, &keys).await;
    table.row(&[
        "two leaders: the old one is cut off with one follower".to_owned(),
        "5".to_owned(),
        format!("an error ({:?})", saw.code()),
        "2 of 5".to_owned(),
        Afterwards::Absent.words().to_owned(),
        read.to_owned(),
        format!("0 of {}", keys.len()),
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seven_moments_at_which_a_leader_can_die() {
    let mut table = Table::new(&[
        "the leader dies",
        "members",
        "the client sees",
        "logs that hold the write then",
        "predicted afterwards",
        "read back on all members",
        "acknowledged writes lost",
    ]);
    for moment in &MOMENTS {
        die_at(moment, &mut table).await;
    }
    two_leaders(&mut table).await;
    table.write("moments");
}

#[test]
fn a_release_build_carries_no_fault_points() {
    let name = b"KVORUM_FAULTPOINT";
    let carries = |program: &Program| {
        let bytes = std::fs::read(program.path()).unwrap();
        bytes.windows(name.len()).any(|window| window == name)
    };
    assert!(carries(&Program::kvorum_with_faultpoints()));
    assert!(!carries(&Program::kvorum()));
}
