//! Where searches and walks begin.

use crate::wish::Wish;
use crate::world::World;

/// A cluster of this size that was born and is at rest, over three zones with two nodes each.
///
/// # Panics
/// If it is not born: then nothing else makes sense.
#[must_use]
pub fn born(size: i32, operators: usize) -> World {
    born_over(size, 3, operators)
}

/// The same over as many zones.
///
/// # Panics
/// As for [`born`].
#[must_use]
pub fn born_over(size: i32, zones: u8, operators: usize) -> World {
    let mut world = World::new(Wish::of(size), zones, 2, operators);
    let rounds = world.settle();
    assert!(
        rounds.is_ok(),
        "a cluster of {size} is not born: {rounds:?}"
    );
    for operator in 0..operators {
        let truth = world.kube.clone();
        world.operators[operator].cache = truth;
    }
    world.events = 0;
    world.stops = 0;
    world
}

/// Asks for another size.
#[must_use]
pub fn resized(mut world: World, size: i32) -> World {
    world.wish.size = size;
    world
}

/// Asks for another template; a bad one never starts.
#[must_use]
pub fn retemplated(mut world: World, bad: bool) -> World {
    world.wish.template += 1;
    if bad {
        world.bad_templates.insert(world.wish.template);
    }
    world
}
