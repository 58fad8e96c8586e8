//! Goal: every rule's check can fail. Method: planners and shells that are broken on purpose, each in one
//! way, in a situation where it matters: exactly the rule that was broken must be named. The same situation
//! with nothing broken must break no rule.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_sim::raft::Id;
use kvorum_sim::scenarios::{born, resized, retemplated};
use kvorum_sim::search::{Budget, Failure, Found, Search};
use kvorum_sim::{Action, Breakage, Fault, Invariant, Violation, World};

/// Rounds within which a broken planner does its harm.
const ROUNDS: usize = 60;

/// The leader and the others.
fn roles(world: &World) -> (Id, Vec<Id>) {
    let mut world = world.clone();
    let leader = world.net().leader().unwrap();
    let followers = world.live().into_keys().filter(|id| *id != leader);
    (leader, followers.collect())
}

fn node_of(world: &World, id: Id) -> u8 {
    world.kube.pods[&id].node.unwrap()
}

/// These things, then fair rounds.
fn run(start: &World, broken: Breakage, way: &[Action]) -> Result<(), Violation> {
    let mut world = start.clone();
    world.broken = broken;
    for action in way {
        world.happen(action)?;
    }
    for _ in 0..ROUNDS {
        world.round(0)?;
    }
    Ok(())
}

fn faults(faults: impl IntoIterator<Item = Fault>) -> Vec<Action> {
    faults.into_iter().map(Action::Fault).collect()
}

/// Broken so, exactly this rule is named; whole, none is.
fn caught(broken: Breakage, rule: Invariant, start: &World, way: &[Action]) {
    assert_eq!(run(start, Breakage::None, way), Ok(()), "whole");
    let violation = run(start, broken, way).unwrap_err();
    println!("{broken:?}: {violation}");
    assert_eq!(violation.invariant, rule, "{violation}");
}

/// All orders with one of these faults.
fn search(mut start: World, broken: Breakage, faults: Vec<Fault>) -> Result<Found, Box<Failure>> {
    start.broken = broken;
    let search = Search {
        start,
        budget: Budget {
            crashes: 0,
            stale: 0,
            faults: 1,
            puts: 0,
            waits: 0,
        },
        faults,
        states_max: 20_000,
    };
    search.run()
}

#[test]
fn i1_latches_forgotten() {
    let wiped = faults((1..=3).map(Fault::Wipe));
    caught(
        Breakage::LatchesForgotten,
        Invariant::I1,
        &born(3, 1),
        &wiped,
    );
}

#[test]
fn i2_even_voters() {
    caught(
        Breakage::EvenVoters,
        Invariant::I2,
        &resized(born(3, 1), 5),
        &[],
    );
}

#[test]
fn i3_expected_membership_ignored() {
    // Half way from 3 to 5: one learner is there, the other waits to be added. Then three are enough again.
    let mut start = resized(born(3, 2), 5);
    let seats = |world: &World| {
        world
            .committed
            .as_ref()
            .map_or(0, |(_, now)| now.seats.len())
    };
    while seats(&start) < 4 {
        start.round(0).unwrap();
    }
    let back = Fault::Wish(born(3, 1).wish);
    let search = |broken| search(start.clone(), broken, vec![back.clone()]);
    assert!(search(Breakage::None).is_ok());
    let failure = search(Breakage::ExpectedIgnored).unwrap_err();
    println!("{} by {:?}", failure.violation, failure.way);
    assert_eq!(failure.violation.invariant, Invariant::I3);
}

#[test]
fn i4_no_quorum_gate() {
    let start = born(3, 1);
    let (_, followers) = roles(&start);
    let mut wish = start.wish.clone();
    wish.fenced = vec![followers[1]];
    let down = Fault::NodeDown(node_of(&start, followers[0]));
    let way = faults([down, Fault::Wish(wish)]);
    caught(Breakage::NoQuorumGate, Invariant::I4, &start, &way);
}

#[test]
fn i5_zones_mistaken() {
    caught(
        Breakage::ZonesMistaken,
        Invariant::I5,
        &resized(born(3, 1), 5),
        &[],
    );
}

#[test]
fn i6_id_reused() {
    let way = faults([Fault::DeleteClaim(2), Fault::DeletePod(2)]);
    caught(Breakage::IdReused, Invariant::I6, &born(3, 1), &way);
}

#[test]
fn i7_no_retention() {
    caught(
        Breakage::NoRetention,
        Invariant::I7,
        &resized(born(5, 1), 3),
        &[],
    );
}

#[test]
fn i8_no_preconditions() {
    let start = retemplated(born(3, 1), false);
    let (_, followers) = roles(&start);
    let deleted = Fault::DeletePod(followers[0]);
    let search = |broken| search(start.clone(), broken, vec![deleted.clone()]);
    assert!(search(Breakage::None).is_ok());
    let failure = search(Breakage::NoPreconditions).unwrap_err();
    println!("{} by {:?}", failure.violation, failure.way);
    assert_eq!(failure.violation.invariant, Invariant::I8);
}

#[test]
fn i9_restarts_without_quorum() {
    let start = born(3, 1);
    let (_, followers) = roles(&start);
    let down = followers
        .iter()
        .map(|id| Fault::NodeDown(node_of(&start, *id)));
    caught(
        Breakage::RestartsWithoutQuorum,
        Invariant::I9,
        &start,
        &faults(down),
    );
}

#[test]
fn i10_keys_forgotten() {
    let look = Action::Look {
        operator: 0,
        fresh: false,
    };
    let write = Action::Write { operator: 0 };
    let mut try_once = vec![Action::Wait(5), look];
    try_once.extend(std::iter::repeat_n(write, 8));
    let tries = [try_once.clone(), try_once.clone(), try_once].concat();
    caught(
        Breakage::KeysForgotten,
        Invariant::I10,
        &resized(born(3, 1), 5),
        &tries,
    );
}

#[test]
fn i11_stores_unchecked() {
    let start = born(3, 1);
    let (leader, followers) = roles(&start);
    let (away, wiped) = (followers[0], followers[1]);
    let way = [
        Action::Fault(Fault::NodeDown(node_of(&start, away))),
        Action::Heartbeat,
        Action::Put,
        Action::Fault(Fault::Wipe(wiped)),
        Action::Fault(Fault::NodeDown(node_of(&start, leader))),
        Action::Fault(Fault::NodeUp(node_of(&start, away))),
        Action::Control,
        Action::Heartbeat,
        Action::Heartbeat,
    ];
    caught(Breakage::StoresUnchecked, Invariant::I11, &start, &way);
}

#[test]
fn i12_pause_ignored() {
    let mut start = resized(born(3, 1), 5);
    start.wish.paused = true;
    caught(Breakage::PauseIgnored, Invariant::I12, &start, &[]);
}

#[test]
fn i13_no_eviction() {
    let start = retemplated(born(3, 1), false);
    caught(Breakage::NoEviction, Invariant::I13, &start, &[]);
}

#[test]
fn i14_never_adds() {
    let mut start = resized(born(3, 1), 5);
    assert!(start.clone().settle().is_ok());
    start.broken = Breakage::NeverAdds;
    let violation = start.settle().unwrap_err();
    println!("{violation}");
    assert_eq!(violation.invariant, Invariant::I14);
}

#[test]
fn i15_operator_changes_at_once() {
    let way = faults([Fault::Upgrade]);
    caught(
        Breakage::OperatorChangesAtOnce,
        Invariant::I15,
        &born(3, 1),
        &way,
    );
}
