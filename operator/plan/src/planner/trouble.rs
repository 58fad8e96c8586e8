//! What keeps a cluster from being what was asked for, in words that say what to do.

use crate::MemberId;
use crate::limits::{STARTUP_DEADLINE_SECONDS, UNSCHEDULABLE_PATIENCE_SECONDS};
use crate::observed::{Life, Observed, Reservation, UnixSeconds};
use crate::spec::Spec;
use crate::steps::{Blocked, BlockedReason};

pub(super) fn name_taken(observed: &Observed) -> Blocked {
    Blocked::new(
        BlockedReason::NameTaken,
        format!(
            "{} already there and not part of this cluster: delete it, or give this KvCluster another name",
            observed.foreign.join(", ")
        ),
    )
}

pub(super) fn size_mismatch(reservation: &Reservation, spec: &Spec) -> Blocked {
    let members = reservation.size.members();
    Blocked::new(
        BlockedReason::SizeMismatch,
        format!(
            "the data of this cluster (ID {}) has {members} members and spec.members is {}: create the KvCluster with members: {members}",
            reservation.cluster_id,
            spec.size.members(),
        ),
    )
}

pub(super) fn data_lost(observed: &Observed, reservation: &Reservation) -> Option<Blocked> {
    let empty: Vec<String> = reservation
        .size
        .first_ids()
        .filter(|id| {
            observed
                .members
                .get(id)
                .and_then(|member| member.report.as_ref())
                .is_some_and(|report| report.life == Life::Waiting)
        })
        .map(|id| id.to_string())
        .collect();
    (!empty.is_empty()).then(|| {
        Blocked::new(
            BlockedReason::DataLost,
            format!(
                "the store of {} is empty, though this cluster was alive before: put the right disk back; an empty store is never initialized again",
                empty.join(", ")
            ),
        )
    })
}

pub(super) fn volume_lost(id: MemberId, how: &str) -> Blocked {
    Blocked::new(
        BlockedReason::VolumeLost,
        format!(
            "the volume of {id} {how}: if its disk still exists, restore the claim with its annotations; a member never gets an empty disk under its old ID"
        ),
    )
}

pub(super) fn not_starting(
    observed: &Observed,
    waiting: &[String],
    now: UnixSeconds,
) -> Option<Blocked> {
    let late = now.0 - observed.created.0 > STARTUP_DEADLINE_SECONDS;
    (late && !waiting.is_empty()).then(|| {
        Blocked::new(
            BlockedReason::MembersNotStarting,
            format!(
                "not up after {STARTUP_DEADLINE_SECONDS} s: {}; look at the events and logs of the pods",
                waiting.join("; ")
            ),
        )
    })
}

pub(super) fn unschedulable(observed: &Observed, now: UnixSeconds) -> Option<Blocked> {
    let stuck: Vec<String> = observed
        .members
        .iter()
        .filter_map(|(id, member)| {
            let problem = member.pod.as_ref()?.problem.as_ref()?;
            let since = problem.unschedulable_since?;
            let patient = now.0 - since.0 <= UNSCHEDULABLE_PATIENCE_SECONDS;
            (!patient).then(|| format!("{id}: {}", problem.message))
        })
        .collect();
    (!stuck.is_empty()).then(|| {
        Blocked::new(
            BlockedReason::Unschedulable,
            format!(
                "no node takes {}; add nodes or free resources, or set spec.placement.nodeSpread to Preferred",
                stuck.join("; ")
            ),
        )
    })
}
