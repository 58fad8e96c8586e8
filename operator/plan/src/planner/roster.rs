//! Who is who in a cluster that lives: every member with its objects, its own word, and the leader's.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::{HEARD_MILLIS_MAX, LAG_ENTRIES_MAX};
use crate::observed::{Life, Member, Membership, Observed, Pod, Report, Seat, Volume};
use crate::placement::Assigned;
use crate::quorum::quorum;
use crate::{MemberId, Zone};

/// The leader's word, if a read through quorum has just shown that it leads.
#[derive(Clone, Copy)]
pub(super) struct Authority<'a> {
    pub(super) leader: MemberId,
    pub(super) membership: &'a Membership,
}

/// What a member is to its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Voter,
    Learner,
    /// Has a volume, and was never added.
    Joining,
    /// Was removed.
    Removed,
    /// Has a volume; nobody who leads says what it is.
    Unknown,
}

/// Every member that has a volume or a seat.
pub(super) struct Roster<'a> {
    pub(super) observed: &'a Observed,
    pub(super) authority: Option<Authority<'a>>,
}

impl<'a> Roster<'a> {
    pub(super) fn of(observed: &'a Observed) -> Self {
        Self {
            observed,
            authority: authority(observed),
        }
    }

    pub(super) fn ids(&self) -> BTreeSet<MemberId> {
        let seats = self.authority.map(|authority| &authority.membership.seats);
        let seats = seats.into_iter().flat_map(BTreeMap::keys);
        self.observed.volumes.keys().chain(seats).copied().collect()
    }

    pub(super) fn standing(&self, id: MemberId) -> Standing {
        let Some(Authority { membership, .. }) = self.authority else {
            return Standing::Unknown;
        };
        match membership.seats.get(&id) {
            Some(seat) if seat.voter => Standing::Voter,
            Some(_) => Standing::Learner,
            None if membership.removed.contains(&id) => Standing::Removed,
            None => Standing::Joining,
        }
    }

    pub(super) fn with_standing(
        &self,
        wanted: Standing,
    ) -> impl Iterator<Item = MemberId> + use<'_, 'a> {
        self.ids()
            .into_iter()
            .filter(move |id| self.standing(*id) == wanted)
    }

    pub(super) fn volume(&self, id: MemberId) -> Option<&'a Volume> {
        self.observed.volumes.get(&id)
    }

    pub(super) fn retired(&self, id: MemberId) -> bool {
        self.volume(id)
            .is_some_and(|volume| volume.retired.is_some())
    }

    pub(super) fn member(&self, id: MemberId) -> Option<&'a Member> {
        self.observed.members.get(&id)
    }

    pub(super) fn pod(&self, id: MemberId) -> Option<&'a Pod> {
        self.member(id)?.pod.as_ref()
    }

    pub(super) fn report(&self, id: MemberId) -> Option<&'a Report> {
        self.member(id)?.report.as_ref()
    }

    pub(super) fn seat(&self, id: MemberId) -> Option<&'a Seat> {
        self.authority?.membership.seats.get(&id)
    }

    /// Where a member lives: as its volume says, or its seat where there is no volume.
    pub(super) fn zone(&self, id: MemberId) -> Option<Zone> {
        let seat = || self.seat(id).and_then(|seat| seat.zone.clone());
        let volume = self.volume(id);
        volume.map_or_else(seat, |volume| volume.zone.clone())
    }

    pub(super) fn assigned(&self, id: MemberId) -> Assigned {
        Assigned {
            id,
            zone: self.zone(id),
        }
    }

    /// Whether the leader heard of it just now and it has the log.
    pub(super) fn caught_up(&self, id: MemberId) -> bool {
        let leads = self.authority.is_some_and(|is| is.leader == id);
        let follows = self.seat(id).is_some_and(|seat| {
            seat.heard_millis.is_some_and(|ms| ms <= HEARD_MILLIS_MAX)
                && seat.lag.is_some_and(|lag| lag <= LAG_ENTRIES_MAX)
        });
        leads || follows
    }

    /// Caught up, and by its own word able to serve.
    pub(super) fn healthy(&self, id: MemberId) -> bool {
        self.caught_up(id) && self.report(id).is_some_and(|report| report.ready)
    }

    /// Healthy, and Kubernetes sends it clients.
    pub(super) fn serves(&self, id: MemberId) -> bool {
        let pod = self.pod(id);
        self.healthy(id) && pod.is_some_and(|pod| pod.ready && !pod.terminating)
    }

    /// Whether `voters` without `stopped` are a quorum that is healthy now.
    pub(super) fn quorum_without(&self, voters: &[MemberId], stopped: Option<MemberId>) -> bool {
        let rest = voters.iter().filter(|id| Some(**id) != stopped);
        let rest = rest.filter(|id| self.healthy(**id) && !self.leaving(**id));
        rest.count() >= quorum(voters.len())
    }

    /// Whether its pod is about to go: it may answer for a moment longer.
    pub(super) fn leaving(&self, id: MemberId) -> bool {
        self.stopped(id) || self.pod(id).is_some_and(|pod| pod.terminating)
    }

    /// Has no pod on purpose: fenced or hibernated.
    pub(super) fn stopped(&self, id: MemberId) -> bool {
        let set = self.member(id).and_then(|member| member.set);
        set.is_some_and(|set| !set.running)
    }

    /// Whether no pod of any voter in this zone serves, where the zone holds more than one or its nodes are
    /// away: then the zone is down, not its members.
    pub(super) fn zone_down(&self, zone: &Zone) -> bool {
        let inside: Vec<MemberId> = self
            .with_standing(Standing::Voter)
            .filter(|id| self.zone(*id).as_ref() == Some(zone))
            .collect();
        let silent = inside.iter().all(|id| !self.healthy(*id));
        let nodes_away = inside
            .iter()
            .all(|id| self.pod(*id).is_some_and(|pod| pod.node_down));
        !inside.is_empty() && silent && (inside.len() > 1 || nodes_away)
    }
}

fn authority(observed: &Observed) -> Option<Authority<'_>> {
    let reports = observed
        .members
        .iter()
        .filter_map(|(id, member)| Some((*id, member.report.as_ref()?)));
    let newest = reports.clone().map(|(_, report)| report.term).max()?;
    reports
        .filter(|(_, report)| report.life == Life::Leader && report.term == newest)
        .find(|(_, report)| report.initialized && report.confirmed)
        .map(|(leader, report)| Authority {
            leader,
            membership: &report.membership,
        })
}
