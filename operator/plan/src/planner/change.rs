//! Changing who the members are: replace, scale, drain, rebalance. All of them are one verb: new members
//! join without a vote and catch up, then one change makes the final, odd set of voters, then those that
//! left are retired. What was begun for another wish is undone first, so a new wish is honoured at any time.

use std::collections::BTreeSet;

use super::joiners::Joiners;
use super::loss::{self, Losses};
use super::reserve;
use super::roster::{Authority, Roster, Standing};
use super::trouble;
use crate::limits::ZONES_FOR_TOLERANCE;
use crate::observed::{Life, Reservation, UnixSeconds};
use crate::operation::{Gate, Gated, Operation, OperationKind};
use crate::placement::{Holder, Target, most_in_a_zone, target};
use crate::quorum::quorum;
use crate::spec::{Rebalance, Spec, ZoneChoice, ZoneSpread};
use crate::steps::{Blocked, BlockedReason, Step};
use crate::{MemberId, Zone};

/// What a change of members comes to in this look.
#[derive(Default)]
pub(super) struct Change {
    pub(super) steps: Vec<Step>,
    pub(super) operation: Option<Operation>,
    pub(super) blocked: Vec<Blocked>,
    /// Members on their way in that nobody wants any more.
    pub(super) unwanted: Vec<MemberId>,
}

/// Decides the next step towards the voters that are asked for; an empty change where they are there.
pub(super) fn decide(
    roster: &Roster<'_>,
    spec: &Spec,
    reservation: &Reservation,
    losses: &Losses,
    now: UnixSeconds,
) -> Change {
    let Some(authority) = roster.authority else {
        return Change::default();
    };
    let zones = zones(roster, spec, reservation, losses, now);
    let want = wanted(roster, spec, losses, &zones);
    let seats = Joiners::of(roster, losses, &want);
    if want.add.is_empty() && want.leave.is_empty() && seats.unwanted.is_empty() {
        return Change::default();
    }
    let kind = kind(roster, spec, losses, &want);
    let maker = Maker {
        roster,
        spec,
        authority,
        want: &want,
        joiners: &seats,
        replaces: kind == OperationKind::Replace,
    };
    let (steps, gate, blocked) = match maker.next() {
        Next::Do(steps) => (steps, None, None),
        Next::Wait(gated) => (Vec::new(), Some(gated), None),
        Next::Stop(blocked) => (Vec::new(), None, Some(blocked)),
    };
    let member = losses.lost.first().copied();
    Change {
        steps,
        operation: Some(Operation { kind, member, gate }),
        blocked: blocked.into_iter().collect(),
        unwanted: seats.unwanted.clone(),
    }
}

/// The zones that may hold members, those that can take one first.
fn zones(
    roster: &Roster<'_>,
    spec: &Spec,
    reservation: &Reservation,
    losses: &Losses,
    now: UnixSeconds,
) -> Vec<Zone> {
    if spec.zone_spread == ZoneSpread::Disabled {
        return Vec::new();
    }
    let there = &roster.observed.world.zones;
    let mut zones: Vec<Zone> = match &spec.zones {
        ZoneChoice::Listed(listed) => listed.clone(),
        ZoneChoice::Discover => {
            let mut zones = reservation.zones.clone();
            let voters = roster.with_standing(Standing::Voter);
            zones.extend(voters.filter_map(|id| roster.zone(id)));
            zones.extend(there.keys().cloned());
            zones
        }
    };
    let mut seen = BTreeSet::new();
    zones.retain(|zone| seen.insert(zone.clone()) && !spec.drain_zones.contains(zone));
    let given_up = loss::zones_given_up(roster, spec, losses, now);
    let left: Vec<Zone> = zones
        .iter()
        .filter(|zone| !given_up.contains(*zone))
        .cloned()
        .collect();
    // Where fewer than three would be left, one of them would get a quorum.
    if left.len() >= ZONES_FOR_TOLERANCE {
        zones = left;
    }
    let mut room: Vec<(usize, Zone)> = zones
        .into_iter()
        .map(|zone| (there.get(&zone).copied().unwrap_or(0), zone))
        .collect();
    // Stable: the order of zones decides among equals.
    room.sort_by_key(|(nodes, _)| std::cmp::Reverse(*nodes));
    room.into_iter().map(|(_, zone)| zone).collect()
}

