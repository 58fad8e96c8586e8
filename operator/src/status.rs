//! What is said about a cluster: from one look to the complete status. Pure.

mod conditions;

use kvorum_api::{KvClusterStatus, MemberRole, MemberStatus, Summary, ZoneStatus};
use kvorum_plan::assess::{MemberHealth, Role};
use kvorum_plan::observed::{Observed, Reservation, Stage};
use kvorum_plan::steps::Phase;
use kvorum_plan::{Assessment, Plan};

pub use conditions::{Conditions, get, is_true};

use crate::act::Outcome;
use crate::validate::ValidCluster;

/// One look, with what came of it.
pub struct Look<'a> {
    /// What is asked for.
    pub cluster: &'a ValidCluster,
    /// What was said before.
    pub previous: &'a KvClusterStatus,
    /// What was seen.
    pub observed: &'a Observed,
    /// What was decided.
    pub plan: &'a Plan,
    /// What was done.
    pub outcome: &'a Outcome,
    /// Seconds since 1970.
    pub now: i64,
}

/// The complete status.
#[must_use]
pub fn status(look: &Look<'_>) -> KvClusterStatus {
    let assessment = look
        .plan
        .reservation
        .as_ref()
        .map(|reservation| Assessment::of(look.observed, reservation));
    let mut status = identity(look);
    status.observed_generation = look.cluster.generation;
    status.conditions = conditions::all(look, assessment.as_ref());
    if let (Some(assessment), Some(reservation)) = (&assessment, &look.plan.reservation) {
        describe(&mut status, look, assessment, reservation);
    }
    status
}

/// What must never be lost from one status to the next.
fn identity(look: &Look<'_>) -> KvClusterStatus {
    let previous = look.previous;
    let mut status = KvClusterStatus {
        cluster_id: previous.cluster_id.clone(),
        planned_zones: previous.planned_zones.clone(),
        bootstrapped: previous.bootstrapped,
        membership_log_id: previous.membership_log_id.clone(),
        version: previous.version.clone(),
        selector: Some(format!(
            "{}={}",
            crate::names::CLUSTER_LABEL,
            look.cluster.names.cluster
        )),
        ..KvClusterStatus::default()
    };
    if let (Some(reservation), Some(_)) = (&look.plan.reservation, look.outcome.reserved) {
        status.cluster_id = Some(reservation.cluster_id.to_string());
        status.planned_zones = reservation.zones.iter().map(ToString::to_string).collect();
    }
    let frozen = look.plan.phase == Phase::Frozen;
    let latched = look.outcome.latched.max(look.outcome.reserved);
    let alive = look.plan.phase == Phase::Running || latched == Some(Stage::Bootstrapped);
    status.bootstrapped |= alive && !frozen && status.cluster_id.is_some();
    status
}

fn describe(
    status: &mut KvClusterStatus,
    look: &Look<'_>,
    assessment: &Assessment,
    reservation: &Reservation,
) {
    let names = &look.cluster.names;
    let tolerance = &assessment.tolerance;
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let in_cluster = assessment.membership_log.is_some();
    status.voters = if in_cluster {
        number(tolerance.voters)
    } else {
        0
    };
    status.summary = Some(Summary {
        voters: format!("{}/{}", tolerance.live, tolerance.voters),
        can_lose_members: number(tolerance.members),
        can_lose_zone: tolerance.zones_short(),
        leader: leader(assessment),
    });
    status.zones = zones(assessment);
    status.members = assessment
        .members
        .iter()
        .map(|member| MemberStatus {
            id: i64::try_from(member.id.0).unwrap_or(i64::MAX),
            name: names.member(member.id),
            zone: member.zone.as_ref().map(ToString::to_string),
            node: member.node.clone(),
            role: match member.role {
                Role::Pending => MemberRole::Pending,
                Role::Voter => MemberRole::Voter,
                Role::Learner => MemberRole::Learner,
            },
            ready: member.ready,
            leader: member.leader,
            version: member.version.clone(),
            store_uuid: member.store_uuid.clone(),
            pvc: names.volume(member.id),
            problem: member.problem.as_deref().map(|problem| cut(problem, 1024)),
        })
        .collect();
    status.endpoints = reservation
        .size
        .first_ids()
        .map(|id| names.client_url(id))
        .collect();
    if let Some((term, index)) = assessment.membership_log {
        status.membership_log_id = Some(format!("{term}-{index}"));
    }
    let versions = assessment
        .members
        .iter()
        .filter_map(|member| member.version.as_ref());
    if let Some(oldest) = versions.min_by_key(|version| numbers_in(version)) {
        status.version = Some(oldest.clone());
    }
}

fn leader(assessment: &Assessment) -> Option<String> {
    let leads = |member: &&MemberHealth| member.leader && member.live;
    let leader = assessment.members.iter().find(leads)?;
    Some(match &leader.zone {
        Some(zone) => format!("{} ({zone})", leader.id),
        None => leader.id.to_string(),
    })
}

fn zones(assessment: &Assessment) -> Vec<ZoneStatus> {
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let inside = |zone, live: bool| {
        let of_zone = |member: &&MemberHealth| member.zone.as_ref() == Some(zone);
        let members = assessment.members.iter().filter(of_zone);
        number(members.filter(|member| !live || member.live).count())
    };
    assessment
        .tolerance
        .zones
        .iter()
        .map(|(zone, can_lose)| ZoneStatus {
            name: zone.to_string(),
            members: inside(zone, false),
            live: inside(zone, true),
            can_lose: *can_lose,
        })
        .collect()
}

/// The numbers in a version, so that 0.9 comes before 0.10.
fn numbers_in(version: &str) -> Vec<u64> {
    version
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

/// At most so many bytes, at a boundary of characters.
pub(crate) fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = (0..=bytes_max.saturating_sub(3))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    format!("{}...", &text[..end.unwrap_or(0)])
}

#[cfg(test)]
mod tests;
