//! Members on their way in: which of them are wanted, and where nobody is on the way yet.

use super::loss::Losses;
use super::roster::{Roster, Standing};
use crate::observed::Loss;
use crate::placement::Target;
use crate::{MemberId, Zone};

/// Members that are on their way in.
pub(super) struct Joiners {
    /// Each where one is wanted.
    pub(super) wanted: Vec<MemberId>,
    /// Left over from an earlier wish, or lost.
    pub(super) unwanted: Vec<MemberId>,
    /// Zones that nobody is on the way to.
    pub(super) missing: Vec<Option<Zone>>,
}

impl Joiners {
    pub(super) fn of(roster: &Roster<'_>, losses: &Losses, want: &Target) -> Self {
        let learners = roster.with_standing(Standing::Learner);
        let joining = roster.with_standing(Standing::Joining);
        let proven_lost = |id: &MemberId| {
            let suspicion = losses.suspicions.get(id);
            suspicion.is_some_and(|is| is.loss != Loss::Unreachable)
        };
        // The one that is furthest goes first.
        let (mut free, mut unwanted): (Vec<MemberId>, Vec<MemberId>) = learners
            .chain(joining.filter(|id| !roster.retired(*id)))
            .partition(|id| !proven_lost(id) && !roster.retired(*id) && !hopeless(roster, *id));
        let (mut wanted, mut missing) = (Vec::new(), Vec::new());
        for zone in &want.add {
            match free.iter().position(|id| roster.zone(*id) == *zone) {
                Some(place) => wanted.push(free.remove(place)),
                None => missing.push(zone.clone()),
            }
        }
        unwanted.extend(free);
        Self {
            wanted,
            unwanted,
            missing,
        }
    }
}

/// Never added, and it never will be: there is nothing to lose with it.
fn hopeless(roster: &Roster<'_>, id: MemberId) -> bool {
    let volume = roster.volume(id);
    let going = volume.is_some_and(|is| is.terminating || is.node_gone);
    let runs = roster.report(id).is_some();
    going && !runs && roster.standing(id) == Standing::Joining
}