fn wanted(roster: &Roster<'_>, spec: &Spec, losses: &Losses, zones: &[Zone]) -> Target {
    let leader = roster.authority.map(|authority| authority.leader);
    let holders: Vec<Holder> = roster
        .with_standing(Standing::Voter)
        .map(|id| {
            let member = roster.assigned(id);
            let zone = member.zone.as_ref();
            let astray = !zones.is_empty() && zone.is_some_and(|zone| !zones.contains(zone));
            Holder {
                must_leave: losses.lost.contains(&id) || astray,
                healthy: roster.healthy(id),
                leads: leader == Some(id),
                member,
            }
        })
        .collect();
    let even = spec.rebalance == Rebalance::Auto;
    target(&holders, spec.size.members(), zones, even)
}

fn kind(roster: &Roster<'_>, spec: &Spec, losses: &Losses, want: &Target) -> OperationKind {
    let voters = roster.with_standing(Standing::Voter).count();
    let drained = |id: &MemberId| {
        let zone = roster.zone(*id);
        zone.is_some_and(|zone| spec.drain_zones.contains(&zone))
    };
    if !losses.lost.is_empty() {
        OperationKind::Replace
    } else if voters != spec.size.members() {
        OperationKind::Scale
    } else if want.leave.iter().any(drained) {
        OperationKind::Drain
    } else {
        OperationKind::Rebalance
    }
}

enum Next {
    Do(Vec<Step>),
    Wait(Gated),
    Stop(Blocked),
}

struct Maker<'a> {
    roster: &'a Roster<'a>,
    spec: &'a Spec,
    authority: Authority<'a>,
    want: &'a Target,
    joiners: &'a Joiners,
    replaces: bool,
}

