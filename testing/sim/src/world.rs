//! The whole toy world, and everything that can happen in it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::act::{Act, Look};
use crate::breakage::Breakage;
use crate::invariants::{Invariant, Violation};
use crate::kube::{KINDS, Kind, Kube, Node, Template};
use crate::raft::{Disk, Id, Members, Net, ZoneNo};
use crate::wish::Wish;

/// One operator: its caches, and what it is about to write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Operator {
    /// Objects as its watches have told.
    pub cache: Kube,
    /// The rest of a plan.
    pub pending: VecDeque<Act>,
    /// What it was made from.
    pub look: Look,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// Seconds.
    pub now: i64,
    /// The spec.
    pub wish: Wish,
    /// The operator's version.
    pub operator_version: u32,
    /// Objects as they are.
    pub kube: Kube,
    /// Data directories, by the UID of their claim.
    pub disks: BTreeMap<u32, Disk>,
    /// Zones that are cut off.
    pub cut: BTreeSet<ZoneNo>,
    /// Templates whose pods never start.
    pub bad_templates: BTreeSet<u32>,
    /// The operators.
    pub operators: Vec<Operator>,
    /// Acknowledged writes.
    pub acknowledged: BTreeSet<u32>,
    /// The newest membership that was committed anywhere.
    pub committed: Option<(usize, Arc<Members>)>,
    /// Stores that ever had a seat, by member.
    pub seated: BTreeMap<Id, u32>,
    /// How many members the cluster was born with.
    pub born_size: i32,
    /// More disks were destroyed than can be survived: only the rest is promised now.
    pub spent: bool,
    /// How often Initialize took effect.
    pub births: u32,
    /// Counts what happened from outside since the beginning.
    pub events: u32,
    /// Counts the pods that operators had made anew.
    pub stops: u32,
    /// What is broken on purpose.
    pub broken: Breakage,
    pub(crate) uids: u32,
    pub(crate) writes: u32,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// An operator looks, its caches up to date or as they are, and plans.
    Look {
        /// Which.
        operator: usize,
        /// Its watches have told everything.
        fresh: bool,
    },
    /// An operator writes once.
    Write {
        /// Which.
        operator: usize,
    },
    /// An operator dies and another takes over.
    Crash {
        /// Which.
        operator: usize,
    },
    /// One watch of an operator catches up.
    Hear {
        /// Which.
        operator: usize,
        /// What.
        kind: Kind,
    },
    /// Kubernetes' controllers look at everything.
    Control,
    /// They look at one member.
    ControlOne(Id),
    /// Members exchange messages.
    Heartbeat,
    /// They do, but this one hears nothing.
    HeartbeatWithout(Id),
    /// A client writes.
    Put,
    /// Time passes.
    Wait(i64),
    /// Something from outside.
    Fault(Fault),
}

/// What happens from outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A node loses power.
    NodeDown(u8),
    /// It comes back.
    NodeUp(u8),
    /// It is taken out of Kubernetes for good, with its disks.
    NodeGone(u8),
    /// A zone is cut off.
    Cut(ZoneNo),
    /// It is back.
    Heal(ZoneNo),
    /// A disk comes back empty.
    Wipe(Id),
    /// Somebody deletes a volume claim.
    DeleteClaim(Id),
    /// Somebody deletes a pod.
    DeletePod(Id),
    /// Another spec.
    Wish(Wish),
    /// The operator is upgraded.
    Upgrade,
}

