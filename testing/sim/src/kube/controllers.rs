//! What Kubernetes does by itself: pods for StatefulSets, places for pods, ends of what is deleted.

use super::{Kube, Pod};
use crate::raft::{Id, ZoneNo};

/// What the controllers need to know beside the objects.
pub struct Surroundings<'a> {
    /// The time.
    pub now: i64,
    /// Zones that nobody outside reaches.
    pub cut: &'a dyn Fn(ZoneNo) -> bool,
    /// Whether a template's pods start.
    pub starts: &'a dyn Fn(u32) -> bool,
    /// Whether a member's process says that it serves.
    pub serves: &'a dyn Fn(Id) -> bool,
    /// Whether a member's process ended because it was removed.
    pub ended: &'a dyn Fn(Id) -> bool,
}

/// What a look of the controllers has ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// Claims whose disks are gone, by UID.
    pub claims: Vec<u32>,
    /// Members whose process ended.
    pub processes: Vec<Id>,
}

impl Kube {
    /// One look of all controllers at these members.
    pub fn control(&mut self, members: &[Id], around: &Surroundings<'_>, uids: &mut u32) -> Ended {
        let mut ended = Ended::default();
        for id in members {
            self.end_pod(*id, around, &mut ended);
            self.end_claim(*id, &mut ended);
            self.start_pod(*id, around, uids);
            self.run_pod(*id, around);
        }
        ended
    }

    fn end_pod(&mut self, id: Id, around: &Surroundings<'_>, ended: &mut Ended) {
        let set = self.sets.get(&id).filter(|set| set.running);
        let Some(pod) = self.pods.get_mut(&id) else {
            return;
        };
        let wanted = set.is_some_and(|set| set.uid == pod.owner);
        let gone_node = pod
            .node
            .and_then(|node| self.nodes.get(usize::from(node)))
            .is_some_and(|node| !node.exists);
        if !wanted || gone_node {
            pod.terminating = true;
        }
        // Only its node can say that it has ended.
        let reached = pod.node.is_none_or(|node| {
            let zone = self.nodes.get(usize::from(node)).map(|node| node.zone);
            gone_node
                || (self
                    .nodes
                    .get(usize::from(node))
                    .is_some_and(|node| node.up)
                    && !zone.is_some_and(|zone| (around.cut)(zone)))
        });
        if pod.terminating && reached {
            self.pods.remove(&id);
            ended.processes.push(id);
        }
    }

    fn end_claim(&mut self, id: Id, ended: &mut Ended) {
        let going = self.claims.get(&id).filter(|claim| claim.terminating);
        if let Some(claim) = going
            && self.pods.get(&id).is_none_or(|pod| pod.node.is_none())
        {
            ended.claims.push(claim.uid);
            self.claims.remove(&id);
        }
    }

    fn start_pod(&mut self, id: Id, around: &Surroundings<'_>, uids: &mut u32) {
        let Some(set) = self.sets.get_mut(&id) else {
            return;
        };
        set.settled = true;
        if !set.running || self.pods.contains_key(&id) {
            return;
        }
        *uids += 1;
        let pod = Pod {
            uid: *uids,
            owner: set.uid,
            node: None,
            template: set.template,
            up: false,
            ready: false,
            terminating: false,
            created: around.now,
        };
        self.pods.insert(id, pod);
    }

    /// Finds a node for a pod that has a volume, starts its process, probes it.
    fn run_pod(&mut self, id: Id, around: &Surroundings<'_>) {
        let Some(pod) = self.pods.get(&id) else {
            return;
        };
        if pod.node.is_none() {
            let node = self.place(id);
            let Some(pod) = self.pods.get_mut(&id) else {
                return;
            };
            pod.node = node;
            if let (Some(node), Some(claim)) = (node, self.claims.get_mut(&id)) {
                claim.node = Some(node);
            }
            return;
        }
        let node_up = pod.node.is_some_and(|node| self.node_up(node));
        let cut = pod
            .node
            .and_then(|node| self.nodes.get(usize::from(node)))
            .is_some_and(|node| (around.cut)(node.zone));
        let starts = (around.starts)(pod.template.asked) && !(around.ended)(id);
        let serves = (around.serves)(id);
        let Some(pod) = self.pods.get_mut(&id) else {
            return;
        };
        if !cut {
            pod.up = node_up && starts && !pod.terminating;
        }
        pod.ready = pod.up && serves && node_up && !cut;
    }

    fn place(&self, id: Id) -> Option<u8> {
        let claim = self.claims.get(&id).filter(|claim| !claim.terminating)?;
        if let Some(node) = claim.node {
            return self.node_up(node).then_some(node);
        }
        let load = |node: u8| {
            let pods = self.pods.values();
            pods.filter(|pod| pod.node == Some(node)).count()
        };
        let nodes = (0..self.nodes.len()).filter_map(|node| u8::try_from(node).ok());
        nodes
            .filter(|node| self.node_up(*node))
            .filter(|node| {
                self.nodes
                    .get(usize::from(*node))
                    .is_some_and(|n| n.zone == claim.zone)
            })
            .min_by_key(|node| (load(*node), *node))
    }
}
