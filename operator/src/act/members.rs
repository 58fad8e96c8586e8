//! Steps that change who the members are: calls to the leader, and the objects of those that come and go.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PropagationPolicy};
use kvorum_plan::observed::{Reservation, Stage, UnixSeconds};
use kvorum_plan::placement::Assigned;
use kvorum_plan::{MemberId, Step, Zone};

use super::writes::apply_params;
use super::{Act, ActError, gone, this_very};
use crate::build;
use crate::names::RETIRED;

impl Act<'_> {
    /// An ID, then a volume under it. A crash between the two gets the same ID for the same key.
    pub(super) async fn enlist(
        &self,
        reservation: &Reservation,
        via: MemberId,
        key: &str,
        zone: Option<Zone>,
    ) -> Result<bool, ActError> {
        let allotted = self.door(via)?.allocate(key).await;
        let id = allotted.map_err(ActError::Member)?;
        self.failpoint.after("allocate");
        let member = Assigned { id, zone };
        self.create_volume(reservation, &member, Stage::Bootstrapped)
            .await
    }

    /// Has the leader change the membership or hand over.
    pub(super) async fn change(&self, step: &Step) -> Result<bool, ActError> {
        let names = &self.cluster.names;
        tracing::info!(
            namespace = names.namespace,
            cluster = names.cluster,
            ?step,
            "Asking the leader"
        );
        let done = match step {
            Step::AddLearner {
                via,
                expected,
                member,
                store_uuid,
            } => {
                let door = self.door(*via)?;
                door.add_learner(names, *expected, member, store_uuid).await
            }
            Step::RemoveLearner { via, expected, id } => {
                self.door(*via)?.remove_learner(*expected, *id).await
            }
            Step::ChangeVoters {
                via,
                expected,
                voters,
            } => self.door(*via)?.change_voters(*expected, voters).await,
            Step::TransferLeader { via, to } => self.door(*via)?.transfer_leader(*to).await,
            _ => Ok(false),
        };
        done.map_err(ActError::Member)
    }

    /// Marks the very volume that was seen, then takes the very StatefulSet away that was seen.
    pub(super) async fn retire(
        &self,
        id: MemberId,
        at: Option<UnixSeconds>,
    ) -> Result<bool, ActError> {
        let volume = self.sight.observed.volumes.get(&id);
        if let (Some(at), Some(volume), Some(uid)) = (at, volume, self.sight.claim_uids.get(&id)) {
            let claim = build::retired_volume(self.cluster, volume, id, at, uid);
            let name = claim.name_any();
            let marked = self
                .api::<PersistentVolumeClaim>()
                .patch(&name, &apply_params(), &Patch::Apply(&claim))
                .await;
            marked.map_err(|error| {
                ActError::of_call(format!("PersistentVolumeClaim {name}"), error)
            })?;
        }
        let name = self.cluster.names.member(id);
        let Some(set) = self.seen(&self.caches.statefulsets, &name) else {
            return Ok(true);
        };
        let parameters = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            ..this_very(set.as_ref(), false)
        };
        let deleted = self.api::<StatefulSet>().delete(&name, &parameters).await;
        gone(format!("StatefulSet {name}"), deleted)?;
        Ok(true)
    }

    /// Deletes the volume of a member that is out, if it is still the one that was seen, and still marked.
    pub(super) async fn delete_volume(&self, id: MemberId) -> Result<bool, ActError> {
        let name = self.cluster.names.volume(id);
        let object = format!("PersistentVolumeClaim {name}");
        let api = self.api::<PersistentVolumeClaim>();
        let live = api.get_opt(&name).await;
        let Some(live) = live.map_err(|error| ActError::of_call(object.clone(), error))? else {
            return Ok(false);
        };
        let same = live.uid().as_ref() == self.sight.claim_uids.get(&id);
        if !same || !live.annotations().contains_key(RETIRED) {
            return Err(ActError::Refused {
                object,
                message: "is not the volume that was retired: left alone".to_owned(),
            });
        }
        tracing::info!(name, "Deleting the volume of a member that left");
        gone(object, api.delete(&name, &this_very(&live, true)).await)?;
        Ok(true)
    }
}
