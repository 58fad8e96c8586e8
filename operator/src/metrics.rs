//! Every metric of the operator: the only place with names.
//!
//! The names of the reconcile metrics are those of Go's controller-runtime, so that dashboards carry over.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use kvorum_plan::operation::Gate;

mod facts;
mod labels;

pub use facts::{ClusterNumbers, Looked, Part};

use labels::{
    CONTROLLER, ClusterLabels, ControllerLabels, GateLabels, LeaseLabels, OperationLabels,
    PartLabels, ReasonLabels, ResultLabels,
};

/// Bounds of how long a look takes, in seconds; one of them is the goal.
const LOOK_BOUNDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
];

/// All metrics.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ResultLabels, Counter>,
    errors: Family<ControllerLabels, Counter>,
    error_reasons: Family<ReasonLabels, Counter>,
    seconds: Family<ControllerLabels, Histogram>,
    parts: Family<PartLabels, Histogram>,
    active: Family<ControllerLabels, Gauge>,
    leader: Family<LeaseLabels, Gauge>,
    initializes: Counter,
    deferred: Family<GateLabels, Counter>,
    operations: Family<OperationLabels, Histogram>,
    replacements: Counter,
    voters: Family<ClusterLabels, Gauge>,
    can_lose: Family<ClusterLabels, Gauge>,
    zone_can_lose: Family<ClusterLabels, Gauge>,
    ready: Family<ClusterLabels, Gauge>,
    certificate_expiry: Family<ClusterLabels, Gauge>,
    undecodable: Gauge<u64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let mut metrics = Self {
            reconciles: Family::default(),
            errors: Family::default(),
            error_reasons: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(LOOK_BOUNDS)),
            parts: Family::new_with_constructor(|| Histogram::new(LOOK_BOUNDS)),
            active: Family::default(),
            leader: Family::default(),
            initializes: Counter::default(),
            deferred: Family::default(),
            operations: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(1.0, 2.0, 14))
            }),
            replacements: Counter::default(),
            voters: Family::default(),
            can_lose: Family::default(),
            zone_can_lose: Family::default(),
            ready: Family::default(),
            certificate_expiry: Family::default(),
            undecodable: Gauge::default(),
            registry: Registry::default(),
        };
        metrics.register(&mut registry);
        metrics.registry = registry;
        metrics
    }
}

impl Metrics {
    fn register(&self, registry: &mut Registry) {
        let runtime = registry.sub_registry_with_prefix("controller_runtime");
        runtime.register(
            "reconcile",
            "Looks at KvClusters, by how they ended",
            self.reconciles.clone(),
        );
        runtime.register("reconcile_errors", "Looks that failed", self.errors.clone());
        runtime.register_with_unit(
            "reconcile_time",
            "How long a look took",
            Unit::Seconds,
            self.seconds.clone(),
        );
        runtime.register("active_workers", "Looks under way", self.active.clone());
        registry.register(
            "leader_election_master_status",
            "Whether this process is the one that acts",
            self.leader.clone(),
        );
        let kvorum = registry.sub_registry_with_prefix("kvorum");
        kvorum.register(
            "operator_errors",
            "Failures, by reason",
            self.error_reasons.clone(),
        );
        kvorum.register(
            "operator_initializes",
            "How often Initialize was called by this process",
            self.initializes.clone(),
        );
        kvorum.register(
            "operator_undecodable_objects",
            "KvClusters that this version cannot read",
            self.undecodable.clone(),
        );
        kvorum.register(
            "operator_gate_deferred",
            "Looks that found an operation waiting at a gate, by gate",
            self.deferred.clone(),
        );
        kvorum.register_with_unit(
            "operator_look_part",
            "How long the parts of a look took",
            Unit::Seconds,
            self.parts.clone(),
        );
        kvorum.register_with_unit(
            "operator_operation",
            "How long operations took, by type",
            Unit::Seconds,
            self.operations.clone(),
        );
        kvorum.register(
            "operator_replacements",
            "Members that took the place of lost ones",
            self.replacements.clone(),
        );
        self.register_clusters(kvorum);
    }

    fn register_clusters(&self, kvorum: &mut Registry) {
        kvorum.register("cluster_voters", "Voters of a cluster", self.voters.clone());
        kvorum.register(
            "cluster_can_lose_members",
            "How many more members a cluster may lose and go on",
            self.can_lose.clone(),
        );
        kvorum.register(
            "cluster_zone_can_lose",
            "Whether a cluster may lose any one zone and go on",
            self.zone_can_lose.clone(),
        );
        kvorum.register(
            "cluster_ready",
            "Whether a cluster is Ready",
            self.ready.clone(),
        );
        kvorum.register(
            "cluster_certificate_expiry_timestamp_seconds",
            "When the first certificate of a cluster ends; only of clusters with TLS",
            self.certificate_expiry.clone(),
        );
    }

