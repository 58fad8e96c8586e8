//! What keeps a cluster from being what was asked for, in words that say what to do.

use super::roster::Roster;
use crate::MemberId;
use crate::assess::{Assessment, MemberHealth};
use crate::limits::{STARTUP_DEADLINE_SECONDS, UNSCHEDULABLE_PATIENCE_SECONDS};
use crate::observed::{Life, Observed, UnixSeconds};
use crate::quorum::quorum;
use crate::steps::{Blocked, BlockedReason};

pub(super) fn name_taken(observed: &Observed) -> Blocked {
    Blocked::new(
        BlockedReason::NameTaken,
        format!(
            "{} already there and not part of this cluster: delete it, or give this KvCluster another name",
            observed.foreign.join(", ")
        ),
    )
}

/// Members whose store is empty, while nobody leads who could have them replaced.
pub(super) fn data_lost(roster: &Roster<'_>) -> Option<Blocked> {
    if roster.authority.is_some() {
        return None;
    }
    let recorded = |id: &MemberId| {
        let volume = roster.volume(*id);
        volume.is_some_and(|volume| volume.store_uuid.is_some() && volume.retired.is_none())
    };
    let empty: Vec<String> = roster
        .ids()
        .into_iter()
        .filter(recorded)
        .filter(|id| {
            let report = roster.report(*id);
            report.is_some_and(|report| report.life == Life::Waiting)
        })
        .map(|id| id.to_string())
        .collect();
    (!empty.is_empty()).then(|| {
        Blocked::new(
            BlockedReason::DataLost,
            format!(
                "the store of {} is empty, though this cluster was alive before: put the right disk back; an empty store is never initialized again",
                empty.join(", ")
            ),
        )
    })
}

/// Fewer voters answer than must agree: said at once, and never mended by a guess.
pub(super) fn quorum_lost(
    roster: &Roster<'_>,
    assessment: &Assessment,
    now: UnixSeconds,
) -> Option<Outage> {
    if roster.authority.is_some() {
        return None;
    }
    let voters = assessment.tolerance.voters;
    let needed = quorum(voters);
    let of_voters = |member: &&MemberHealth| member.votes;
    let members = || assessment.members.iter().filter(of_voters);
    let answers = |member: &&MemberHealth| {
        let report = roster.report(member.id);
        report.is_some_and(|report| report.initialized)
    };
    let alive = members().filter(answers).count();
    if alive >= needed {
        // An election, or a link between them: they may well agree in a moment.
        return None;
    }
    let missing: Vec<String> = members()
        .filter(|member| !answers(member))
        .map(|member| {
            let problem = member.problem.as_deref().unwrap_or("it does not answer");
            format!("{}: {problem}", member.id)
        })
        .collect();
    let starting = members().filter(|member| !answers(member));
    let starting = starting
        .filter(|member| comes_up(roster, member.id, now))
        .count();
    let reason = Blocked::new(
        BlockedReason::QuorumLost,
        format!(
            "{alive} of {voters} voters answer and {needed} must agree, so nothing can be written or read through quorum ({}): bring {} of them back; until then no member, volume or healthy pod is touched, and nothing is initialized anew",
            missing.join("; "),
            needed - alive
        ),
    );
    Some(Outage {
        reason,
        comes_up: alive + starting >= needed,
    })
}

/// Too few voters answer.
pub(super) struct Outage {
    pub(super) reason: Blocked,
    /// Enough of the others start just now, as after a sleep or where a KvCluster takes its data up: waited
    /// for, and nobody's business yet.
    pub(super) comes_up: bool,
}

/// Whether this member is on its way up: its pod is young and nothing is wrong with it, or has yet to be made.
fn comes_up(roster: &Roster<'_>, id: MemberId, now: UnixSeconds) -> bool {
    let young = |since: UnixSeconds| now.0 - since.0 <= STARTUP_DEADLINE_SECONDS;
    let volume = roster.volume(id);
    let usable = volume.is_some_and(|volume| volume.problem.is_none() && !volume.terminating);
    let pod = match roster.pod(id) {
        Some(pod) => pod.problem.is_none() && !pod.node_down && pod.created.is_some_and(young),
        None => young(roster.observed.created),
    };
    let empty = roster
        .report(id)
        .is_some_and(|report| report.life == Life::Waiting);
    usable && pod && !empty
}

pub(super) fn volume_lost(id: MemberId, how: &str) -> Blocked {
    Blocked::new(
        BlockedReason::VolumeLost,
        format!(
            "the volume of {id} {how}: if its disk still exists, restore the claim with its annotations; a member never gets an empty disk under its old ID"
        ),
    )
}

/// Why a member that is on its way up does not answer yet.
pub(super) fn silence(observed: &Observed, id: MemberId) -> String {
    let volume = observed.volumes.get(&id);
    let member = observed.members.get(&id);
    let pod = member.and_then(|member| member.pod.as_ref());
    let pod_problem = pod.and_then(|pod| pod.problem.as_ref());
    match (volume.and_then(|is| is.problem.as_ref()), pod_problem, pod) {
        (Some(problem), _, _) => format!("{id}: {problem}"),
        (None, Some(problem), _) => format!("{id}: {}", problem.message),
        (None, None, None) => format!("{id}: has no pod yet"),
        (None, None, Some(_)) => format!("{id}: does not answer yet"),
    }
}

pub(super) fn not_starting(
    observed: &Observed,
    waiting: &[String],
    now: UnixSeconds,
) -> Option<Blocked> {
    let late = now.0 - observed.created.0 > STARTUP_DEADLINE_SECONDS;
    (late && !waiting.is_empty()).then(|| {
        Blocked::new(
            BlockedReason::MembersNotStarting,
            format!(
                "not up after {STARTUP_DEADLINE_SECONDS} s: {}; look at the events and logs of the pods",
                waiting.join("; ")
            ),
        )
    })
}

pub(super) fn unschedulable(observed: &Observed, now: UnixSeconds) -> Option<Blocked> {
    let stuck: Vec<String> = observed
        .members
        .iter()
        .filter_map(|(id, member)| {
            let problem = member.pod.as_ref()?.problem.as_ref()?;
            let since = problem.unschedulable_since?;
            let patient = now.0 - since.0 <= UNSCHEDULABLE_PATIENCE_SECONDS;
            (!patient).then(|| format!("{id}: {}", problem.message))
        })
        .collect();
    (!stuck.is_empty()).then(|| {
        Blocked::new(
            BlockedReason::Unschedulable,
            format!(
                "no node takes {}; add nodes or free resources, or set spec.placement.nodeSpread to Preferred",
                stuck.join("; ")
            ),
        )
    })
}
