//! Goal: no order of crashes, deletions and lost disks makes a cluster forget data.
//! Method: a toy Kubernetes executes plans write by write; proptest chooses where the operator dies, when
//! pods come up, and what people delete. Checked after every write: `Initialize` takes effect once in a
//! cluster's life; a disk that may have voted is never replaced by an empty one under the same ID.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::fixture::{NOW, Seen, spec};
use crate::observed::{Life, Record, Stage, StatusLatch, UnixSeconds, Volume};
use crate::placement::Assigned;
use crate::planner::plan;
use crate::steps::Step;
use crate::{ClusterId, MemberId};

#[derive(Clone, Debug)]
enum Event {
    /// The operator looks and acts, and dies after so many writes.
    Reconcile {
        writes: usize,
    },
    PodUp(u64),
    PodDown(u64),
    DeleteVolume(u64),
    WipeDisk(u64),
    WipeEveryDisk,
    AllPodsUp,
    RecreateKvCluster,
    DeleteRecord,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (0_usize..40).prop_map(|writes| Event::Reconcile { writes }),
        4 => (1_u64..=3).prop_map(Event::PodUp),
        1 => (1_u64..=3).prop_map(Event::PodDown),
        1 => (1_u64..=3).prop_map(Event::DeleteVolume),
        1 => (1_u64..=3).prop_map(Event::WipeDisk),
        1 => Just(Event::WipeEveryDisk),
        4 => Just(Event::AllPodsUp),
        1 => Just(Event::RecreateKvCluster),
        1 => Just(Event::DeleteRecord),
    ];
    prop::collection::vec(event, 1..40)
}

/// A disk: whose store, and whether it was part of the cluster of this number.
#[derive(Clone, Debug)]
struct Disk {
    store: String,
    born: Option<u32>,
}

struct World {
    seen: Seen,
    disks: BTreeMap<MemberId, Disk>,
    up: BTreeMap<MemberId, bool>,
    stores: u32,
    /// How often `Initialize` took effect, by cluster ID.
    births: BTreeMap<ClusterId, u32>,
    next_id: u64,
}

