//! What is said about a cluster: from one look to the complete status. Pure.

mod conditions;

use kvorum_api::{
    KvClusterStatus, MemberRole, MemberStatus, OperationStatus, RetiredStatus, Summary, TlsStatus,
    ZoneStatus,
};
use kvorum_plan::assess::{MemberHealth, Role};
use kvorum_plan::limits::{REPLACEMENT_WINDOW_SECONDS, REPLACEMENTS_KEPT};
use kvorum_plan::observed::{Observed, Stage};
use kvorum_plan::steps::Phase;
use kvorum_plan::{Assessment, MemberId, Plan};

pub use conditions::{Conditions, get, is_true};

use crate::act::Outcome;
use crate::certificates::{Found, Leaf};
use crate::limits::RETIRED_SHOWN_MAX;
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
    /// The certificates that are kept, where there is TLS.
    pub certificates: Option<&'a Found>,
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
    status.tls = tls(look);
    if let Some(assessment) = &assessment {
        describe(&mut status, look, assessment);
    }
    status
}

/// How members talk.
fn tls(look: &Look<'_>) -> Option<TlsStatus> {
    let found = look.certificates?;
    Some(TlsStatus {
        transport: look.cluster.transport.to_string(),
        not_after: found.kept.not_after(),
        authorities: found.stand().as_str().to_owned(),
        client_secret: look
            .cluster
            .leaves()
            .contains(&Leaf::Client)
            .then(|| look.cluster.names.leaf_secret(Leaf::Client)),
    })
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
        replacements: replacements(look),
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

fn describe(status: &mut KvClusterStatus, look: &Look<'_>, assessment: &Assessment) {
    let names = &look.cluster.names;
    let tolerance = &assessment.tolerance;
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let suspicion = |id: MemberId| look.plan.suspicions.get(&id);
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
            loss: suspicion(member.id).map(|is| is.loss.as_str().to_owned()),
            loss_since: suspicion(member.id).map(|is| is.since.0),
        })
        .collect();
    let in_service = assessment.members.iter().filter(|member| member.votes);
    status.endpoints = in_service
        .map(|member| names.client_url(member.id))
        .collect();
    status.operation = operation(look);
    status.retired = retired(look);
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

/// What is under way, with the time at which it began.
fn operation(look: &Look<'_>) -> Option<OperationStatus> {
    let now = look.plan.operation.as_ref()?;
    let type_ = now.kind.as_str();
    let before = look.previous.operation.as_ref();
    let same = before.filter(|before| before.type_ == type_);
    let gate = now.gate.as_ref();
    Some(OperationStatus {
        type_: type_.to_owned(),
        member: now.member.map(|id| look.cluster.names.member(id)),
        gate: gate.map(|gated| gated.gate.as_str().to_owned()),
        waiting_for: gate.map(|gated| {
            let text = format!("gate {}: {}", gated.gate.as_str(), gated.message);
            cut(&text, 1024)
        }),
        since: same.map_or(look.now, |same| same.since),
    })
}

fn retired(look: &Look<'_>) -> Vec<RetiredStatus> {
    let keep = look.cluster.spec.keep_replaced_seconds;
    let volumes = look.observed.volumes.iter();
    let retired = volumes.filter_map(|(id, volume)| Some((*id, volume.retired?)));
    retired
        .map(|(id, since)| RetiredStatus {
            id: i64::try_from(id.0).unwrap_or(i64::MAX),
            pvc: look.cluster.names.volume(id),
            delete_after: since.0.saturating_add(keep),
        })
        .take(RETIRED_SHOWN_MAX)
        .collect()
}

/// Those of the last day, with those of this look.
fn replacements(look: &Look<'_>) -> Vec<i64> {
    let recent = |at: &i64| look.now - at < REPLACEMENT_WINDOW_SECONDS;
    let before = look.previous.replacements.iter().copied().filter(recent);
    let new = std::iter::repeat_n(look.now, look.outcome.replacements);
    let mut all: Vec<i64> = before.chain(new).collect();
    let surplus = all.len().saturating_sub(REPLACEMENTS_KEPT);
    all.split_off(surplus)
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
