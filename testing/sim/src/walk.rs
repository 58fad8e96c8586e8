//! Long random walks through bigger worlds, each by its seed.

use std::collections::BTreeSet;

use crate::chance::Chance;
use crate::invariants::Violation;
use crate::kube::KINDS;
use crate::raft::{Id, ZoneNo};
use crate::wish::Wish;
use crate::world::{Action, Fault, World};

/// A broken rule, and how to see it again.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// Which rule.
    pub violation: Violation,
    /// What happened.
    pub way: Vec<Action>,
}

/// What may happen from outside in a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// One in so many things that happen is a fault; 0: none is.
    pub fault_one_in: usize,
    /// Disks are destroyed, too.
    pub destructive: bool,
    /// One in so many looks is by caches that lag; 0: none is.
    pub stale_one_in: usize,
}

/// What a walk came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// Things that happened.
    pub steps: usize,
    /// Rounds until it was at rest.
    pub rounds: usize,
    /// Writes that were acknowledged.
    pub acknowledged: usize,
    /// More was destroyed than can be survived.
    pub spent: bool,
}

/// Walks, then lets the world come to rest.
///
/// # Errors
/// The rule that was broken.
pub fn walk(
    start: &World,
    seed: u64,
    length: usize,
    weather: Weather,
) -> Result<Walked, Box<Failure>> {
    let mut chance = Chance::new(seed);
    let mut world = start.clone();
    let mut way = Vec::with_capacity(length);
    for _ in 0..length {
        let action = draw(&world, &mut chance, weather);
        way.push(action.clone());
        if let Err(violation) = world.happen(&action) {
            return Err(Box::new(Failure {
                seed,
                violation,
                way,
            }));
        }
    }
    match world.settle() {
        Ok(rounds) => Ok(Walked {
            steps: length,
            rounds,
            acknowledged: world.acknowledged.len(),
            spent: world.spent,
        }),
        Err(violation) => Err(Box::new(Failure {
            seed,
            violation,
            way,
        })),
    }
}

fn draw(world: &World, chance: &mut Chance, weather: Weather) -> Action {
    if weather.fault_one_in > 0 && chance.once_in(weather.fault_one_in) {
        return Action::Fault(fault(world, chance, weather.destructive));
    }
    let operator = chance.below(world.operators.len());
    let members: Vec<Id> = world
        .kube
        .sets
        .keys()
        .chain(world.kube.claims.keys())
        .copied()
        .collect();
    let member = chance.pick(&members).unwrap_or(1);
    match chance.below(20) {
        0..=6 if !world.operators[operator].pending.is_empty() => Action::Write { operator },
        0..=6 => {
            let stale = weather.stale_one_in > 0 && chance.once_in(weather.stale_one_in);
            Action::Look {
                operator,
                fresh: !stale,
            }
        }
        7 => Action::Write { operator },
        8 if chance.once_in(4) => Action::Crash { operator },
        8 | 9 => {
            let kind = KINDS[chance.below(KINDS.len())];
            Action::Hear { operator, kind }
        }
        10..=12 => Action::Control,
        13 => Action::ControlOne(member),
        14 | 15 => Action::Heartbeat,
        16 => Action::HeartbeatWithout(member),
        17 => Action::Put,
        _ => Action::Wait([1, 5, 5, 20, 40][chance.below(5)]),
    }
}

fn fault(world: &World, chance: &mut Chance, destructive: bool) -> Fault {
    let node = u8::try_from(chance.below(world.kube.nodes.len())).unwrap_or(0);
    let zone = world.kube.nodes[usize::from(node)].zone;
    let members: Vec<Id> = world.kube.claims.keys().copied().collect();
    let member = chance.pick(&members).unwrap_or(1);
    let neighbours = world
        .kube
        .nodes
        .iter()
        .filter(|is| is.zone == zone && is.exists)
        .count();
    // Mostly one disk at a time, so that there is something left to be repaired.
    let damaged = world.destroyed().any(|(gone, _)| gone > 0);
    let destructive = destructive && (!damaged || chance.once_in(8));
    match chance.below(if destructive { 16 } else { 12 }) {
        0 => Fault::NodeDown(node),
        1..=3 => Fault::NodeUp(node),
        4 => Fault::Cut(zone),
        5 | 6 => Fault::Heal(world.cut.first().copied().unwrap_or(zone)),
        7 => Fault::DeletePod(member),
        8 => Fault::Upgrade,
        9..=11 => Fault::Wish(wish(world, chance)),
        12 | 13 => Fault::Wipe(member),
        14 => Fault::DeleteClaim(member),
        _ if neighbours > 1 => Fault::NodeGone(node),
        _ => Fault::NodeUp(node),
    }
}

fn wish(world: &World, chance: &mut Chance) -> Wish {
    let mut wish = world.wish.clone();
    let zones: BTreeSet<ZoneNo> = world.kube.nodes.iter().map(|node| node.zone).collect();
    let zones: Vec<ZoneNo> = zones.into_iter().collect();
    match chance.below(10) {
        0..=2 => wish.size = [1, 3, 5, 7][chance.below(4)],
        3 | 4 => wish.template += 1,
        5 => wish.paused = !wish.paused,
        6 => wish.hibernated = !wish.hibernated,
        7 => wish.leaders = chance.pick(&zones).into_iter().collect(),
        // Three zones must be left, or no layout can be had.
        8 if zones.len() > 3 && wish.drain.is_empty() => wish.drain.extend(chance.pick(&zones)),
        8 => wish.drain.clear(),
        _ => {
            let members: Vec<Id> = world.kube.claims.keys().copied().collect();
            let one = chance.pick(&members).filter(|_| wish.fenced.is_empty());
            wish.fenced = one.into_iter().collect();
        }
    }
    wish
}
