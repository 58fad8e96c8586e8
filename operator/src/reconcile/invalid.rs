//! What is said of a cluster whose spec makes no sense.

use kube::{Resource, ResourceExt};
use kvorum_api::{KvCluster, KvClusterStatus};

use super::{Context, unix_seconds};
use crate::act::write_status;
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
    let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
    let uid = cluster.uid().unwrap_or_default();
    write_status(&context.client, (&namespace, &name, &uid), &status).await?;
    let about = cluster.object_ref(&());
    for note in publish::notes(&old, &status, None) {
        context.events.publish(&about, &note).await;
    }
    Ok(())
}
