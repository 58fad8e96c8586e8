//! Faults one after the other, drawn from a seed: kills, pauses, cuts, and what an operator does.

use crate::World;
use crate::limits::FAULT_MAX;
use crate::rules::{Cut, one_way, stations};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What can be done to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    KillLeader,
    KillAny,
    KillAll,
    PauseLeader,
    PauseAny,
    CutLeaderOff,
    CutAnyOff,
    CutOneLink,
    /// It is heard and hears nobody.
    DeafenLeader,
    MoveLeader,
    /// Removed for good, and a new one added.
    ReplaceAny,
}

const FAULTS: [Fault; 11] = [
    Fault::KillLeader,
    Fault::KillAny,
    Fault::KillAll,
    Fault::PauseLeader,
    Fault::PauseAny,
    Fault::CutLeaderOff,
    Fault::CutAnyOff,
    Fault::CutOneLink,
    Fault::DeafenLeader,
    Fault::MoveLeader,
    Fault::ReplaceAny,
];

/// Whoever does it.
pub struct Faults {
    random: StdRng,
    done: BTreeMap<Fault, u64>,
}

impl Faults {
    /// Everything follows from the seed, and from who leads when.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            done: BTreeMap::new(),
        }
    }

    /// What was done, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let one = |(fault, n): (&Fault, &u64)| format!("{fault:?} {n}");
        self.done.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    async fn a_while(&mut self) {
        let most = u64::try_from(FAULT_MAX.as_millis()).unwrap_or(0);
        let time = Duration::from_millis(self.random.random_range(most / 5..=most));
        tokio::time::sleep(time).await;
    }

    /// One fault after the other for this long; in the end all is whole again.
    ///
    /// # Panics
    /// If the cluster does not come back.
    pub async fn run(&mut self, world: &mut World, time: Duration) {
        let end = Instant::now() + time;
        // Each of them comes once before any comes again.
        let mut turn = self.random.random_range(0..FAULTS.len());
        while Instant::now() < end {
            turn += 3;
            let fault = FAULTS[turn % FAULTS.len()];
            *self.done.entry(fault).or_default() += 1;
            self.one(world, fault).await;
            self.a_while().await;
        }
        world.cluster.wait_ready().await;
        world.agreed().await;
    }

    async fn one(&mut self, world: &mut World, fault: Fault) {
        let any = self.random.random_range(0..world.stations.len());
        let leader = world.leaders().await.first().map_or(any, |(at, _)| *at);
        match fault {
            Fault::KillLeader => self.kill(world, &[leader]).await,
            Fault::KillAny => self.kill(world, &[any]).await,
            Fault::KillAll => {
                let all: Vec<usize> = (0..world.stations.len()).collect();
                self.kill(world, &all).await;
            }
            Fault::PauseLeader => self.pause(world, leader).await,
            Fault::PauseAny => self.pause(world, any).await,
            Fault::CutLeaderOff => self.cut(world, leader, usize::MAX).await,
            Fault::CutAnyOff => self.cut(world, any, usize::MAX).await,
            Fault::CutOneLink => self.cut(world, leader, 1).await,
            Fault::DeafenLeader => self.deafen(world, leader).await,
            Fault::ReplaceAny => world.replace(any).await,
            Fault::MoveLeader => world.cluster.move_leader(any).await,
        }
    }

    async fn kill(&mut self, world: &mut World, members: &[usize]) {
        for at in members {
            world.cluster.members[*at].kill();
        }
        self.a_while().await;
        for at in members {
            let started = world.cluster.members[*at].start();
            started.unwrap_or_else(|e| panic!("a member does not start again: {e}"));
        }
    }

    async fn pause(&mut self, world: &World, at: usize) {
        world.cluster.members[at].pause();
        self.a_while().await;
        world.cluster.members[at].resume();
    }

    async fn deafen(&mut self, world: &World, at: usize) {
        let own = &world.stations[at];
        let others = world.stations.iter().filter(|name| *name != own);
        let cuts: Vec<Cut> = others.map(|name| one_way(name, own)).collect();
        world.network.cut(&cuts);
        self.a_while().await;
        world.network.heal();
    }

    /// Cuts up to `most` of a member's links to other members.
    async fn cut(&mut self, world: &World, at: usize, most: usize) {
        let own = &world.stations[at];
        let others = world.stations.iter().filter(|name| *name != own);
        let cuts: Vec<Cut> = others
            .take(most)
            .flat_map(|name| stations(own, name))
            .collect();
        world.network.cut(&cuts);
        self.a_while().await;
        world.network.heal();
    }
}
