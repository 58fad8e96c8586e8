//! Frozen or not: whether all records agree on who this cluster is.

use std::collections::{BTreeMap, BTreeSet};

use crate::ClusterId;
use crate::observed::{Life, Observed};
use crate::steps::{Blocked, BlockedReason};

/// Any two records that disagree, or a member on a store that is not the one recorded.
pub(super) fn identity_conflict(observed: &Observed) -> Option<Blocked> {
    if let Some(what) = observed.unreadable.first() {
        return Some(Blocked::new(
            BlockedReason::IdentityConflict,
            format!("{what}: restore what was written there; nothing is touched until then"),
        ));
    }
    let mut claims: BTreeMap<ClusterId, BTreeSet<String>> = BTreeMap::new();
    let mut claim = |id: ClusterId, who: String| {
        claims.entry(id).or_default().insert(who);
    };
    if let Some(id) = observed.status.cluster_id {
        claim(id, "the status".to_owned());
    }
    if let Some(record) = &observed.record {
        claim(
            record.reservation.cluster_id,
            "the record ConfigMap".to_owned(),
        );
    }
    for (member, volume) in &observed.volumes {
        claim(
            volume.reservation.cluster_id,
            format!("the volume of {member}"),
        );
    }
    if claims.len() > 1 {
        let claims: Vec<String> = claims
            .iter()
            .map(|(id, who)| {
                let who: Vec<&str> = who.iter().map(String::as_str).collect();
                format!("{} says {id}", who.join(", "))
            })
            .collect();
        return Some(Blocked::new(
            BlockedReason::IdentityConflict,
            format!(
                "records of the cluster ID disagree ({}): nothing is touched until the wrong one is removed",
                claims.join("; ")
            ),
        ));
    }
    observed.volumes.iter().find_map(|(id, volume)| {
        let recorded = volume.store_uuid.as_ref()?;
        let report = observed.members.get(id)?.report.as_ref()?;
        // An empty store under a known volume is lost data, which has its own words below.
        let other = *recorded != report.store_uuid && report.life != Life::Waiting;
        other.then(|| {
            Blocked::new(
                BlockedReason::IdentityConflict,
                format!(
                    "{id} runs on store {} and its volume belongs to store {recorded}: put the right disk back; nothing is touched until then",
                    report.store_uuid
                ),
            )
        })
    })
}
