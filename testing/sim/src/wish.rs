//! What the user asks for in the toy world.

use kvorum_plan::spec::{
    Rebalance, Replacement, ReplacementPolicy, Rollout, Spec, ZoneChoice, ZoneOutage, ZoneSpread,
};
use kvorum_plan::{ClusterSize, MemberId, Zone};

use crate::raft::{Id, ZoneNo};

/// The part of the spec that worlds play with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wish {
    /// How many members: odd.
    pub size: i32,
    /// Which template pods shall have.
    pub template: u32,
    /// Zones to leave.
    pub drain: Vec<ZoneNo>,
    /// Members without a pod.
    pub fenced: Vec<Id>,
    /// Hands off.
    pub paused: bool,
    /// No pods.
    pub hibernated: bool,
    /// Where the leader should be, best first.
    pub leaders: Vec<ZoneNo>,
}

/// For how long volumes of members that left are kept, in seconds.
pub const KEEP_SECONDS: i64 = 600;
/// After how long a member that nobody hears of is given up, in seconds.
pub const UNREACHABLE_SECONDS: i64 = 300;

impl Wish {
    /// So many members.
    #[must_use]
    pub fn of(size: i32) -> Self {
        Self {
            size,
            template: 1,
            drain: Vec::new(),
            fenced: Vec::new(),
            paused: false,
            hibernated: false,
            leaders: Vec::new(),
        }
    }

    /// As the planner wants it.
    ///
    /// # Panics
    /// If the size is none that the API would take.
    #[must_use]
    pub fn spec(&self) -> Spec {
        Spec {
            size: ClusterSize::try_from(self.size).unwrap(),
            zones: ZoneChoice::Discover,
            zone_spread: ZoneSpread::Preferred,
            topology_key: "zone".to_owned(),
            storage_class: None,
            paused: self.paused,
            drain_zones: self.drain.iter().map(|zone| zone_name(*zone)).collect(),
            leader_zones: self.leaders.iter().map(|zone| zone_name(*zone)).collect(),
            zone_outage: ZoneOutage::Wait,
            rebalance: Rebalance::Manual,
            replacement: Replacement {
                policy: ReplacementPolicy::Automatic,
                unreachable_after_seconds: UNREACHABLE_SECONDS,
                max_per_day: 30,
            },
            rollout: Rollout::Automatic,
            keep_replaced_seconds: KEEP_SECONDS,
            hibernated: self.hibernated,
            fenced: self.fenced.iter().copied().map(MemberId).collect(),
        }
    }
}

/// A zone's name.
#[must_use]
pub fn zone_name(zone: ZoneNo) -> Zone {
    Zone::new(format!("zone-{}", char::from(b'a' + zone)))
}

/// The inverse of [`zone_name`].
#[must_use]
pub fn zone_number(zone: &Zone) -> ZoneNo {
    let letter = zone.as_str().bytes().last().unwrap_or(b'a');
    letter.saturating_sub(b'a')
}
