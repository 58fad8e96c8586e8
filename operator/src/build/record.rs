//! The record: a ConfigMap that says who this cluster is, beside the status and the volumes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kvorum_plan::observed::{Record, Reservation, Stage};
use kvorum_plan::{ClusterId, ClusterSize, Zone};

use super::owned;
use crate::names;
use crate::validate::ValidCluster;

/// The record of this reservation.
#[must_use]
pub fn record(cluster: &ValidCluster, reservation: &Reservation, stage: Stage) -> ConfigMap {
    let names = &cluster.names;
    let data = written(reservation, stage)
        .into_iter()
        .map(|(key, value)| (short(key).to_owned(), value))
        .collect();
    ConfigMap {
        metadata: owned(cluster, names.record(), names.labels()),
        data: Some(data),
        ..ConfigMap::default()
    }
}

/// Reads a record back; the error says what is unreadable.
///
/// # Errors
/// When somebody has changed it.
pub fn read_record(record: &ConfigMap) -> Result<Record, String> {
    let data = record.data.clone().unwrap_or_default();
    let found = read(|key| data.get(short(key)).cloned());
    found.map(|(reservation, stage)| Record { reservation, stage })
}

/// A reservation as annotations.
pub(super) fn written(reservation: &Reservation, stage: Stage) -> BTreeMap<&'static str, String> {
    let zones: Vec<&str> = reservation.zones.iter().map(Zone::as_str).collect();
    [
        (names::CLUSTER_ID, reservation.cluster_id.to_string()),
        (names::MEMBERS, reservation.size.members().to_string()),
        (names::ZONES, zones.join(",")),
        (names::STAGE, stage.to_string()),
    ]
    .into()
}

/// Reads what [`written`] writes.
pub(super) fn read(
    get: impl Fn(&'static str) -> Option<String>,
) -> Result<(Reservation, Stage), String> {
    let field = |key| get(key).ok_or_else(|| format!("{key} is missing"));
    let unreadable = |key: &str, value: &str| format!("{key} is unreadable: {value:?}");
    let id = field(names::CLUSTER_ID)?;
    let members = field(names::MEMBERS)?;
    let stage = field(names::STAGE)?;
    let zones = field(names::ZONES)?;
    let size = members
        .parse::<i32>()
        .ok()
        .and_then(|members| ClusterSize::try_from(members).ok());
    Ok((
        Reservation {
            cluster_id: ClusterId::parse(&id).ok_or_else(|| unreadable(names::CLUSTER_ID, &id))?,
            size: size.ok_or_else(|| unreadable(names::MEMBERS, &members))?,
            zones: zones
                .split(',')
                .filter(|zone| !zone.is_empty())
                .map(Zone::new)
                .collect(),
        },
        Stage::parse(&stage).ok_or_else(|| unreadable(names::STAGE, &stage))?,
    ))
}

fn short(key: &str) -> &str {
    key.trim_start_matches("kvorum.dev/")
}
