//! Identity and zones: what is reserved already, or what a new cluster gets.

use std::collections::BTreeMap;

use crate::Zone;
use crate::limits::ZONES_FOR_TOLERANCE;
use crate::observed::{Observed, Reservation, StorageClass};
use crate::placement::spread;
use crate::spec::{Spec, ZoneChoice, ZoneSpread};
use crate::steps::{Blocked, BlockedReason};

/// What is reserved already, from the strongest record there is.
pub(super) fn reservation(observed: &Observed, spec: &Spec) -> Option<Reservation> {
    let recorded = observed
        .volumes
        .values()
        .map(|volume| &volume.reservation)
        .next()
        .or_else(|| observed.record.as_ref().map(|record| &record.reservation));
    recorded.cloned().or_else(|| {
        observed.status.cluster_id.map(|cluster_id| Reservation {
            cluster_id,
            size: spec.size,
            zones: observed.status.zones.clone(),
        })
    })
}

/// Chooses identity and zones for a new cluster, if the world can satisfy the spec.
pub(super) fn reserve(observed: &Observed, spec: &Spec) -> Result<Reservation, Blocked> {
    storage_class(observed, spec)?;
    let zones = zones(observed, spec)?;
    // Members go round the zones, so the zones of the first round are the order.
    let order: Vec<Zone> = spread(spec.size, &zones)
        .into_iter()
        .filter_map(|member| member.zone)
        .take(zones.len())
        .collect();
    Ok(Reservation {
        cluster_id: observed.fresh_cluster_id,
        size: spec.size,
        zones: order,
    })
}

pub(super) fn storage_class(observed: &Observed, spec: &Spec) -> Result<(), Blocked> {
    let message = match observed.world.storage_class {
        StorageClass::Found => return Ok(()),
        StorageClass::Missing => format!(
            "there is no StorageClass {}: create it, or make a new KvCluster that names another in spec.storage.className",
            spec.storage_class.as_deref().unwrap_or_default()
        ),
        StorageClass::NoDefault => "spec.storage.className is empty and no StorageClass is the default: name one, or mark one as default".to_owned(),
    };
    Err(Blocked::new(BlockedReason::StorageClassMissing, message))
}

fn zones(observed: &Observed, spec: &Spec) -> Result<BTreeMap<Zone, usize>, Blocked> {
    let refuse = |message: String| Err(Blocked::new(BlockedReason::NotEnoughZones, message));
    if spec.zone_spread == ZoneSpread::Disabled {
        return Ok(BTreeMap::new());
    }
    let there = &observed.world.zones;
    let key = &spec.topology_key;
    let found = match &spec.zones {
        ZoneChoice::Discover => there.clone(),
        ZoneChoice::Listed(listed) => {
            let missing: Vec<&str> = listed
                .iter()
                .filter(|zone| !there.contains_key(*zone))
                .map(Zone::as_str)
                .collect();
            if !missing.is_empty() {
                return refuse(format!(
                    "no schedulable node has the label {key}={}: label nodes, or list other zones in spec.placement.zones",
                    missing.join(&format!(" or {key}="))
                ));
            }
            listed
                .iter()
                .map(|zone| (zone.clone(), there.get(zone).copied().unwrap_or(0)))
                .collect()
        }
    };
    if found.is_empty() {
        return refuse(format!(
            "no schedulable node has the label {key}: label the nodes, or set spec.placement.zoneSpread to Disabled"
        ));
    }
    if spec.zone_spread == ZoneSpread::Required && found.len() < ZONES_FOR_TOLERANCE {
        let names: Vec<&str> = found.keys().map(Zone::as_str).collect();
        return refuse(format!(
            "zoneSpread Required needs schedulable nodes in {ZONES_FOR_TOLERANCE} zones, and there are {} ({}): add nodes in another zone, or set spec.placement.zoneSpread to Preferred",
            found.len(),
            names.join(", ")
        ));
    }
    Ok(found)
}
