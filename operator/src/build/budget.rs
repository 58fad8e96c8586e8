//! The disruption budget: drains never take a quorum away.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::owned;
use crate::validate::ValidCluster;

/// So many pods must stay available.
#[must_use]
pub fn budget(cluster: &ValidCluster, at_least: usize) -> PodDisruptionBudget {
    let names = &cluster.names;
    PodDisruptionBudget {
        metadata: owned(cluster, names.cluster.clone(), names.labels()),
        spec: Some(PodDisruptionBudgetSpec {
            min_available: Some(IntOrString::Int(
                i32::try_from(at_least).unwrap_or(i32::MAX),
            )),
            selector: Some(LabelSelector {
                match_labels: Some(names.selector()),
                match_expressions: None,
            }),
            // The one broken pod may go while quorum holds; nothing may while it is lost.
            unhealthy_pod_eviction_policy: Some("IfHealthyBudget".to_owned()),
            max_unavailable: None,
        }),
        status: None,
    }
}
