//! Makes the way to a broken rule short enough to be read.

use crate::invariants::{Invariant, Violation};
use crate::world::{Action, World};

/// What these things lead to, and then rest.
fn broken(start: &World, way: &[Action]) -> Option<Violation> {
    let mut world = start.clone();
    for action in way {
        if let Err(violation) = world.happen(action) {
            return Some(violation);
        }
    }
    world.settle().err()
}

/// Leaves out what is not needed to break the same rule.
#[must_use]
pub fn shrink(start: &World, way: &[Action], rule: Invariant) -> Vec<Action> {
    let same = |way: &[Action]| broken(start, way).is_some_and(|is| is.invariant == rule);
    let mut way = way.to_vec();
    let mut chunk = way.len() / 2;
    while chunk > 0 {
        let mut at = 0;
        while at < way.len() {
            let mut shorter = way.clone();
            shorter.drain(at..(at + chunk).min(way.len()));
            if same(&shorter) {
                way = shorter;
            } else {
                at += chunk;
            }
        }
        chunk /= 2;
    }
    way
}
