//! Which members are lost: what is seen now, for how long it was seen, and what forbids to act on it.

use std::collections::{BTreeMap, BTreeSet};

use super::roster::{Roster, Standing};
use crate::limits::{REPLACEMENT_WINDOW_SECONDS, TWO_PROOFS_SECONDS};
use crate::observed::{Loss, Suspicion, UnixSeconds};
use crate::operation::{Gate, Gated};
use crate::spec::{ReplacementPolicy, Spec};
use crate::steps::{Blocked, BlockedReason};
use crate::{MemberId, Zone};

/// What there is to know about losses.
#[derive(Default)]
pub(super) struct Losses {
    /// As seen now, with since when.
    pub(super) suspicions: BTreeMap<MemberId, Suspicion>,
    /// Voters to be given up.
    pub(super) lost: BTreeSet<MemberId>,
    /// Why others that look lost are not given up.
    pub(super) gated: Vec<(MemberId, Gated)>,
    /// Losses that need somebody.
    pub(super) blocked: Vec<Blocked>,
}

/// Judges every member that has a seat. At most one is given up at a time.
pub(super) fn judge(roster: &Roster<'_>, spec: &Spec, now: UnixSeconds) -> Losses {
    let mut losses = Losses {
        suspicions: suspicions(roster, now),
        ..Losses::default()
    };
    let voters = roster.with_standing(Standing::Voter);
    let suspects: Vec<(MemberId, Suspicion)> = voters
        .filter_map(|id| Some((id, *losses.suspicions.get(&id)?)))
        .collect();
    for (id, suspicion) in suspects {
        match verdict(roster, spec, id, suspicion, now) {
            Ok(()) if losses.lost.is_empty() => drop(losses.lost.insert(id)),
            Ok(()) => {}
            Err(Refused::Wait(gated)) => losses.gated.push((id, gated)),
            Err(Refused::Person(blocked)) => losses.blocked.push(blocked),
        }
    }
    losses
}

enum Refused {
    Wait(Gated),
    Person(Blocked),
}

fn verdict(
    roster: &Roster<'_>,
    spec: &Spec,
    id: MemberId,
    Suspicion { loss, since }: Suspicion,
    now: UnixSeconds,
) -> Result<(), Refused> {
    let wait = |gate, message| Err(Refused::Wait(Gated::new(gate, message)));
    let lasted = now.0 - since.0;
    let words = loss.in_words();
    let proof = loss != Loss::Unreachable;
    let needed = if proof {
        TWO_PROOFS_SECONDS
    } else {
        spec.replacement.unreachable_after_seconds
    };
    if lasted < needed {
        let message = format!("{id}: {words}; it is given up if that stays so for {needed} s");
        return wait(Gate::TwoProofs, message);
    }
    let zone = roster.zone(id);
    if let Some(zone) = zone.filter(|zone| !proof && roster.zone_down(zone)) {
        let message =
            format!("{id}: {words}, and neither of the rest of {zone}: waiting for the zone");
        return wait(Gate::ZoneDown, message);
    }
    let refused = match (spec.replacement.policy, proof) {
        (ReplacementPolicy::Manual, _) => Some("Manual"),
        (ReplacementPolicy::ProvenLossOnly, false) => Some("ProvenLossOnly"),
        (ReplacementPolicy::Automatic | ReplacementPolicy::ProvenLossOnly, _) => None,
    };
    if let Some(policy) = refused {
        return Err(Refused::Person(Blocked::new(
            BlockedReason::MemberLost,
            format!(
                "{id}: {words}, and spec.replacement.policy is {policy}: bring it back, or set the policy to Automatic so that another member takes its place"
            ),
        )));
    }
    let recent = roster.observed.status.replacements.iter();
    let recent = recent.filter(|at| now.0 - at.0 < REPLACEMENT_WINDOW_SECONDS);
    let (done, budget) = (recent.count(), spec.replacement.max_per_day);
    // A replacement that has begun is finished: its new member is there and counted.
    if done >= budget
        && roster.with_standing(Standing::Learner).next().is_none()
        && !joining(roster)
    {
        let message = format!(
            "{id}: {words}, and {done} members were replaced within a day: look for what destroys them, or raise spec.replacement.maxPerDay"
        );
        return wait(Gate::Budget, message);
    }
    Ok(())
}

fn joining(roster: &Roster<'_>) -> bool {
    roster
        .with_standing(Standing::Joining)
        .any(|id| !roster.retired(id))
}

fn suspicions(roster: &Roster<'_>, now: UnixSeconds) -> BTreeMap<MemberId, Suspicion> {
    let before = &roster.observed.status.suspicions;
    if roster.authority.is_none() {
        // Without a leader's word nobody's seat is known: what was seen stays as it was.
        return before.clone();
    }
    let seats = [Standing::Voter, Standing::Learner]
        .into_iter()
        .flat_map(|standing| roster.with_standing(standing));
    seats
        .filter_map(|id| {
            let loss = look(roster, id)?;
            let same = before.get(&id).filter(|suspicion| suspicion.loss == loss);
            let since = same.map_or(now, |suspicion| suspicion.since);
            Some((id, Suspicion { loss, since }))
        })
        .collect()
}

/// What makes this member look lost now.
fn look(roster: &Roster<'_>, id: MemberId) -> Option<Loss> {
    let Some(volume) = roster.volume(id) else {
        return Some(Loss::VolumeGone);
    };
    if volume.problem.is_some() {
        return Some(Loss::VolumeBroken);
    }
    if volume.terminating {
        return Some(Loss::VolumeGoing);
    }
    if let Some(report) = roster.report(id) {
        // One that was added a moment ago waits still: on the very store that it was added with.
        let seat = roster.seat(id).and_then(|seat| seat.store_uuid.as_ref());
        let registered = seat.or(volume.store_uuid.as_ref());
        let other = registered.is_some_and(|store| *store != report.store_uuid);
        return other.then_some(Loss::StoreGone);
    }
    if volume.node_gone {
        return Some(Loss::NodeGone);
    }
    (!roster.caught_up(id) && !roster.stopped(id)).then_some(Loss::Unreachable)
}

/// Zones whose members shall go elsewhere because the zone stays away.
pub(super) fn zones_given_up(
    roster: &Roster<'_>,
    spec: &Spec,
    losses: &Losses,
    now: UnixSeconds,
) -> BTreeSet<Zone> {
    if spec.zone_outage != crate::spec::ZoneOutage::Relocate {
        return BTreeSet::new();
    }
    let long_gone = |id: &MemberId| {
        let suspicion = losses.suspicions.get(id);
        suspicion.is_some_and(|suspicion| {
            now.0 - suspicion.since.0 >= spec.replacement.unreachable_after_seconds
        })
    };
    let voters: Vec<MemberId> = roster.with_standing(Standing::Voter).collect();
    let zones: BTreeSet<Zone> = voters.iter().filter_map(|id| roster.zone(*id)).collect();
    zones
        .into_iter()
        .filter(|zone| roster.zone_down(zone))
        .filter(|zone| {
            let mut inside = voters
                .iter()
                .filter(|id| roster.zone(**id).as_ref() == Some(zone));
            inside.all(long_gone)
        })
        .collect()
}
