//! Goal: seven members over three zones behave under every cut of the links between zones, and
//! after every heal, as Raft's rules predict; no acknowledged write is lost.
//! Method: one cluster of processes in network namespaces; from each zone's clients a writer to
//! each zone's members; 8 cuts times 3 places of the leader; `predict` says what must be seen.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_faults::limits::{LIMIT, WINDOW, WRITER_PAUSE};
use kvorum_faults::predict::{Cuts, Expectation, Leader, Zone, letters, predict};
use kvorum_faults::report::{Table, seconds};
use kvorum_faults::world::until;
use kvorum_faults::{World, rules};
use kvorum_processes::load::Load;
use std::time::{Duration, Instant};

const STATIONS: [&str; 7] = ["a1", "a2", "a3", "b1", "b2", "c1", "c2"];

/// The zone of the member at this place in the list.
fn zone_of(member: usize) -> Zone {
    match member {
        0..=2 => Zone::A,
        3..=4 => Zone::B,
        _ => Zone::C,
    }
}

/// One writer for every pair of a zone's clients and a zone's members.
struct Pair {
    clients: Zone,
    members: Zone,
    load: Load,
}

impl Pair {
    fn start(world: &World, case: usize) -> Vec<Self> {
        let mut pairs = Vec::new();
        for clients in Zone::ALL {
            for members in Zone::ALL {
                let (from, to) = (clients.letter(), members.letter());
                let them = world.clients(&format!("{from}x"), &to.to_string());
                let prefix = format!("load/{case}/{from}{to}/");
                pairs.push(Self {
                    clients,
                    members,
                    load: Load::start_with(vec![them], &prefix, WRITER_PAUSE),
                });
            }
        }
        pairs
    }

    fn works(&self, cuts: Cuts, expected: &Expectation) -> bool {
        cuts.linked(self.clients, self.members) && expected.serving.contains(&self.members)
    }
}

/// Waits until each of these pairs has `n` more writes.
async fn all_write(pairs: &[&Pair], n: usize) {
    let goals: Vec<usize> = pairs.iter().map(|p| p.load.count() + n).collect();
    let written = || {
        let mut all = pairs.iter().zip(&goals);
        all.all(|(p, goal)| p.load.count() >= *goal)
    };
    until("each of these pairs writes", LIMIT, written).await;
}

/// Waits until what these pairs had under way when the links were cut is over: an answer that came
/// before may be counted after.
async fn stopped(pairs: &[&Pair]) {
    let counts = || pairs.iter().map(|p| p.load.count()).collect::<Vec<_>>();
    let (mut last, mut since) = (counts(), Instant::now());
    let unchanged = || {
        let now = counts();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed() >= 5 * WRITER_PAUSE
    };
    until("pairs that are cut off stop writing", LIMIT, unchanged).await;
}

/// What was seen while the links were cut.
struct Seen {
    leader: Leader,
    shown: String,
    serving: Vec<Zone>,
    writing: Vec<Zone>,
    elections: u64,
}

/// Watches a cut world: what must work works, and then, for a while, nothing else does.
async fn watch(world: &World, pairs: &[Pair], cuts: Cuts, at: usize, term: u64) -> Seen {
    let expected = predict(cuts, zone_of(at));
    if matches!(expected.leader, Leader::In(_)) {
        world.elected(term).await;
    }
    let (working, others): (Vec<&Pair>, Vec<&Pair>) =
        pairs.iter().partition(|p| p.works(cuts, &expected));
    all_write(&working, 5).await;
    stopped(&others).await;
    let before: Vec<usize> = pairs.iter().map(|p| p.load.count()).collect();
    tokio::time::sleep(WINDOW).await;
    let moved: Vec<&Pair> = pairs
        .iter()
        .zip(&before)
        .filter(|(p, n)| p.load.count() > **n)
        .map(|(p, _)| p)
        .collect();
    for pair in pairs {
        let (from, to) = (pair.clients.letter(), pair.members.letter());
        let wrote = moved.iter().any(|p| std::ptr::eq(*p, pair));
        let name = format!("clients in {from} through members in {to}, cut {cuts}");
        assert_eq!(wrote, pair.works(cuts, &expected), "{name}: writes");
    }
    let zones = |test: &dyn Fn(&Pair, Zone) -> bool| -> Vec<Zone> {
        let any = |z: &Zone| moved.iter().any(|p| test(p, *z));
        Zone::ALL.into_iter().filter(any).collect()
    };
    let leaders = world.leaders().await;
    let now = world.views().await.iter().flatten().map(|v| v.term).max();
    let (leader, shown) = match leaders[..] {
        [] => (Leader::Nobody, "nobody".to_owned()),
        [(i, view)] if i == at && view.term == term => (Leader::Stays, "the same".to_owned()),
        [(i, _)] => {
            let able = match &expected.leader {
                Leader::In(able) if able.contains(&zone_of(i)) => able.clone(),
                _ => vec![zone_of(i)],
            };
            (Leader::In(able), format!("a new one, {}", STATIONS[i]))
        }
        _ => panic!("more than one leader with a quorum: {leaders:?}"),
    };
    Seen {
        leader,
        shown,
        serving: zones(&|p, z| p.members == z),
        writing: zones(&|p, z| p.clients == z),
        elections: now.unwrap_or(term) - term,
    }
}