    /// A look begins; the guard says when it ends.
    #[must_use]
    pub fn look(self: &Arc<Self>) -> Looking {
        let labels = ControllerLabels {
            controller: CONTROLLER,
        };
        self.active.get_or_create(&labels).inc();
        Looking(Arc::clone(self))
    }

    /// A look has ended.
    pub fn looked(&self, result: Looked, seconds: f64) {
        let controller = CONTROLLER;
        let result = match result {
            Looked::Success => "success",
            Looked::RequeueAfter => "requeue_after",
            Looked::Error => {
                self.errors
                    .get_or_create(&ControllerLabels { controller })
                    .inc();
                "error"
            }
        };
        self.reconciles
            .get_or_create(&ResultLabels { controller, result })
            .inc();
        self.seconds
            .get_or_create(&ControllerLabels { controller })
            .observe(seconds);
    }

    /// A part of a look has ended.
    pub fn took(&self, part: Part, time: Duration) {
        let part = part.as_str();
        self.parts
            .get_or_create(&PartLabels { part })
            .observe(time.as_secs_f64());
    }

    /// Something failed.
    pub fn failed(&self, reason: &str) {
        let reason = reason.to_owned();
        self.error_reasons
            .get_or_create(&ReasonLabels { reason })
            .inc();
    }

    /// `Initialize` was called.
    pub fn initialized(&self) {
        self.initializes.inc();
    }

    /// An operation waits at a gate.
    pub fn deferred(&self, gate: Gate) {
        let gate = gate.as_str();
        self.deferred.get_or_create(&GateLabels { gate }).inc();
    }

    /// An operation has ended.
    pub fn operated(&self, kind: &str, seconds: f64) {
        let r#type = kind.to_owned();
        let labels = OperationLabels { r#type };
        self.operations.get_or_create(&labels).observe(seconds);
    }

    /// Members were enlisted for lost ones.
    pub fn replaced(&self, members: usize) {
        self.replacements.inc_by(members as u64);
    }

    /// How many KvClusters cannot be read.
    pub fn undecodable(&self, count: u64) {
        self.undecodable.set(count);
    }

    /// Whether this process acts.
    pub fn leads(&self, lease: &str, leads: bool) {
        let name = lease.to_owned();
        self.leader
            .get_or_create(&LeaseLabels { name })
            .set(i64::from(leads));
    }

    /// The numbers of a cluster.
    pub fn cluster(&self, namespace: &str, name: &str, numbers: &ClusterNumbers) {
        let labels = ClusterLabels {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.voters
            .get_or_create(&labels)
            .set(count(numbers.voters));
        self.can_lose
            .get_or_create(&labels)
            .set(count(numbers.can_lose));
        self.zone_can_lose
            .get_or_create(&labels)
            .set(i64::from(numbers.zone_can_lose));
        self.ready
            .get_or_create(&labels)
            .set(i64::from(numbers.ready));
        match numbers.certificate_expiry {
            Some(end) => {
                self.certificate_expiry.get_or_create(&labels).set(end);
            }
            None => drop(self.certificate_expiry.remove(&labels)),
        }
    }

    /// A cluster is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        let labels = ClusterLabels {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        for family in [
            &self.voters,
            &self.can_lose,
            &self.zone_can_lose,
            &self.ready,
            &self.certificate_expiry,
        ] {
            family.remove(&labels);
        }
    }

    /// Everything as text, in the OpenMetrics format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

/// A look under way.
pub struct Looking(Arc<Metrics>);

impl Drop for Looking {
    fn drop(&mut self) {
        let labels = ControllerLabels {
            controller: CONTROLLER,
        };
        self.0.active.get_or_create(&labels).dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The series of one metric come in no order: sorted, the page can be compared.
    fn in_order(page: &str) -> String {
        let mut lines: Vec<&str> = page.lines().collect();
        for series in lines.chunk_by_mut(|a, b| a.starts_with('#') == b.starts_with('#')) {
            if !series[0].starts_with('#') {
                series.sort_unstable();
            }
        }
        lines.join("\n")
    }

    #[test]
    fn every_name_and_help_text_is_reviewed() {
        let metrics = Arc::new(Metrics::default());
        drop(metrics.look());
        metrics.looked(Looked::Success, 0.25);
        metrics.looked(Looked::Error, 0.5);
        metrics.took(Part::Members, Duration::from_millis(3));
        metrics.failed("ApplyRefused");
        metrics.initialized();
        metrics.deferred(Gate::CaughtUp);
        metrics.operated("Scale", 12.5);
        metrics.replaced(2);
        metrics.leads("kvorum-operator", true);
        let numbers = ClusterNumbers {
            voters: 3,
            can_lose: 1,
            zone_can_lose: true,
            ready: true,
            certificate_expiry: Some(1_800_000_000),
        };
        metrics.cluster("shop", "orders", &numbers);
        metrics.cluster("shop", "gone", &numbers);
        metrics.forget("shop", "gone");
        insta::assert_snapshot!(in_order(&metrics.text()));
    }
}
