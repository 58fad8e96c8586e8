//! What happens to members that are out: their StatefulSet goes at once, their volume after a while.

use super::roster::{Roster, Standing};
use crate::MemberId;
use crate::observed::UnixSeconds;
use crate::spec::Spec;
use crate::steps::Step;

/// Steps for members that were removed, and for those that nobody wants any more.
///
/// Only with the word of a leader that a read through quorum has just shown to lead: its membership is the
/// committed one.
pub(super) fn steps(
    roster: &Roster<'_>,
    unwanted: &[MemberId],
    spec: &Spec,
    now: UnixSeconds,
) -> Vec<Step> {
    // Half way, those that leave are still needed by the old set of voters.
    if roster.authority.is_none_or(|is| is.membership.joint) {
        return Vec::new();
    }
    let out = |id: &MemberId| match roster.standing(*id) {
        Standing::Removed => true,
        // One that was marked stays marked: its ID is never given again.
        Standing::Joining => {
            unwanted.contains(id) || roster.retired(*id) || roster.volume(*id).is_none()
        }
        Standing::Voter | Standing::Learner | Standing::Unknown => false,
    };
    // Also where only a StatefulSet is left: a look that was overtaken may have made it anew.
    let mut ids = roster.ids();
    ids.extend(roster.observed.members.keys());
    let ids = ids.into_iter().filter(out);
    ids.filter_map(|id| step(roster, id, spec, now)).collect()
}

fn step(roster: &Roster<'_>, id: MemberId, spec: &Spec, now: UnixSeconds) -> Option<Step> {
    let member = roster.member(id);
    let objects = member.is_some_and(|member| member.set.is_some());
    let volume = roster.volume(id);
    match volume.and_then(|volume| volume.retired) {
        None => {
            let at = volume.map(|_| now);
            (objects || volume.is_some()).then_some(Step::Retire { id, at })
        }
        Some(_) if objects => Some(Step::Retire { id, at: None }),
        Some(since) => {
            let over = now.0 - since.0 >= spec.keep_replaced_seconds;
            let pod = member.is_some_and(|member| member.pod.is_some());
            let going = volume.is_some_and(|volume| volume.terminating);
            (over && !pod && !going).then_some(Step::DeleteVolume { id })
        }
    }
}