/// One cut and its heal; adds its row.
async fn case(world: &World, n: usize, cuts: Cuts, zone: Zone, table: &mut Table) {
    let first = (0..STATIONS.len()).find(|i| zone_of(*i) == zone).unwrap();
    world.cluster.move_leader(first).await;
    let (at, term) = world.agreed().await;
    assert_eq!(at, first);
    let expected = predict(cuts, zone);
    let name = format!("leader in {}, cut {cuts}", zone.letter());
    let pairs = Pair::start(world, n);
    all_write(&pairs.iter().collect::<Vec<_>>(), 3).await;

    let links: Vec<rules::Cut> = cuts
        .pairs()
        .iter()
        .flat_map(|(one, two)| rules::zones(one.letter(), two.letter()))
        .collect();
    world.network.cut(&links);
    let seen = watch(world, &pairs, cuts, at, term).await;
    assert_eq!(seen.leader, expected.leader, "{name}: who leads");
    assert_eq!(
        seen.serving, expected.serving,
        "{name}: which members serve"
    );
    assert_eq!(
        seen.writing, expected.writing,
        "{name}: whose clients write"
    );
    if expected.leader == Leader::Stays {
        assert_eq!(seen.elections, 0, "{name}: an election for nothing");
    }

    world.network.heal();
    all_write(&pairs.iter().collect::<Vec<_>>(), 5).await;
    let (_, healed) = world.agreed().await;
    tokio::time::sleep(WINDOW / 2).await;
    let (_, later) = world.agreed().await;
    assert_eq!(healed, later, "{name}: an election after the heal was over");
    let by_heal = later - term - seen.elections;
    if expected.heal_is_quiet {
        assert_eq!(by_heal, 0, "{name}: the heal caused an election");
    }

    let (mut gap, mut written) = (Duration::ZERO, 0);
    for pair in pairs {
        let counted = pair.works(cuts, &expected);
        let outcome = pair.load.stop().await;
        if counted {
            gap = gap.max(outcome.longest_gap);
        }
        written += outcome.acknowledged.len();
        for member in &world.cluster.members {
            outcome.verify(&member.client()).await;
        }
    }
    table.row(&[
        zone.letter().to_string(),
        cuts.to_string(),
        expected.leader.to_string(),
        seen.shown,
        letters(&seen.serving),
        letters(&seen.writing),
        if expected.writing.is_empty() {
            "until the heal".to_owned()
        } else {
            seconds(gap)
        },
        seen.elections.to_string(),
        by_heal.to_string(),
        format!("0 of {written}"),
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cut_between_three_zones_with_the_leader_in_each() {
    let world = World::start(&STATIONS, &["ax", "bx", "cx"], &[]).await;
    let mut table = Table::new(&[
        "leader in",
        "cut",
        "predicted leader",
        "leader seen",
        "members serve in",
        "clients write in",
        "longest time without a write",
        "elections",
        "elections by the heal",
        "acknowledged writes lost",
    ]);
    let mut n = 0;
    for zone in Zone::ALL {
        for cuts in Cuts::all() {
            n += 1;
            case(&world, n, cuts, zone, &mut table).await;
        }
    }
    table.write("zones");
}