impl World {
    fn new() -> Self {
        Self {
            seen: Seen::nothing(3),
            disks: BTreeMap::new(),
            up: BTreeMap::new(),
            stores: 0,
            births: BTreeMap::new(),
            next_id: 1,
        }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Reconcile { writes } => self.reconcile(*writes),
            Event::PodUp(id) => drop(self.up.insert(MemberId(*id), true)),
            Event::PodDown(id) => drop(self.up.insert(MemberId(*id), false)),
            Event::DeleteVolume(id) => {
                self.seen.observed.volumes.remove(&MemberId(*id));
                self.disks.remove(&MemberId(*id));
            }
            Event::WipeDisk(id) => {
                let store = self.fresh_store();
                if let Some(disk) = self.disks.get_mut(&MemberId(*id)) {
                    *disk = Disk { store, born: None };
                }
            }
            Event::WipeEveryDisk => (1..=3).for_each(|id| self.happen(&Event::WipeDisk(id))),
            Event::AllPodsUp => (1..=3).for_each(|id| self.happen(&Event::PodUp(id))),
            Event::RecreateKvCluster => self.seen.forget_the_kvcluster(),
            Event::DeleteRecord => self.seen.observed.record = None,
        }
    }

    fn fresh_store(&mut self) -> String {
        self.stores += 1;
        format!("store-{}", self.stores)
    }

    /// Members answer from their disks.
    fn look(&mut self) {
        self.seen.observed.members.clear();
        for (id, disk) in &self.disks {
            if self.up.get(id).copied().unwrap_or(false) {
                let life = if disk.born.is_some() {
                    Life::Follower
                } else {
                    Life::Waiting
                };
                self.seen.answers(id.0, life);
                let member = self.seen.observed.members.get_mut(id).unwrap();
                member
                    .report
                    .as_mut()
                    .unwrap()
                    .store_uuid
                    .clone_from(&disk.store);
            }
        }
        self.next_id += 1;
        self.seen.observed.fresh_cluster_id = ClusterId::new(self.next_id).unwrap();
    }

    /// One look, then writes until the operator dies.
    fn reconcile(&mut self, writes: usize) {
        self.look();
        let plan = plan(&self.seen.observed, &spec(3), NOW);
        let mut left = writes;
        for step in plan.steps {
            if !self.execute(&step, &mut left) {
                return;
            }
        }
    }

    /// Executes a step write by write; false once the operator is dead or the step failed.
    fn execute(&mut self, step: &Step, left: &mut usize) -> bool {
        let mut alive = || {
            let alive = *left > 0;
            *left = left.saturating_sub(1);
            alive
        };
        match step {
            Step::Reserve { reservation, stage } => {
                if !alive() {
                    return false;
                }
                self.seen.observed.status = StatusLatch {
                    cluster_id: Some(reservation.cluster_id),
                    bootstrapped: *stage == Stage::Bootstrapped,
                    zones: reservation.zones.clone(),
                    ..StatusLatch::default()
                };
                if !alive() {
                    return false;
                }
                self.seen.observed.record = Some(Record {
                    reservation: reservation.clone(),
                    stage: *stage,
                });
                true
            }
            Step::SyncServices { .. } | Step::ApplyMember { .. } => true,
            Step::CreateVolume(member) => {
                if !alive() {
                    return false;
                }
                self.create_volume(member);
                true
            }
            Step::Latch { stage, stores } => {
                for id in 1..=3 {
                    if !alive() {
                        return false;
                    }
                    if let Some(volume) = self.seen.observed.volumes.get_mut(&MemberId(id)) {
                        volume.stage = volume.stage.max(*stage);
                        if let Some(store) = stores.get(&MemberId(id)) {
                            volume.store_uuid = Some(store.clone());
                        }
                    }
                }
                if !alive() {
                    return false;
                }
                if let Some(record) = &mut self.seen.observed.record {
                    record.stage = record.stage.max(*stage);
                }
                self.seen.observed.status.bootstrapped |= *stage == Stage::Bootstrapped;
                true
            }
            Step::Initialize { via, stores } => alive() && self.initialize(*via, stores),
            // Succeeds if a quorum of the disks carries the cluster.
            Step::Confirm { .. } => {
                let carriers = self.disks.iter().filter(|(id, disk)| {
                    disk.born.is_some() && self.up.get(id).copied().unwrap_or(false)
                });
                carriers.count() >= 2
            }
            // What is done to a cluster that lives is checked against a toy Raft, elsewhere.
            Step::Enlist { .. }
            | Step::AddLearner { .. }
            | Step::RemoveLearner { .. }
            | Step::ChangeVoters { .. }
            | Step::TransferLeader { .. }
            | Step::Retire { .. }
            | Step::DeleteVolume { .. }
            | Step::Restart { .. } => true,
        }
    }

    fn create_volume(&mut self, member: &Assigned) {
        let id = member.id;
        let reservation = self
            .seen
            .observed
            .record
            .as_ref()
            .unwrap()
            .reservation
            .clone();
        let already_born = self
            .births
            .get(&reservation.cluster_id)
            .copied()
            .unwrap_or(0)
            > 0;
        assert!(
            !already_born,
            "an empty disk for {id} of a cluster that is alive"
        );
        let store = self.fresh_store();
        self.disks.insert(id, Disk { store, born: None });
        let volume = Volume {
            reservation,
            stage: Stage::Reserved,
            zone: member.zone.clone(),
            store_uuid: None,
            retired: None,
            terminating: false,
            node_gone: false,
            problem: None,
        };
        assert!(self.seen.observed.volumes.insert(id, volume).is_none());
    }

    fn initialize(&mut self, via: MemberId, stores: &BTreeMap<MemberId, String>) -> bool {
        assert_eq!(via, MemberId(1));
        let cluster_id = self.seen.observed.status.cluster_id.unwrap();
        for (id, store) in stores {
            let disk = &self.disks[id];
            assert_eq!(&disk.store, store, "the stores named are the stores there");
            assert_eq!(disk.born, None, "only empty stores are initialized");
        }
        let births = self.births.entry(cluster_id).or_insert(0);
        *births += 1;
        assert_eq!(*births, 1, "a second Initialize took effect");
        let birth = *births;
        self.disks
            .values_mut()
            .for_each(|disk| disk.born = Some(birth));
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn a_cluster_is_born_once_and_never_forgets(events in events()) {
        let mut world = World::new();
        for event in &events {
            world.happen(event);
        }
    }

    /// Whatever the crashes, if nobody takes volumes or disks away, the cluster comes to life.
    #[test]
    fn any_row_of_crashes_converges(deaths in prop::collection::vec(0_usize..20, 0..12)) {
        let mut world = World::new();
        for writes in deaths {
            world.reconcile(writes);
            (1..=3).for_each(|id| world.happen(&Event::PodUp(id)));
        }
        for _ in 0..3 {
            world.reconcile(usize::MAX);
            (1..=3).for_each(|id| world.happen(&Event::PodUp(id)));
        }
        world.look();
        let last = plan(&world.seen.observed, &spec(3), UnixSeconds(NOW.0));
        prop_assert_eq!(last.steps.len(), 4, "{:?}", last);
        prop_assert!(world.seen.observed.status.bootstrapped);
        prop_assert_eq!(world.births.values().sum::<u32>(), 1);
    }
}
