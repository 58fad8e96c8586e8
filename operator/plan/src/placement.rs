//! Which member goes to which zone: even, deterministic, and never a quorum in one of three zones.

use std::collections::{BTreeMap, BTreeSet};

use crate::quorum::quorum;
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

/// A voter, as far as the next layout is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Who.
    pub member: Assigned,
    /// It cannot stay: lost, or in a zone that is left.
    pub must_leave: bool,
    /// Worth keeping: it is healthy.
    pub healthy: bool,
    /// Worth keeping: it leads.
    pub leads: bool,
}

/// The next layout, as a difference from the one there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Voters that stay.
    pub keep: BTreeSet<MemberId>,
    /// Voters that leave.
    pub leave: BTreeSet<MemberId>,
    /// Zones of the members that are needed in addition, one each.
    pub add: Vec<Option<Zone>>,
}

/// The layout of `size` voters that differs least from the one there is.
///
/// `zones` are those that may hold members, best first; empty where zones play no part. Whoever must leave
/// leaves; what is too many leaves the fullest zones, the unhealthy and the youngest first; what is missing
/// goes to the emptiest. With `even`, members also move until no two zones differ by more than one; without,
/// they move only where a change that is made anyway would else give a zone a quorum.
#[must_use]
pub fn target(holders: &[Holder], size: usize, zones: &[Zone], even: bool) -> Target {
    let mut kept = shrunk(holders, size, false);
    // Those that stay must be able to agree: then the unhealthy go, wherever they are.
    if kept.iter().filter(|holder| holder.healthy).count() < quorum(size) {
        kept = shrunk(holders, size, true);
    }
    let mut add: Vec<Option<Zone>> = Vec::new();
    while kept.len() + add.len() < size {
        add.push(emptiest(&kept, &add, zones));
    }
    let changes = kept.len() < holders.len() || !add.is_empty();
    let must_move = |kept: &[&Holder], add: &[Option<Zone>]| {
        let of_kept = kept.iter().map(|holder| holder.member.zone.as_ref());
        let most = most_in_a_zone(of_kept.chain(add.iter().map(Option::as_ref)));
        even || (changes && most * 2 > size)
    };
    while let Some(fullest) = uneven(&kept, &add, zones).filter(|_| must_move(&kept, &add)) {
        drop_one(&mut kept, Some(&fullest));
        add.push(emptiest(&kept, &add, zones));
    }
    let keep: BTreeSet<MemberId> = kept.iter().map(|holder| holder.member.id).collect();
    let leave = holders.iter().map(|holder| holder.member.id);
    Target {
        leave: leave.filter(|id| !keep.contains(id)).collect(),
        keep,
        add,
    }
}

/// Those of the holders that may stay, at most `size`.
fn shrunk(holders: &[Holder], size: usize, unhealthy_first: bool) -> Vec<&Holder> {
    let mut kept: Vec<&Holder> = holders.iter().filter(|holder| !holder.must_leave).collect();
    while kept.len() > size {
        let broken = kept.iter().rposition(|holder| !holder.healthy);
        match broken.filter(|_| unhealthy_first) {
            Some(place) => drop(kept.remove(place)),
            None => drop_one(&mut kept, None),
        }
    }
    kept
}

/// Members of each of `zones` in a layout in the making.
fn crowd(kept: &[&Holder], add: &[Option<Zone>], zone: Option<&Zone>) -> usize {
    let kept = kept.iter().map(|holder| holder.member.zone.as_ref());
    kept.chain(add.iter().map(Option::as_ref))
        .filter(|of| *of == zone)
        .count()
}

fn emptiest(kept: &[&Holder], add: &[Option<Zone>], zones: &[Zone]) -> Option<Zone> {
    // The first of equals: zones are given best first.
    zones
        .iter()
        .min_by_key(|zone| crowd(kept, add, Some(zone)))
        .cloned()
}

/// The fullest zone, if another has at least two members less.
fn uneven(kept: &[&Holder], add: &[Option<Zone>], zones: &[Zone]) -> Option<Zone> {
    let count = |zone: &Zone| crowd(kept, add, Some(zone));
    let least = zones.iter().map(count).min()?;
    let movable = |zone: &&Zone| crowd(kept, &[], Some(zone)) > 0;
    let fullest = zones
        .iter()
        .filter(movable)
        .max_by_key(|zone| count(zone))?;
    (count(fullest) > least + 1).then(|| fullest.clone())
}

