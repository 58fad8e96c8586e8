//! The searches and walks that are run: by `cargo test` as far as a minute reaches, by
//! `cargo xtask model-check` as far as one likes.

use std::time::{Duration, Instant};

use crate::raft::Id;
use crate::scenarios::{born, born_over, resized, retemplated};
use crate::search::{Budget, Found, Search};
use crate::shrink::shrink;
use crate::walk::{Walked, Weather, walk};
use crate::world::{Fault, World};

/// Everything once, with nothing from outside.
const QUIET: Budget = Budget {
    crashes: 1,
    stale: 1,
    faults: 0,
    puts: 1,
    waits: 0,
};

/// One fault at any place.
const ONE_FAULT: Budget = Budget {
    crashes: 1,
    stale: 0,
    faults: 1,
    puts: 1,
    waits: 2,
};

/// The member that leads and one that follows.
fn roles(world: &World) -> (Id, Id) {
    let mut world = world.clone();
    let leader = world.net().leader().unwrap_or(1);
    let follower = world.live().into_keys().find(|id| *id != leader);
    (leader, follower.unwrap_or(leader))
}

/// The node that a member is on.
fn node_of(world: &World, id: Id) -> u8 {
    let pod = world.kube.pods.get(&id);
    pod.and_then(|pod| pod.node).unwrap_or(0)
}

