//! Goal: what a planner was told can be written down and read back, and the planner decides the same on it.
//! Method: worlds in which members come, go and are lost; what is seen after every round.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_plan::observed::UnixSeconds;
use kvorum_plan::{Observed, Spec, plan};
use kvorum_sim::scenarios::{born, resized, retemplated};
use kvorum_sim::{Action, Fault, World};

const ROUNDS: usize = 30;

fn reads_back(mut world: World) {
    for _ in 0..ROUNDS {
        let (observed, spec) = (world.clone().view(0), world.wish.spec());
        let told = serde_json::to_string(&(&observed, &spec)).unwrap();
        let read: (Observed, Spec) = serde_json::from_str(&told).unwrap();
        assert_eq!(read, (observed, spec), "{told}");
        let now = UnixSeconds(world.now);
        assert_eq!(plan(&read.0, &read.1, now), world.plan_now());
        world.round(0).unwrap();
    }
}

#[test]
fn what_was_seen_reads_back_as_it_was() {
    let mut lossy = born(3, 1);
    lossy.happen(&Action::Fault(Fault::Wipe(2))).unwrap();
    for world in [
        lossy.clone(),
        resized(lossy, 5),
        resized(born(5, 1), 1),
        retemplated(born(3, 1), true),
    ] {
        reads_back(world);
    }
}