impl Maker<'_> {
    fn next(&self) -> Next {
        let voters: Vec<MemberId> = self.roster.with_standing(Standing::Voter).collect();
        if self.authority.membership.joint {
            let message = "a membership change is half done; the leader finishes it";
            return Next::Wait(Gated::new(Gate::Uniform, message));
        }
        if !self.roster.quorum_without(&voters, None) {
            let message = "too few voters are up to date to take a change";
            return Next::Wait(Gated::new(Gate::Quorum, message));
        }
        if let Some(steps) = self.dismiss() {
            return Next::Do(steps);
        }
        if let Some(blocked) = self.zone_quorum() {
            return Next::Stop(blocked);
        }
        if !self.joiners.missing.is_empty() {
            return match self.enlist() {
                Ok(steps) => Next::Do(steps),
                Err(blocked) => Next::Stop(blocked),
            };
        }
        match self.admit() {
            Ok(Some(step)) => return Next::Do(vec![step]),
            Ok(None) => {}
            Err(gated) => return Next::Wait(gated),
        }
        self.swap()
    }

    fn via(&self) -> MemberId {
        self.authority.leader
    }

    fn expected(&self) -> (u64, u64) {
        self.authority.membership.log
    }

    /// Members that nobody wants: out of the membership first; their objects go once they are out.
    fn dismiss(&self) -> Option<Vec<Step>> {
        let learner = |id: &&MemberId| self.roster.standing(**id) == Standing::Learner;
        self.joiners.unwanted.iter().find(learner).map(|id| {
            vec![Step::RemoveLearner {
                via: self.via(),
                expected: self.expected(),
                id: *id,
            }]
        })
    }

    /// The final set must not give a zone what it must not have (I5).
    fn zone_quorum(&self) -> Option<Blocked> {
        let of = |ids: &BTreeSet<MemberId>| -> Vec<Option<Zone>> {
            ids.iter().map(|id| self.roster.zone(*id)).collect()
        };
        let mut after = of(&self.want.keep);
        after.extend(self.want.add.iter().cloned());
        let mut before = of(&self.want.keep);
        before.extend(of(&self.want.leave));
        let size = after.len();
        let allowed = (size - 1) / 2;
        let (most_before, most) = (
            most_in_a_zone(before.iter().map(Option::as_ref)),
            most_in_a_zone(after.iter().map(Option::as_ref)),
        );
        // A share counts, not a number: 2 of 3 in a zone may become 3 of 5, never 2 of 5 become 3 of 5.
        let had = most_before >= quorum(before.len());
        (most > allowed && size > 1 && !had).then(|| {
            Blocked::new(
                BlockedReason::ZoneQuorum,
                format!(
                    "{most} of {size} voters would be in one zone, whose loss would then lose quorum: add schedulable nodes in another zone, or drain fewer zones"
                ),
            )
        })
    }

    fn enlist(&self) -> Result<Vec<Step>, Blocked> {
        reserve::storage_class(self.roster.observed, self.spec)?;
        let there = &self.roster.observed.world.zones;
        let full = self.joiners.missing.iter().find_map(|zone| {
            let zone = zone.as_ref()?;
            (!there.contains_key(zone)).then_some(zone)
        });
        if let Some(zone) = full {
            return Err(Blocked::new(
                BlockedReason::NotEnoughZones,
                format!(
                    "a new member belongs into {zone}, and no schedulable node has the label {}={zone}: add a node there, or drain {zone} in spec.placement.drainZones",
                    self.spec.topology_key
                ),
            ));
        }
        // One at a time: the next look sees it, and asks for the one after it.
        let enlist = |zone: &Option<Zone>| Step::Enlist {
            via: self.via(),
            key: format!("after-{}", self.newest()),
            zone: zone.clone(),
            replaces: self.replaces,
        };
        Ok(self.joiners.missing.iter().take(1).map(enlist).collect())
    }

    /// The newest member of which anything is known. Whoever wants the next one, by whatever caches and for
    /// whatever zone, asks for it by the same key, so that nobody makes a second one for the same place.
    fn newest(&self) -> MemberId {
        let known = self.roster.ids().into_iter();
        let known = known.chain(self.authority.membership.removed.iter().copied());
        known.max().unwrap_or(MemberId(0))
    }

    /// The next one that runs and waits becomes a learner.
    fn admit(&self) -> Result<Option<Step>, Gated> {
        let joining = |id: &&MemberId| self.roster.standing(**id) == Standing::Joining;
        let mut waiting = Vec::new();
        for id in self.joiners.wanted.iter().filter(joining) {
            let report = self.roster.report(*id);
            match report.filter(|report| report.life == Life::Waiting) {
                Some(report) => {
                    return Ok(Some(Step::AddLearner {
                        via: self.via(),
                        expected: self.expected(),
                        member: self.roster.assigned(*id),
                        store_uuid: report.store_uuid.clone(),
                    }));
                }
                None => waiting.push(trouble::silence(self.roster.observed, *id)),
            }
        }
        if waiting.is_empty() {
            return Ok(None);
        }
        Err(Gated::new(Gate::MemberUp, waiting.join("; ")))
    }

    /// Everybody who is needed has joined: one change to the final set, the leader handed over first.
    fn swap(&self) -> Next {
        let behind: Vec<String> = self
            .joiners
            .wanted
            .iter()
            .filter(|id| !self.roster.healthy(**id))
            .map(|id| match self.roster.seat(*id).and_then(|seat| seat.lag) {
                Some(lag) if lag > 0 => format!("{id} lags by {lag} entries"),
                _ => format!("{id} is not ready yet"),
            })
            .collect();
        if !behind.is_empty() {
            return Next::Wait(Gated::new(Gate::CaughtUp, behind.join("; ")));
        }
        let mut after: Vec<MemberId> = self.want.keep.iter().copied().collect();
        after.extend(&self.joiners.wanted);
        after.sort_unstable();
        if self.want.leave.is_empty() && self.want.add.is_empty() {
            // Only objects of members that nobody wants are left, and they are retired elsewhere.
            return Next::Do(Vec::new());
        }
        if !self.roster.quorum_without(&after, None) {
            let message = "too few of the voters after the change are up to date";
            return Next::Wait(Gated::new(Gate::Quorum, message));
        }
        // Where nobody stays, the leader makes the change and then steps down.
        if self.want.leave.contains(&self.via()) && !self.want.keep.is_empty() {
            let fit = self.want.keep.iter().find(|id| self.roster.healthy(**id));
            return match fit {
                Some(to) => Next::Do(vec![Step::TransferLeader {
                    via: self.via(),
                    to: *to,
                }]),
                None => Next::Wait(Gated::new(
                    Gate::Quorum,
                    "no voter that stays is up to date enough to lead",
                )),
            };
        }
        Next::Do(vec![Step::ChangeVoters {
            via: self.via(),
            expected: self.expected(),
            voters: after,
        }])
    }
}
