//! What is said of a cluster whose spec makes no sense.

use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt};
use kvorum_api::{KvCluster, KvClusterStatus};

use super::{Context, unix_seconds};
use crate::names::FIELD_MANAGER;
use crate::status::{Conditions, cut};
use crate::validate::Invalid;
use crate::{limits, publish};

/// A spec that the definition should have refused: said, and waited for.
pub(super) async fn say(
    cluster: &KvCluster,
    invalid: &Invalid,
    context: &Context,
) -> anyhow::Result<()> {
    let old = cluster.status.clone().unwrap_or_default();
    let generation = cluster.metadata.generation.unwrap_or_default();
    let mut conditions = Conditions::after(&old.conditions, generation, unix_seconds());
    let message = cut(&invalid.to_string(), limits::CONDITION_MESSAGE_BYTES_MAX);
    conditions.add("Ready", Some(false), "InvalidSpec", &message);
    conditions.add("Stalled", Some(true), "InvalidSpec", &message);
    for type_ in [
        "Available",
        "FaultTolerant",
        "ZoneFaultTolerant",
        "NodeFaultTolerant",
    ] {
        conditions.keep(type_);
    }
    let status = KvClusterStatus {
        observed_generation: generation,
        conditions: conditions.done(),
        ..old.clone()
    };
    context.metrics.failed("InvalidSpec");
    if status == old {
        return Ok(());
    }
    let namespace = cluster.namespace().unwrap_or_default();
    let api = Api::<KvCluster>::namespaced(context.client.clone(), &namespace);
    let intent = serde_json::json!({
        "apiVersion": "kvorum.dev/v1alpha1",
        "kind": "KvCluster",
        "metadata": { "name": cluster.name_any(), "uid": cluster.uid() },
        "status": status,
    });
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    api.patch_status(&cluster.name_any(), &parameters, &Patch::Apply(intent))
        .await?;
    let about = cluster.object_ref(&());
    for note in publish::notes(&old, &status, None) {
        context.events.publish(&about, &note).await;
    }
    Ok(())
}
