//! A toy Kubernetes: the objects of one cluster. The same type is the truth and what an operator's caches hold.

mod controllers;

pub use controllers::{Ended, Surroundings};

use std::collections::BTreeMap;

use crate::raft::{Id, ZoneNo};

/// What a pod is made from: what the user asks for, and what the operator adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Template {
    /// Of the spec.
    pub asked: u32,
    /// Of the operator's version.
    pub operator: u32,
}

/// The KvCluster's status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Status {
    /// Identity and zones are written.
    pub reserved: bool,
    /// The latch.
    pub bootstrapped: bool,
    /// Losses that were seen: which, since when.
    pub suspicions: BTreeMap<Id, (&'static str, i64)>,
    /// When members were replaced.
    pub replacements: Vec<i64>,
}

/// A volume claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Which one of this name.
    pub uid: u32,
    /// Its member's zone.
    pub zone: ZoneNo,
    /// Annotation: how far the cluster came, 0 to 2.
    pub stage: u8,
    /// Annotation: the store.
    pub store: Option<u32>,
    /// Annotation: since when its member is out.
    pub retired: Option<i64>,
    /// Being deleted.
    pub terminating: bool,
    /// Where its disk is.
    pub node: Option<u8>,
}

/// A StatefulSet of one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Set {
    /// Which one of this name.
    pub uid: u32,
    /// Wants a pod.
    pub running: bool,
    /// For the next pod.
    pub template: Template,
    /// Its controller has seen the newest template.
    pub settled: bool,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pod {
    /// Which one of this name.
    pub uid: u32,
    /// The StatefulSet that made it.
    pub owner: u32,
    /// Where it runs; none: no node takes it.
    pub node: Option<u8>,
    /// What it was made from.
    pub template: Template,
    /// The process is up.
    pub up: bool,
    /// Kubernetes takes it for ready.
    pub ready: bool,
    /// Being deleted.
    pub terminating: bool,
    /// When it was created.
    pub created: i64,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// Its zone.
    pub zone: ZoneNo,
    /// It runs.
    pub up: bool,
    /// It is part of Kubernetes.
    pub exists: bool,
}

/// All objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Kube {
    /// Of the KvCluster.
    pub status: Status,
    /// The record object's stage.
    pub record: Option<u8>,
    /// By member.
    pub claims: BTreeMap<Id, Claim>,
    /// By member.
    pub sets: BTreeMap<Id, Set>,
    /// By member.
    pub pods: BTreeMap<Id, Pod>,
    /// By number.
    pub nodes: Vec<Node>,
    /// Pods that no eviction may take.
    pub at_least: Option<usize>,
}

/// The kinds of objects that caches hold, each with a watch of its own.
pub const KINDS: [Kind; 5] = [
    Kind::Status,
    Kind::Claims,
    Kind::Sets,
    Kind::Pods,
    Kind::Nodes,
];

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The KvCluster and the record.
    Status,
    /// Volume claims.
    Claims,
    /// StatefulSets.
    Sets,
    /// Pods.
    Pods,
    /// Nodes.
    Nodes,
}

impl Kube {
    /// Takes over what a watch of this kind tells.
    pub fn follow(&mut self, truth: &Self, kind: Kind) {
        match kind {
            Kind::Status => {
                self.status = truth.status.clone();
                self.record = truth.record;
            }
            Kind::Claims => self.claims.clone_from(&truth.claims),
            Kind::Sets => self.sets.clone_from(&truth.sets),
            Kind::Pods => {
                self.pods.clone_from(&truth.pods);
                self.at_least = truth.at_least;
            }
            Kind::Nodes => self.nodes.clone_from(&truth.nodes),
        }
    }

    /// Whether a node is there and runs.
    #[must_use]
    pub fn node_up(&self, node: u8) -> bool {
        let node = self.nodes.get(usize::from(node));
        node.is_some_and(|node| node.up && node.exists)
    }
}
