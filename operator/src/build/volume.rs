//! A member's volume claim. It outlives the KvCluster, so it carries everything needed to take it up again.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kvorum_plan::observed::{Reservation, Stage, UnixSeconds, Volume};
use kvorum_plan::placement::Assigned;
use kvorum_plan::{MemberId, Zone};

use super::record::{read, written};
use crate::names;
use crate::validate::ValidCluster;

/// A new member's volume claim: no owner, so that no deletion of a KvCluster takes data along.
#[must_use]
pub fn volume(
    cluster: &ValidCluster,
    reservation: &Reservation,
    member: &Assigned,
    stage: Stage,
) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: metadata(cluster, reservation, member, stage, None),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: cluster.spec.storage_class.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), cluster.storage_size.clone())].into()),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

/// What is written on a volume that is there: only metadata, and only on the very object that was seen.
#[must_use]
pub fn latched_volume(
    cluster: &ValidCluster,
    reservation: &Reservation,
    member: &Assigned,
    (stage, store): (Stage, Option<&str>),
    uid: &str,
) -> PersistentVolumeClaim {
    let mut metadata = metadata(cluster, reservation, member, stage, store);
    metadata.uid = Some(uid.to_owned());
    PersistentVolumeClaim {
        metadata,
        spec: None,
        status: None,
    }
}

/// What is written on the volume of a member that is not part of the cluster any more.
#[must_use]
pub fn retired_volume(
    cluster: &ValidCluster,
    volume: &Volume,
    id: MemberId,
    at: UnixSeconds,
    uid: &str,
) -> PersistentVolumeClaim {
    let member = Assigned {
        id,
        zone: volume.zone.clone(),
    };
    let latch = (volume.stage, volume.store_uuid.as_deref());
    let mut claim = latched_volume(cluster, &volume.reservation, &member, latch, uid);
    let annotations = claim.metadata.annotations.get_or_insert_default();
    annotations.insert(names::RETIRED.to_owned(), at.0.to_string());
    claim
}

fn metadata(
    cluster: &ValidCluster,
    reservation: &Reservation,
    member: &Assigned,
    stage: Stage,
    store: Option<&str>,
) -> ObjectMeta {
    let mut annotations: BTreeMap<String, String> = written(reservation, stage)
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    annotations.insert(names::MEMBER_ID.to_owned(), member.id.0.to_string());
    if let Some(zone) = &member.zone {
        annotations.insert(names::ZONE.to_owned(), zone.to_string());
    }
    if let Some(store) = store {
        annotations.insert(names::STORE_UUID.to_owned(), store.to_owned());
    }
    ObjectMeta {
        name: Some(cluster.names.volume(member.id)),
        namespace: Some(cluster.names.namespace.clone()),
        labels: Some(super::classed(
            cluster,
            cluster.names.member_labels(member.id),
        )),
        annotations: Some(annotations),
        ..ObjectMeta::default()
    }
}

/// Reads a volume claim back, `stranded` if no node is left that its disk can be reached from; the error says
/// what is unreadable.
///
/// # Errors
/// When somebody has changed its annotations.
pub fn read_volume(
    claim: &PersistentVolumeClaim,
    expected: MemberId,
    stranded: bool,
) -> Result<Volume, String> {
    let annotations = claim.annotations();
    let (reservation, stage) = read(|key| annotations.get(key).cloned())?;
    let member = annotations.get(names::MEMBER_ID);
    if member != Some(&expected.0.to_string()) {
        return Err(format!(
            "{} is {member:?} on a volume named after member {}",
            names::MEMBER_ID,
            expected.0
        ));
    }
    let phase = claim
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    let retired = match annotations.get(names::RETIRED) {
        None => None,
        Some(text) => {
            let seconds = text
                .parse()
                .map_err(|_| format!("{} is unreadable: {text:?}", names::RETIRED))?;
            Some(UnixSeconds(seconds))
        }
    };
    Ok(Volume {
        reservation,
        stage,
        zone: annotations.get(names::ZONE).map(Zone::new),
        retired,
        node_gone: stranded,
        store_uuid: annotations.get(names::STORE_UUID).cloned(),
        terminating: claim.metadata.deletion_timestamp.is_some(),
        problem: (phase == Some("Lost"))
            .then(|| "its volume claim has lost its disk (phase Lost)".to_owned()),
    })
}
