//! Which failures a layout survives, in numbers and in words.

use std::collections::BTreeMap;

use crate::Zone;
use crate::quorum::quorum;

/// What may fail, given which voters are alive and where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tolerance {
    /// Voters, alive or not.
    pub voters: usize,
    /// Voters that are alive.
    pub live: usize,
    /// How many more members may be lost with the rest going on.
    pub members: usize,
    /// Per zone that holds a voter: may it be lost?
    pub zones: BTreeMap<Zone, bool>,
}

/// One voter, as far as tolerance is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Where it is.
    pub zone: Option<Zone>,
    /// Whether it takes part now.
    pub live: bool,
}

impl Tolerance {
    /// Of these voters.
    #[must_use]
    pub fn of(voters: &[Voter]) -> Self {
        let needed = quorum(voters.len());
        let live = voters.iter().filter(|voter| voter.live).count();
        let mut live_per_zone: BTreeMap<Zone, usize> = BTreeMap::new();
        for voter in voters {
            if let Some(zone) = &voter.zone {
                *live_per_zone.entry(zone.clone()).or_insert(0) += usize::from(voter.live);
            }
        }
        let zones = live_per_zone
            .into_iter()
            .map(|(zone, inside)| (zone, !voters.is_empty() && live - inside >= needed))
            .collect();
        Self {
            voters: voters.len(),
            live,
            members: if voters.is_empty() {
                0
            } else {
                live.saturating_sub(needed)
            },
            zones,
        }
    }

    /// Whether a quorum is alive.
    #[must_use]
    pub fn has_quorum(&self) -> bool {
        self.voters > 0 && self.live >= quorum(self.voters)
    }

    /// Whether any one zone may be lost.
    #[must_use]
    pub fn any_zone(&self) -> bool {
        !self.zones.is_empty() && self.zones.values().all(|survived| *survived)
    }

    /// One or two words for a table: `any`, `none`, `not zone-a`.
    #[must_use]
    pub fn zones_short(&self) -> String {
        if self.any_zone() {
            return "any".to_owned();
        }
        if self.zones.values().all(|survived| !survived) {
            return "none".to_owned();
        }
        format!("not {}", self.fatal_zones().join(","))
    }

    /// A sentence: "2 zones: losing zone-a loses quorum".
    #[must_use]
    pub fn zones_sentence(&self) -> String {
        let zones = match self.zones.len() {
            0 => return "No zones are assigned: whether a zone loss is survived is up to the scheduler".to_owned(),
            1 => "1 zone".to_owned(),
            count => format!("{count} zones"),
        };
        if self.any_zone() {
            return format!("{zones}: any one of them may be lost");
        }
        if !self.has_quorum() {
            return format!("{zones}: quorum is already lost");
        }
        format!(
            "{zones}: losing {} loses quorum",
            self.fatal_zones().join(" or ")
        )
    }

    fn fatal_zones(&self) -> Vec<&str> {
        self.zones
            .iter()
            .filter(|(_, survived)| !**survived)
            .map(|(zone, _)| zone.as_str())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voters(layout: &[(&str, usize, usize)]) -> Vec<Voter> {
        layout
            .iter()
            .flat_map(|(zone, all, live)| {
                (0..*all).map(|index| Voter {
                    zone: Some(Zone::new(*zone)),
                    live: index < *live,
                })
            })
            .collect()
    }

    fn sentence(layout: &[(&str, usize, usize)]) -> String {
        Tolerance::of(&voters(layout)).zones_sentence()
    }

    #[test]
    fn three_zones_survive_any_one() {
        for layout in [
            [("a", 1, 1), ("b", 1, 1), ("c", 1, 1)],
            [("a", 2, 2), ("b", 2, 2), ("c", 1, 1)],
            [("a", 3, 3), ("b", 2, 2), ("c", 2, 2)],
            [("a", 3, 3), ("b", 3, 3), ("c", 3, 3)],
        ] {
            let tolerance = Tolerance::of(&voters(&layout));
            assert!(tolerance.any_zone(), "{layout:?}");
            assert_eq!(tolerance.zones_short(), "any");
            assert_eq!(
                tolerance.zones_sentence(),
                "3 zones: any one of them may be lost"
            );
        }
    }

    #[test]
    fn two_zones_say_which_one_is_fatal() {
        assert_eq!(
            sentence(&[("zone-a", 2, 2), ("zone-b", 1, 1)]),
            "2 zones: losing zone-a loses quorum"
        );
        assert_eq!(
            Tolerance::of(&voters(&[("zone-a", 2, 2), ("zone-b", 1, 1)])).zones_short(),
            "not zone-a"
        );
    }

    #[test]
    fn one_zone_is_always_fatal() {
        assert_eq!(
            sentence(&[("zone-a", 3, 3)]),
            "1 zone: losing zone-a loses quorum"
        );
        assert_eq!(
            Tolerance::of(&voters(&[("zone-a", 1, 1)])).zones_short(),
            "none"
        );
    }

    #[test]
    fn a_dead_member_uses_up_the_tolerance() {
        let tolerance = Tolerance::of(&voters(&[("a", 1, 0), ("b", 1, 1), ("c", 1, 1)]));
        assert_eq!(tolerance.members, 0);
        assert!(tolerance.has_quorum());
        assert_eq!(tolerance.zones_short(), "not b,c");
        assert_eq!(
            tolerance.zones_sentence(),
            "3 zones: losing b or c loses quorum"
        );
    }

    #[test]
    fn lost_quorum_is_said_plainly() {
        let tolerance = Tolerance::of(&voters(&[("a", 1, 0), ("b", 1, 0), ("c", 1, 1)]));
        assert!(!tolerance.has_quorum());
        assert_eq!(tolerance.members, 0);
        assert_eq!(
            tolerance.zones_sentence(),
            "3 zones: quorum is already lost"
        );
    }

    #[test]
    fn nobody_yet_tolerates_nothing() {
        let tolerance = Tolerance::of(&[]);
        assert!(!tolerance.has_quorum());
        assert!(!tolerance.any_zone());
        assert_eq!(tolerance.members, 0);
    }
}