/// A small world: its name, where it begins, what may happen, which faults there are.
type Small = (&'static str, World, Budget, Vec<Fault>);

/// Small worlds by name.
#[must_use]
pub fn searches(states_max: usize) -> Vec<(&'static str, Search)> {
    let small = [moving(), losing(), rolling()].concat().into_iter();
    let search = |(name, start, budget, faults)| {
        let search = Search {
            start,
            budget,
            faults,
            states_max,
        };
        (name, search)
    };
    small.map(search).collect()
}

/// The leader's node or a follower's loses power, or a zone is cut off.
fn power(world: &World) -> Vec<Fault> {
    let (leader, follower) = roles(world);
    vec![
        Fault::NodeDown(node_of(world, leader)),
        Fault::NodeDown(node_of(world, follower)),
        Fault::Cut(0),
    ]
}

/// Members come, go and move.
fn moving() -> Vec<Small> {
    let (one, three, five) = (born(1, 1), born(3, 1), born(5, 1));
    let mut drained = born_over(3, 4, 1);
    drained.wish.drain = vec![1];
    let mut alone = one.clone();
    alone.wish.drain = vec![0];
    let wishes = vec![
        Fault::Wish(three.wish.clone()),
        Fault::Wish(retemplated(three.clone(), false).wish),
    ];
    let power = power(&three);
    let to = |world: &World, size| resized(world.clone(), size);
    vec![
        ("1 -> 3, crashes and old caches", to(&one, 3), QUIET, vec![]),
        ("1 -> 3, one fault", to(&one, 3), ONE_FAULT, power.clone()),
        (
            "3 -> 5, crashes and old caches",
            to(&three, 5),
            QUIET,
            vec![],
        ),
        (
            "3 -> 5, another wish midway",
            to(&three, 5),
            ONE_FAULT,
            wishes,
        ),
        ("3 -> 5, one fault", to(&three, 5), ONE_FAULT, power.clone()),
        ("3 -> 5, two operators", to(&born(3, 2), 5), QUIET, vec![]),
        ("5 -> 3, one fault", to(&five, 3), ONE_FAULT, power.clone()),
        ("5 -> 3, two operators", to(&born(5, 2), 3), QUIET, vec![]),
        (
            "3 over 4 zones, one drained",
            drained,
            ONE_FAULT,
            power.clone(),
        ),
        ("1 moved out of its zone", alone, ONE_FAULT, power),
    ]
}

/// Disks are lost.
fn losing() -> Vec<Small> {
    let three = born(3, 1);
    let (leader, follower) = roles(&three);
    let both = |fault: &dyn Fn(Id) -> Fault| vec![fault(leader), fault(follower)];
    let gone = |id| Fault::NodeGone(node_of(&three, id));
    let world = || three.clone();
    vec![
        ("a disk of 3 wiped", world(), ONE_FAULT, both(&Fault::Wipe)),
        (
            "a claim of 3 deleted",
            world(),
            ONE_FAULT,
            both(&Fault::DeleteClaim),
        ),
        ("a node of 3 gone for good", world(), ONE_FAULT, both(&gone)),
    ]
}

/// Pods get another template.
fn rolling() -> Vec<Small> {
    let three = born(3, 1);
    let power = power(&three);
    let (good, bad) = (retemplated(three.clone(), false), retemplated(three, true));
    let two = retemplated(born(3, 2), false);
    vec![
        ("rollout in 3, one fault", good, ONE_FAULT, power.clone()),
        ("rollout in 3, two operators", two, QUIET, vec![]),
        ("rollout of a bad template in 3", bad, ONE_FAULT, power),
    ]
}

/// Random worlds by name, each with its weather.
#[must_use]
pub fn weathers() -> Vec<(&'static str, World, Weather)> {
    let weather = |fault_one_in, destructive, stale_one_in| Weather {
        fault_one_in,
        destructive,
        stale_one_in,
    };
    vec![
        (
            "3, one operator, no faults, old caches",
            born(3, 1),
            weather(0, false, 3),
        ),
        ("3, one operator, faults", born(3, 1), weather(12, false, 0)),
        (
            "3, one operator, faults, disks destroyed, old caches",
            born(3, 1),
            weather(15, true, 4),
        ),
        (
            "5, one operator, faults, disks destroyed",
            born(5, 1),
            weather(15, true, 0),
        ),
        (
            "5 over 5 zones, two operators, faults, old caches",
            born_over(5, 5, 2),
            weather(15, false, 4),
        ),
        (
            "3, two operators, faults, disks destroyed, old caches",
            born(3, 2),
            weather(15, true, 4),
        ),
        (
            "1, two operators, faults",
            born(1, 2),
            weather(15, false, 4),
        ),
    ]
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Report {
    /// One line for each search and each kind of walk.
    pub lines: Vec<String>,
    /// What was broken, and how.
    pub failures: Vec<String>,
}

/// Runs the searches; `at_most` bounds each of them.
#[must_use]
pub fn run_searches(states_max: usize) -> Report {
    let mut report = Report::default();
    for (name, search) in searches(states_max) {
        let began = Instant::now();
        match search.run() {
            Ok(found) => report.lines.push(line(name, &found, began.elapsed())),
            Err(failure) => report.failures.push(format!(
                "{name}: {}\n  by {} things: {:?}",
                failure.violation,
                failure.way.len(),
                failure.way
            )),
        }
    }
    report
}

fn line(name: &str, found: &Found, took: Duration) -> String {
    let how = if found.complete { "all" } else { "cut" };
    format!(
        "{name}: {} states ({how}), {} steps, depth {}, {} settled, {:.1} s",
        found.states,
        found.steps,
        found.depth,
        found.settled,
        took.as_secs_f64()
    )
}

/// Walks through each world with seeds from `first` on.
#[must_use]
pub fn run_walks(first: u64, seeds: u64, length: usize) -> Report {
    let mut report = Report::default();
    for (name, start, weather) in weathers() {
        let began = Instant::now();
        let (mut total, mut rounds, mut spent, mut writes) = (0, 0, 0, 0);
        for seed in first..first + seeds {
            match walk(&start, seed, length, weather) {
                Ok(Walked {
                    steps,
                    rounds: took,
                    acknowledged,
                    spent: beyond,
                }) => {
                    total += steps;
                    rounds = rounds.max(took);
                    spent += usize::from(beyond);
                    writes += acknowledged;
                }
                Err(failure) => {
                    let way = shrink(&start, &failure.way, failure.violation.invariant);
                    report.failures.push(format!(
                        "{name}, seed {seed}: {}\n  {} of {} things are enough: {way:?}",
                        failure.violation,
                        way.len(),
                        failure.way.len(),
                    ));
                }
            }
        }
        report.lines.push(format!(
            "{name}: {seeds} walks, {total} steps, {writes} acknowledged writes, at rest after {rounds} rounds at most, {spent} beyond tolerance, {:.1} s",
            began.elapsed().as_secs_f64()
        ));
    }
    report
}
