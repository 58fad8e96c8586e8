//! The writes behind the steps: server-side apply with one field manager, each skipped when nothing changed.

use std::collections::{BTreeMap, HashMap};

use futures::future::try_join_all;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use kvorum_api::{KvCluster, KvClusterStatus};
use kvorum_plan::MemberId;
use kvorum_plan::observed::{Reservation, Stage};
use kvorum_plan::placement::Assigned;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;

use super::{Act, ActError, Done, gone, this_very};
use crate::caches::{Kept, Ours};
use crate::names::{FIELD_MANAGER, RETIRED};
use crate::{build, fingerprint};

/// What was written last, and what the object looked like then.
///
/// Only saves requests: where it is empty or wrong, everything is applied again, which changes nothing.
#[derive(Debug, Default)]
pub struct Applied(Mutex<HashMap<String, (u64, u64)>>);

impl Applied {
    fn is_current(&self, key: &str, intent: u64, object: u64) -> bool {
        self.0.lock().get(key) == Some(&(intent, object))
    }

    fn remember(&self, key: String, intent: u64, object: u64) {
        self.0.lock().insert(key, (intent, object));
    }
}

pub(super) fn apply_params() -> PatchParams {
    PatchParams::apply(FIELD_MANAGER).force()
}

/// Writes the whole status of the KvCluster with this namespace, name and UID, and of no
/// other that came after it.
///
/// # Errors
/// When the API server refuses, as it does for a change of identity, or cannot be reached.
pub async fn write_status(
    client: &Client,
    (namespace, name, uid): (&str, &str, &str),
    status: &KvClusterStatus,
) -> Result<(), ActError> {
    let api = Api::<KvCluster>::namespaced(client.clone(), namespace);
    let intent = json!({
        "apiVersion": "kvorum.dev/v1alpha1",
        "kind": "KvCluster",
        "metadata": { "name": name, "uid": uid },
        "status": status,
    });
    let written = api
        .patch_status(name, &apply_params(), &Patch::Apply(intent))
        .await;
    written
        .map(|_| ())
        .map_err(|error| ActError::of_call(format!("status of KvCluster {name}"), error))
}