/// Lets one go: from this zone, or from the fullest.
fn drop_one(kept: &mut Vec<&Holder>, zone: Option<&Zone>) {
    let fullness = |holder: &Holder| crowd(kept, &[], holder.member.zone.as_ref());
    let candidate = kept
        .iter()
        .enumerate()
        .filter(|(_, holder)| zone.is_none_or(|zone| holder.member.zone.as_ref() == Some(zone)))
        .max_by_key(|(_, holder)| {
            (
                fullness(holder),
                !holder.healthy,
                !holder.leads,
                holder.member.id,
            )
        })
        .map(|(place, _)| place);
    if let Some(place) = candidate {
        kept.remove(place);
    }
}

/// The most members that one zone holds.
#[must_use]
pub fn most_in_a_zone<'a>(zones: impl IntoIterator<Item = Option<&'a Zone>>) -> usize {
    count_per_zone(zones).into_values().max().unwrap_or(0)
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

    fn holders(layout: &[usize], dead: u64, leave: u64) -> Vec<Holder> {
        let zones = layout.iter().zip('a'..).flat_map(|(members, letter)| {
            std::iter::repeat_n(Zone::new(format!("zone-{letter}")), *members)
        });
        zones
            .zip(1..)
            .map(|(zone, id)| Holder {
                member: Assigned {
                    id: MemberId(id),
                    zone: Some(zone),
                },
                must_leave: leave & (1 << id) != 0,
                healthy: dead & (1 << id) == 0,
                leads: id == 1,
            })
            .collect()
    }

    #[test]
    fn those_that_stay_can_agree() {
        // Zones a, a, b, c, c; 2 and 5 do not work, and 3 leaves: without 1 and 4 there is no quorum.
        let next = target(&holders(&[2, 1, 2], 0b100_100, 0b1000), 3, &[], false);
        let keep: Vec<u64> = next.keep.iter().map(|id| id.0).collect();
        assert_eq!(keep, [1, 2, 4]);
    }

    proptest! {
        #[test]
        fn the_next_layout_is_complete_small_and_gives_no_zone_a_quorum(
            layout in prop::collection::vec(0_usize..4, 3..6),
            half in 0_usize..5,
            (dead, leave) in (any::<u64>(), any::<u64>()),
            even in any::<bool>(),
        ) {
            let holders = holders(&layout, dead, leave);
            let size = 2 * half + 1;
            let zones: Vec<Zone> = ('a'..).take(layout.len()).map(|letter| Zone::new(format!("zone-{letter}"))).collect();
            let next = target(&holders, size, &zones, even);
            prop_assert_eq!(&next, &target(&holders, size, &zones, even), "deterministic");
            prop_assert_eq!(next.keep.len() + next.add.len(), size);
            let all: BTreeSet<MemberId> = holders.iter().map(|holder| holder.member.id).collect();
            prop_assert_eq!(&next.keep | &next.leave, all, "everybody stays or leaves");
            prop_assert!(next.keep.is_disjoint(&next.leave));
            for holder in &holders {
                prop_assert!(!(holder.must_leave && next.keep.contains(&holder.member.id)));
            }
            let kept = holders.iter().filter(|holder| next.keep.contains(&holder.member.id));
            let after = kept.map(|holder| holder.member.zone.as_ref()).chain(next.add.iter().map(Option::as_ref));
            let counts = count_per_zone(after);
            let most = counts.values().max().copied().unwrap_or(0);
            let changed = !next.leave.is_empty() || !next.add.is_empty();
            if changed && size >= 3 {
                prop_assert!(most * 2 < size, "a zone holds a quorum: {:?}", counts);
            }
            if even {
                let least = zones.iter().map(|zone| counts.get(zone).copied().unwrap_or(0)).min().unwrap_or(0);
                prop_assert!(most - least <= 1, "uneven: {:?}", counts);
            }
        }

        #[test]
        fn a_layout_that_is_right_stays(half in 0_usize..5) {
            let size = ClusterSize::try_from(i32::try_from(2 * half + 1).unwrap()).unwrap();
            let holders: Vec<Holder> = spread(size, &zones(&[3, 3, 3]))
                .into_iter()
                .map(|member| Holder { member, must_leave: false, healthy: true, leads: false })
                .collect();
            let order: Vec<Zone> = zones(&[3, 3, 3]).into_keys().collect();
            for even in [false, true] {
                let next = target(&holders, size.members(), &order, even);
                prop_assert!(next.leave.is_empty() && next.add.is_empty(), "{:?}", next);
            }
        }
    }
}