impl World {
    /// Nodes in three zones or more, nothing else; `operators` of them run.
    #[must_use]
    pub fn new(wish: Wish, zones: ZoneNo, nodes_per_zone: u8, operators: usize) -> Self {
        let nodes = (0..zones).flat_map(|zone| {
            let node = Node {
                zone,
                up: true,
                exists: true,
            };
            std::iter::repeat_n(node, usize::from(nodes_per_zone))
        });
        let born_size = wish.size;
        let kube = Kube {
            nodes: nodes.collect(),
            ..Kube::default()
        };
        let operator = Operator {
            cache: kube.clone(),
            ..Operator::default()
        };
        Self {
            now: 1_000_000,
            wish,
            operator_version: 1,
            kube,
            disks: BTreeMap::new(),
            cut: BTreeSet::new(),
            bad_templates: BTreeSet::new(),
            operators: vec![operator; operators],
            acknowledged: BTreeSet::new(),
            committed: None,
            seated: BTreeMap::new(),
            born_size,
            spent: false,
            births: 0,
            events: 0,
            stops: 0,
            broken: Breakage::None,
            uids: 0,
            writes: 0,
        }
    }

    /// Who runs, and who reaches whom.
    pub fn net(&mut self) -> Net<'_> {
        let live = self.live();
        Net {
            disks: &mut self.disks,
            live,
            cut: self.cut.clone(),
            check_stores: self.broken != Breakage::StoresUnchecked,
        }
    }

    /// Members whose process runs: their disk and zone.
    #[must_use]
    pub fn live(&self) -> BTreeMap<Id, (u32, ZoneNo)> {
        let pods = self.kube.pods.iter();
        pods.filter_map(|(id, pod)| {
            let node = pod.node.filter(|node| pod.up && self.kube.node_up(*node))?;
            let claim = self.kube.claims.get(id)?;
            let disk = self.disks.get(&claim.uid)?;
            let zone = self.kube.nodes.get(usize::from(node))?.zone;
            (!disk.told_removed).then_some((*id, (claim.uid, zone)))
        })
        .collect()
    }

    /// Lets something happen; tells what must not have.
    ///
    /// # Errors
    /// The invariant that does not hold any more.
    pub fn happen(&mut self, action: &Action) -> Result<(), Violation> {
        match action {
            Action::Look { operator, fresh } => {
                if *fresh {
                    KINDS.iter().for_each(|kind| self.hear(*operator, *kind));
                }
                self.look(*operator)?;
            }
            Action::Write { operator } => self.write(*operator)?,
            Action::Crash { operator } => {
                let operator = &mut self.operators[*operator];
                operator.pending.clear();
                operator.look = Look::default();
            }
            Action::Hear { operator, kind } => self.hear(*operator, *kind),
            Action::Control => {
                let mut ids: BTreeSet<Id> = self.kube.sets.keys().copied().collect();
                ids.extend(self.kube.pods.keys());
                ids.extend(self.kube.claims.keys());
                self.control(&ids.into_iter().collect::<Vec<_>>());
            }
            Action::ControlOne(id) => self.control(&[*id]),
            Action::Heartbeat => self.net().tick(&|_| true),
            Action::HeartbeatWithout(deaf) => {
                self.events += 1;
                self.net().tick(&|id| id != *deaf);
            }
            Action::Put => self.put(),
            Action::Wait(seconds) => self.now += seconds,
            Action::Fault(fault) => {
                self.events += 1;
                self.suffer(fault);
            }
        }
        self.note_committed();
        self.check()
    }

    fn hear(&mut self, operator: usize, kind: Kind) {
        let truth = &self.kube;
        self.operators[operator].cache.follow(truth, kind);
    }

    fn control(&mut self, ids: &[Id]) {
        let serving: BTreeSet<Id> = ids.iter().copied().filter(|id| self.serves(*id)).collect();
        let ended: BTreeSet<Id> = ids
            .iter()
            .copied()
            .filter(|id| self.told_removed(*id))
            .collect();
        let (cut, bad) = (self.cut.clone(), self.bad_templates.clone());
        let around = crate::kube::Surroundings {
            now: self.now,
            cut: &|zone| cut.contains(&zone),
            starts: &|template| !bad.contains(&template),
            serves: &|id| serving.contains(&id),
            ended: &|id| ended.contains(&id),
        };
        let mut uids = self.uids;
        let over = self.kube.control(ids, &around, &mut uids);
        self.uids = uids;
        for uid in over.claims {
            self.disks.remove(&uid);
        }
        self.stop_the_dead();
        // A directory is made by the first process that finds it empty.
        for (id, claim) in &self.kube.claims {
            let up = self.kube.pods.get(id).is_some_and(|pod| pod.up);
            if up && !self.disks.contains_key(&claim.uid) {
                self.uids += 1;
                self.disks.insert(claim.uid, Disk::empty(*id, self.uids));
            }
        }
    }

    /// What was in the memory of processes that do not run is gone.
    fn stop_the_dead(&mut self) {
        let running: BTreeSet<u32> = self.live().values().map(|(uid, _)| *uid).collect();
        for (uid, disk) in &mut self.disks {
            if !running.contains(uid) {
                disk.stop();
            }
        }
    }

    fn told_removed(&self, id: Id) -> bool {
        let disk = self
            .kube
            .claims
            .get(&id)
            .and_then(|claim| self.disks.get(&claim.uid));
        disk.is_some_and(|disk| disk.told_removed)
    }

    /// Whether a member's process would pass its readiness probe.
    #[must_use]
    pub fn serves(&mut self, id: Id) -> bool {
        let net = self.net();
        let Some(disk) = net.disk(id) else {
            return false;
        };
        let leader = if disk.leads { Some(id) } else { disk.follows };
        leader.is_some_and(|leader| net.confirmed(leader) && net.lag(leader, id) <= 1)
    }

    fn put(&mut self) {
        self.writes += 1;
        let write = self.writes;
        let mut net = self.net();
        let Some(leader) = net.leader() else { return };
        if net.write(leader, write) {
            self.acknowledged.insert(write);
        }
    }

    fn suffer(&mut self, fault: &Fault) {
        match fault {
            Fault::NodeDown(node) | Fault::NodeUp(node) => {
                if let Some(node) = self.kube.nodes.get_mut(usize::from(*node)) {
                    node.up = matches!(fault, Fault::NodeUp(_));
                }
                self.end_pods_of_dead_nodes();
            }
            Fault::NodeGone(node) => {
                if let Some(node) = self.kube.nodes.get_mut(usize::from(*node)) {
                    node.up = false;
                    node.exists = false;
                }
                let lost = self
                    .kube
                    .claims
                    .values()
                    .filter(|claim| claim.node == Some(*node));
                for claim in lost {
                    self.disks.remove(&claim.uid);
                }
                self.end_pods_of_dead_nodes();
            }
            Fault::Cut(zone) => drop(self.cut.insert(*zone)),
            Fault::Heal(zone) => drop(self.cut.remove(zone)),
            Fault::Wipe(id) => {
                if let Some(claim) = self.kube.claims.get(id)
                    && let Some(disk) = self.disks.get_mut(&claim.uid)
                {
                    self.uids += 1;
                    *disk = Disk::empty(*id, self.uids);
                }
            }
            Fault::DeleteClaim(id) => {
                if let Some(claim) = self.kube.claims.get_mut(id) {
                    claim.terminating = true;
                }
            }
            Fault::DeletePod(id) => {
                if let Some(pod) = self.kube.pods.get_mut(id) {
                    pod.terminating = true;
                    pod.up = false;
                }
            }
            Fault::Wish(wish) => self.wish = wish.clone(),
            Fault::Upgrade => self.operator_version += 1,
        }
        self.stop_the_dead();
    }

    fn end_pods_of_dead_nodes(&mut self) {
        let nodes = self.kube.nodes.clone();
        for pod in self.kube.pods.values_mut() {
            let node = pod.node.and_then(|node| nodes.get(usize::from(node)));
            if node.is_some_and(|node| !node.up) {
                pod.up = false;
                pod.ready = false;
            }
        }
    }

    /// What the operator would give a new pod now.
    #[must_use]
    pub fn template(&self) -> Template {
        Template {
            asked: self.wish.template,
            operator: self.operator_version,
        }
    }

    /// A violation, with where it happened.
    #[must_use]
    pub fn violated(&self, invariant: Invariant, words: String) -> Violation {
        Violation { invariant, words }
    }
}
