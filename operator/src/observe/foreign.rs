//! Names we need that somebody else has: never taken over.

use std::collections::BTreeSet;

use futures::future::join_all;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt};
use kvorum_plan::MemberId;

use crate::caches::{Caches, Kept, Ours, belongs};
use crate::names::{FIELD_MANAGER, MANAGED_BY_LABEL};
use crate::validate::ValidCluster;

/// Finds them, as "Service orders". Objects in our caches are labelled as ours; only the others are asked
/// for, which in the life of a cluster is once.
pub(super) async fn find(
    client: &Client,
    caches: &Caches,
    valid: &ValidCluster,
    claims: &[PersistentVolumeClaim],
    members: &BTreeSet<MemberId>,
) -> Result<Vec<String>, kube::Error> {
    let objects = valid.names.objects(members.iter().copied());
    let asked = objects.iter().map(|(kind, name)| async move {
        let taken = match *kind {
            "StatefulSet" => taken(client, &caches.statefulsets, valid, name).await,
            "Service" => taken(client, &caches.services, valid, name).await,
            "PodDisruptionBudget" => taken(client, &caches.budgets, valid, name).await,
            "ConfigMap" => taken(client, &caches.records, valid, name).await,
            _ if claims.iter().any(|claim| claim.name_any() == *name) => Ok(false),
            _ => taken(client, &caches.claims, valid, name).await,
        };
        taken.map(|taken| taken.then(|| format!("{kind} {name}")))
    });
    let found: Result<Vec<Option<String>>, kube::Error> =
        join_all(asked).await.into_iter().collect();
    // The kinds are in a fixed order, so is the message.
    found.map(|found| found.into_iter().flatten().collect())
}

async fn taken<K>(
    client: &Client,
    cache: &Kept<K>,
    valid: &ValidCluster,
    name: &str,
) -> Result<bool, kube::Error>
where
    K: Ours,
{
    let key = ObjectRef::<K>::new(name).within(&valid.names.namespace);
    if cache
        .get(&key)
        .is_some_and(|object| belongs(object.as_ref(), &valid.names))
    {
        return Ok(false);
    }
    let api = Api::<K>::namespaced(client.clone(), &valid.names.namespace);
    let found = api.get_metadata_opt(name).await?;
    Ok(found.is_some_and(|object| {
        let managed = object
            .labels()
            .get(MANAGED_BY_LABEL)
            .is_some_and(|by| by == FIELD_MANAGER);
        !(managed && belongs(&object, &valid.names))
    }))
}