impl Act<'_> {
    /// Writes identity and zones into the status, then into the record.
    pub(super) async fn reserve(
        &self,
        reservation: &Reservation,
        stage: Stage,
    ) -> Result<bool, ActError> {
        self.failpoint.before("reserve-status");
        let status = KvClusterStatus {
            cluster_id: Some(reservation.cluster_id.to_string()),
            planned_zones: reservation.zones.iter().map(ToString::to_string).collect(),
            // Everything else stays as it was: fields that we stop naming would be removed.
            ..self.sight.status.clone()
        };
        self.write_status(&status).await?;
        self.failpoint.after("reserve-status");
        self.failpoint.before("reserve-record");
        let record = build::record(self.cluster, reservation, stage);
        self.apply(&self.caches.records, &record).await?;
        self.failpoint.after("reserve-record");
        Ok(true)
    }

    /// Writes the whole status, on the very KvCluster that was seen.
    ///
    /// # Errors
    /// As for [`write_status`].
    pub async fn write_status(&self, status: &KvClusterStatus) -> Result<(), ActError> {
        let (names, uid) = (&self.cluster.names, &self.cluster.uid);
        write_status(self.client, (&names.namespace, &names.cluster, uid), status).await
    }

    pub(super) async fn services(&self, at_least: Option<usize>) -> Result<bool, ActError> {
        let (peers, clients) = (
            build::peer_service(self.cluster),
            build::client_service(self.cluster),
        );
        let (one, two, three, four) = futures::try_join!(
            self.apply(&self.caches.services, &peers),
            self.apply(&self.caches.services, &clients),
            self.budget(at_least),
            self.certificates(),
        )?;
        Ok(one || two || three || four)
    }

    async fn budget(&self, at_least: Option<usize>) -> Result<bool, ActError> {
        if let Some(at_least) = at_least {
            let budget = build::budget(self.cluster, at_least);
            return self.apply(&self.caches.budgets, &budget).await;
        }
        let names = &self.cluster.names;
        let Some(old) = self.seen(&self.caches.budgets, &names.cluster) else {
            return Ok(false);
        };
        // Left over from more members: it would make every drain of the last one hang.
        let parameters = this_very(old.as_ref(), false);
        let api = self.api::<PodDisruptionBudget>();
        let deleted = api.delete(&names.cluster, &parameters).await;
        gone(format!("PodDisruptionBudget {}", names.cluster), deleted)?;
        Ok(true)
    }

    /// Applies a member's StatefulSet, but holds a template back that only a new version of the operator
    /// would change.
    pub(super) async fn statefulset(
        &self,
        reservation: &Reservation,
        member: &Assigned,
        running: bool,
    ) -> Result<Done, ActError> {
        let mut intent = build::statefulset(self.cluster, reservation, member, running)
            .map_err(ActError::Overlay)?;
        let name = intent.name_any();
        let seen = self.seen(&self.caches.statefulsets, &name);
        if !running {
            // Whether its pod may go was judged by what was seen: another operator may have let it run since.
            intent.metadata.resource_version =
                seen.as_ref().and_then(|seen| seen.resource_version());
        }
        let held = seen.filter(|seen| {
            !self.cluster.operator_changes_at_once && build::only_operator_changed(seen, &intent)
        });
        let Some(seen) = held else {
            let applied = self.apply(&self.caches.statefulsets, &intent).await?;
            return Ok(applied.into());
        };
        if seen.spec.replicas == intent.spec.replicas {
            return Ok(Done::HeldBack);
        }
        let mut metadata = json!({ "uid": seen.uid() });
        if let Some(version) = &intent.metadata.resource_version {
            metadata["resourceVersion"] = json!(version);
        }
        let patch = json!({ "metadata": metadata, "spec": { "replicas": intent.spec.replicas } });
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patched = self
            .api::<StatefulSet>()
            .patch(&name, &parameters, &Patch::Merge(patch))
            .await;
        patched.map_err(|error| ActError::of_call(format!("StatefulSet {name}"), error))?;
        Ok(Done::HeldBack)
    }

    /// Creates, and never applies: a claim that appears meanwhile is somebody's data.
    pub(super) async fn create_volume(
        &self,
        reservation: &Reservation,
        member: &Assigned,
        stage: Stage,
    ) -> Result<bool, ActError> {
        let claim = build::volume(self.cluster, reservation, member, stage);
        let name = claim.name_any();
        let object = format!("PersistentVolumeClaim {name}");
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let api = self.api::<PersistentVolumeClaim>();
        match api.create(&parameters, &claim).await {
            Ok(_) => Ok(true),
            // A new member's volume that an earlier try has made.
            Err(kube::Error::Api(status)) if status.code == 409 && stage == Stage::Bootstrapped => {
                let there = api.get(&name).await;
                let there = there.map_err(|error| ActError::of_call(object.clone(), error))?;
                // Kubernetes writes annotations of its own on a claim that is bound.
                let mut ours = claim.annotations().iter();
                let same =
                    |(key, value): (&String, &String)| there.annotations().get(key) == Some(value);
                if ours.all(same) && !there.annotations().contains_key(RETIRED) {
                    return Ok(false);
                }
                Err(ActError::Refused {
                    object,
                    message: "is already there and not the volume of this new member: delete it"
                        .to_owned(),
                })
            }
            Err(error) => Err(ActError::of_call(object, error)),
        }
    }

    /// Records a stage on every volume of a member that is not out, then in the record.
    pub(super) async fn latch(
        &self,
        stage: Stage,
        stores: &BTreeMap<MemberId, String>,
    ) -> Result<bool, ActError> {
        let volumes = format!("latch-{stage}-volumes");
        self.failpoint.before(&volumes);
        let seen = self.sight.observed.volumes.iter();
        let writes = seen.filter_map(|(id, volume)| {
            let uid = self.sight.claim_uids.get(id)?;
            let member = Assigned {
                id: *id,
                zone: volume.zone.clone(),
            };
            let latch = (stage, stores.get(id).map(String::as_str));
            let claim =
                build::latched_volume(self.cluster, &volume.reservation, &member, latch, uid);
            volume.retired.is_none().then_some(claim)
        });
        let api = self.api::<PersistentVolumeClaim>();
        try_join_all(writes.map(|claim| {
            let api = api.clone();
            async move {
                let name = claim.name_any();
                let written = api
                    .patch(&name, &apply_params(), &Patch::Apply(&claim))
                    .await;
                written.map_err(|error| {
                    ActError::of_call(format!("PersistentVolumeClaim {name}"), error)
                })
            }
        }))
        .await?;
        self.failpoint.after(&volumes);
        let record_step = format!("latch-{stage}-record");
        self.failpoint.before(&record_step);
        let volume = self.sight.observed.volumes.values().next();
        let record = self.sight.observed.record.as_ref();
        let reserved = record.map(|record| &record.reservation);
        if let Some(reservation) = reserved.or_else(|| Some(&volume?.reservation)) {
            let record = build::record(self.cluster, reservation, stage);
            self.apply(&self.caches.records, &record).await?;
        }
        self.failpoint.after(&record_step);
        Ok(true)
    }

    /// Applies an intent unless it was applied before and the object is as it was then.
    async fn apply<K>(&self, cache: &Kept<K>, intent: &K) -> Result<bool, ActError>
    where
        K: Ours + Serialize,
    {
        let name = intent.name_any();
        let object = format!("{} {name}", K::kind(&()));
        let key = format!("{object} {}", self.cluster.names.namespace);
        let wanted = wanted(intent);
        let seen = self.seen(cache, &name);
        let seen = seen.map(|seen| fingerprint::version(seen.meta()));
        if seen.is_some_and(|seen| self.applied.is_current(&key, wanted, seen)) {
            return Ok(false);
        }
        let written = self
            .api::<K>()
            .patch(&name, &apply_params(), &Patch::Apply(intent))
            .await
            .map_err(|error| ActError::of_call(object, error))?;
        let now = fingerprint::version(written.meta());
        self.applied.remember(key, wanted, now);
        Ok(seen != Some(now))
    }

    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.cluster.names.namespace)
    }
}

/// A short name for what an intent asks for; as what it would be written over is no part of it.
fn wanted<K: Resource + Clone + Serialize>(intent: &K) -> u64 {
    if intent.meta().resource_version.is_none() {
        return fingerprint::of(intent);
    }
    let mut intent = intent.clone();
    intent.meta_mut().resource_version = None;
    fingerprint::of(&intent)
}
