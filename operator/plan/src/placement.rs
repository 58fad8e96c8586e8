//! Which member goes to which zone: even, deterministic, and never a quorum in one of three zones.

use std::collections::BTreeMap;

use crate::{ClusterSize, MemberId, Zone};

/// A member and the zone it lives in (none where zones are switched off).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The member.
    pub id: MemberId,
    /// Its zone, for life.
    pub zone: Option<Zone>,
}

/// Spreads the members 1..n over `zones`, which are given with their number of schedulable nodes.
///
/// Members go round the zones, those with the most nodes first, then by name: the counts of two zones
/// differ by one at most, and a zone that gets one more is one that has the room.
/// Without zones every member is unassigned.
#[must_use]
pub fn spread(size: ClusterSize, zones: &BTreeMap<Zone, usize>) -> Vec<Assigned> {
    let mut order: Vec<(&Zone, usize)> = zones.iter().map(|(zone, nodes)| (zone, *nodes)).collect();
    // Stable: equal numbers of nodes stay in the order of names.
    order.sort_by_key(|(_, nodes)| std::cmp::Reverse(*nodes));
    size.first_ids()
        .enumerate()
        .map(|(turn, id)| Assigned {
            id,
            zone: (!order.is_empty()).then(|| order[turn % order.len()].0.clone()),
        })
        .collect()
}

/// Members per zone.
#[must_use]
pub fn count_per_zone<'a>(
    zones: impl IntoIterator<Item = Option<&'a Zone>>,
) -> BTreeMap<Zone, usize> {
    let mut counts = BTreeMap::new();
    for zone in zones.into_iter().flatten() {
        *counts.entry(zone.clone()).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn zones(nodes: &[usize]) -> BTreeMap<Zone, usize> {
        nodes
            .iter()
            .zip('a'..)
            .map(|(nodes, letter)| (Zone::new(format!("zone-{letter}")), *nodes))
            .collect()
    }

    fn counts(size: i32, nodes: &[usize]) -> Vec<usize> {
        let layout = spread(ClusterSize::try_from(size).unwrap(), &zones(nodes));
        count_per_zone(layout.iter().map(|member| member.zone.as_ref()))
            .into_values()
            .collect()
    }

    #[test]
    fn the_layouts_over_three_zones() {
        assert_eq!(counts(1, &[1, 1, 1]), [1]);
        assert_eq!(counts(3, &[1, 1, 1]), [1, 1, 1]);
        assert_eq!(counts(5, &[2, 2, 2]), [2, 2, 1]);
        assert_eq!(counts(7, &[3, 3, 3]), [3, 2, 2]);
        assert_eq!(counts(9, &[3, 3, 3]), [3, 3, 3]);
    }

    #[test]
    fn the_zone_with_more_nodes_takes_the_odd_member() {
        assert_eq!(counts(7, &[2, 2, 3]), [2, 2, 3]);
        assert_eq!(counts(5, &[1, 2, 2]), [1, 2, 2]);
    }

    #[test]
    fn without_zones_nobody_is_assigned() {
        let layout = spread(ClusterSize::try_from(3).unwrap(), &BTreeMap::new());
        assert!(layout.iter().all(|member| member.zone.is_none()));
    }

    proptest! {
        #[test]
        fn even_complete_and_no_zone_of_three_holds_a_quorum(
            half in 0_i32..5,
            nodes in prop::collection::vec(0_usize..9, 1..8),
        ) {
            let size = ClusterSize::try_from(2 * half + 1).unwrap();
            let zones = zones(&nodes);
            let layout = spread(size, &zones);
            prop_assert_eq!(&layout, &spread(size, &zones), "deterministic");
            let ids: Vec<u64> = layout.iter().map(|member| member.id.0).collect();
            prop_assert_eq!(ids, (1..=size.members() as u64).collect::<Vec<_>>());

            let counts = count_per_zone(layout.iter().map(|member| member.zone.as_ref()));
            prop_assert_eq!(counts.values().sum::<usize>(), size.members());
            let most = counts.values().max().copied().unwrap_or(0);
            let least = if counts.len() < zones.len() { 0 } else {
                counts.values().min().copied().unwrap_or(0)
            };
            prop_assert!(most - least <= 1, "uneven: {:?}", counts);
            if zones.len() >= 3 && size.members() >= 3 {
                prop_assert!(most < size.quorum(), "a zone holds a quorum: {:?}", counts);
            }
        }
    }
}
