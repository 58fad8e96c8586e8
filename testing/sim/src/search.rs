//! All orders of what can happen in a small world, as far as budgets reach.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashSet, VecDeque};
use std::hash::{Hash, Hasher};

use crate::invariants::Violation;
use crate::limits::SETTLE_ONE_IN;
use crate::world::{Action, Fault, World};

/// How often something may happen on one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// The operator dies.
    pub crashes: u8,
    /// An operator plans by caches that were not told.
    pub stale: u8,
    /// Something from outside.
    pub faults: u8,
    /// A client writes.
    pub puts: u8,
    /// Time passes.
    pub waits: u8,
}

/// What a search went through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Different states.
    pub states: usize,
    /// Things that happened.
    pub steps: usize,
    /// The longest way.
    pub depth: usize,
    /// States that were let come to rest.
    pub settled: usize,
    /// All states within the budgets were seen.
    pub complete: bool,
}

/// A broken rule and the way to it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which.
    pub violation: Violation,
    /// What happened.
    pub way: Vec<Action>,
}

/// A small world to be searched.
pub struct Search {
    /// Where it begins.
    pub start: World,
    /// What may happen.
    pub budget: Budget,
    /// Faults to choose from.
    pub faults: Vec<Fault>,
    /// States at most.
    pub states_max: usize,
}

struct Place {
    world: World,
    budget: Budget,
    depth: usize,
    trail: usize,
}

fn fingerprint(world: &World, budget: Budget) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    budget.hash(&mut hasher);
    hasher.finish()
}

impl Search {
    /// Goes through everything, breadth first.
    ///
    /// # Errors
    /// The first broken rule, by a shortest way.
    pub fn run(&self) -> Result<Found, Box<Failure>> {
        let mut seen = HashSet::from([fingerprint(&self.start, self.budget)]);
        // Every state's predecessor and what led from there.
        let mut trails: Vec<(usize, Option<Action>)> = vec![(0, None)];
        let mut open = VecDeque::from([Place {
            world: self.start.clone(),
            budget: self.budget,
            depth: 0,
            trail: 0,
        }]);
        let mut found = Found {
            states: 1,
            ..Found::default()
        };
        while let Some(place) = open.pop_front() {
            if found.states.is_multiple_of(SETTLE_ONE_IN) {
                self.rest(&place, &trails)?;
                found.settled += 1;
            }
            for (action, budget) in self.choices(&place) {
                let mut world = place.world.clone();
                let outcome = advance(&mut world, &action);
                found.steps += 1;
                if let Err(violation) = outcome {
                    return Err(failure(violation, &trails, place.trail, Some(action)));
                }
                if !seen.insert(fingerprint(&world, budget)) {
                    continue;
                }
                found.states += 1;
                found.depth = found.depth.max(place.depth + 1);
                trails.push((place.trail, Some(action)));
                let trail = trails.len() - 1;
                let depth = place.depth + 1;
                open.push_back(Place {
                    world,
                    budget,
                    depth,
                    trail,
                });
                if found.states >= self.states_max {
                    return Ok(found);
                }
            }
        }
        found.complete = true;
        Ok(found)
    }

    fn rest(&self, place: &Place, trails: &[(usize, Option<Action>)]) -> Result<(), Box<Failure>> {
        let rested = place.world.clone().settle();
        rested
            .map(|_| ())
            .map_err(|violation| failure(violation, trails, place.trail, None))
    }

    fn choices(&self, place: &Place) -> Vec<(Action, Budget)> {
        let (world, budget) = (&place.world, place.budget);
        let mut choices = vec![(Action::Control, budget), (Action::Heartbeat, budget)];
        for (operator, is) in world.operators.iter().enumerate() {
            if is.pending.is_empty() {
                choices.push((
                    Action::Look {
                        operator,
                        fresh: true,
                    },
                    budget,
                ));
                if let Some(stale) = budget.stale.checked_sub(1) {
                    let budget = Budget { stale, ..budget };
                    choices.push((
                        Action::Look {
                            operator,
                            fresh: false,
                        },
                        budget,
                    ));
                }
                continue;
            }
            choices.push((Action::Write { operator }, budget));
            if let Some(crashes) = budget.crashes.checked_sub(1) {
                choices.push((Action::Crash { operator }, Budget { crashes, ..budget }));
            }
        }
        if let Some(puts) = budget.puts.checked_sub(1) {
            choices.push((Action::Put, Budget { puts, ..budget }));
        }
        if let Some(waits) = budget.waits.checked_sub(1) {
            choices.push((Action::Wait(40), Budget { waits, ..budget }));
        }
        if let Some(faults) = budget.faults.checked_sub(1) {
            let budget = Budget { faults, ..budget };
            choices.extend(
                self.faults
                    .iter()
                    .map(|fault| (Action::Fault(fault.clone()), budget)),
            );
        }
        choices
    }
}

/// Lets something happen; writes that change nothing are one with the next that does.
fn advance(world: &mut World, action: &Action) -> Result<(), Violation> {
    let Action::Write { operator } = action else {
        return world.happen(action);
    };
    loop {
        let before = bare(world, *operator);
        world.happen(action)?;
        if world.operators[*operator].pending.is_empty() || bare(world, *operator) != before {
            return Ok(());
        }
    }
}

/// The world without what this operator is about to write.
fn bare(world: &World, operator: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.kube.hash(&mut hasher);
    world.disks.hash(&mut hasher);
    for (other, is) in world.operators.iter().enumerate() {
        if other != operator {
            is.pending.hash(&mut hasher);
        }
    }
    hasher.finish()
}

fn failure(
    violation: Violation,
    trails: &[(usize, Option<Action>)],
    mut at: usize,
    last: Option<Action>,
) -> Box<Failure> {
    let mut way: Vec<Action> = last.into_iter().collect();
    while let Some((before, Some(action))) = trails.get(at) {
        way.push(action.clone());
        at = *before;
    }
    way.reverse();
    Box::new(Failure { violation, way })
}
