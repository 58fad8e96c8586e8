//! The conditions of a cluster. Every type is there from the first look on; those that are a warning by
//! their mere presence (Reconciling, Stalled, Paused) are there only while they are True.

mod certificates;
mod obstacle;
mod tolerance;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kvorum_plan::observed::Observed;
use kvorum_plan::spec::Rollout;
use kvorum_plan::steps::{BlockedReason, Phase};
use kvorum_plan::{Assessment, Plan};

use super::{Look, cut};
use crate::limits::CONDITION_MESSAGE_BYTES_MAX;

/// A list of conditions in the making: the time of a condition only moves when its status does.
pub struct Conditions<'a> {
    previous: &'a [Condition],
    generation: i64,
    now: i64,
    list: Vec<Condition>,
}

impl<'a> Conditions<'a> {
    /// An empty list that follows on a previous one.
    #[must_use]
    pub fn after(previous: &'a [Condition], generation: i64, now: i64) -> Self {
        Self {
            previous,
            generation,
            now,
            list: Vec::new(),
        }
    }

    /// Adds a condition.
    pub fn add(&mut self, type_: &str, status: Option<bool>, reason: &str, message: &str) {
        let status = match status {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let before = get(self.previous, type_).filter(|before| before.status == status);
        let now = Time(Timestamp::from_second(self.now).unwrap_or(Timestamp::UNIX_EPOCH));
        self.list.push(Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: cut(message, CONDITION_MESSAGE_BYTES_MAX),
            observed_generation: Some(self.generation),
            last_transition_time: before.map_or(now, |before| before.last_transition_time.clone()),
        });
    }

    /// Takes a condition over as it was, if it was there.
    pub fn keep(&mut self, type_: &str) {
        self.list.extend(get(self.previous, type_).cloned());
    }

    /// The list.
    #[must_use]
    pub fn done(self) -> Vec<Condition> {
        self.list
    }
}

/// The condition of this type.
#[must_use]
pub fn get<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether the condition of this type is True.
#[must_use]
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    get(conditions, type_).is_some_and(|condition| condition.status == "True")
}

/// Every condition.
pub(super) fn all(look: &Look<'_>, assessment: Option<&Assessment>) -> Vec<Condition> {
    let generation = look.cluster.generation;
    let mut conditions = Conditions::after(&look.previous.conditions, generation, look.now);
    let obstacle = obstacle::find(look, assessment);
    match &obstacle {
        None if look.plan.phase == Phase::Hibernated => {
            let message = "The cluster sleeps, as it was asked to";
            conditions.add("Ready", Some(true), "Hibernated", message);
        }
        None => conditions.add(
            "Ready",
            Some(true),
            "AllMembersServe",
            "Every member serves clients",
        ),
        Some(obstacle) => {
            conditions.add("Ready", Some(false), &obstacle.reason, &obstacle.message);
            // What is paused is neither stuck nor on its way.
            if obstacle.stalled {
                conditions.add("Stalled", Some(true), &obstacle.reason, &obstacle.message);
            } else if look.plan.phase != Phase::Paused {
                conditions.add(
                    "Reconciling",
                    Some(true),
                    &obstacle.reason,
                    &obstacle.message,
                );
            }
        }
    }
    available(&mut conditions, look, assessment);
    tolerance::add(&mut conditions, assessment);
    members(&mut conditions, look, assessment);
    placement(&mut conditions, look, assessment);
    storage_and_identity(&mut conditions, look.plan);
    certificates::add(&mut conditions, look);
    if look.cluster.spec.paused {
        conditions.add(
            "Paused",
            Some(true),
            "SpecPaused",
            "Nothing is changed until spec.paused is false",
        );
    }
    if look.plan.phase == Phase::Hibernated {
        let message = "No member has a pod; spec.hibernated: false wakes the cluster";
        conditions.add("Hibernated", Some(true), "SpecHibernated", message);
    }
    conditions.done()
}

fn unready(assessment: &Assessment) -> String {
    let unready: Vec<String> = assessment
        .members
        .iter()
        .filter(|member| !member.ready)
        .map(|member| {
            let problem = member.problem.as_deref().unwrap_or("is not ready yet");
            format!("{}: {problem}", member.id)
        })
        .collect();
    unready.join("; ")
}

fn available(conditions: &mut Conditions<'_>, look: &Look<'_>, assessment: Option<&Assessment>) {
    let Some(assessment) = assessment.filter(|_| look.plan.phase != Phase::Bootstrapping) else {
        return conditions.add(
            "Available",
            Some(false),
            "NotBootstrapped",
            "The cluster is not formed yet",
        );
    };
    if look.plan.phase == Phase::Hibernated {
        let message = "No member has a pod, as it was asked for";
        conditions.add("Available", Some(false), "Hibernated", message);
    } else if assessment.available {
        conditions.add(
            "Available",
            Some(true),
            "QuorumReads",
            "A read through quorum has succeeded",
        );
    } else {
        let tolerance = &assessment.tolerance;
        let needed = kvorum_plan::quorum::quorum(tolerance.voters);
        let message = format!(
            "No read through quorum succeeded: {} of {} voters are alive, {needed} are needed",
            tolerance.live, tolerance.voters
        );
        conditions.add("Available", Some(false), "QuorumLost", &message);
    }
}

fn members(conditions: &mut Conditions<'_>, look: &Look<'_>, assessment: Option<&Assessment>) {
    match assessment {
        Some(assessment) if assessment.all_ready() => {
            conditions.add(
                "MembersHealthy",
                Some(true),
                "AllReady",
                "Every member is ready",
            );
        }
        Some(assessment) => {
            conditions.add(
                "MembersHealthy",
                Some(false),
                "MembersNotReady",
                &unready(assessment),
            );
        }
        None => conditions.add(
            "MembersHealthy",
            None,
            "NotCreated",
            "There are no members yet",
        ),
    }
    let pods = || {
        look.observed
            .members
            .iter()
            .filter_map(|(id, member)| Some((id, member.pod.as_ref()?)))
    };
    let old: Vec<String> = pods()
        .filter(|(_, pod)| !pod.up_to_date && !pod.terminating)
        .map(|(id, _)| look.cluster.names.pod(*id))
        .collect();
    if pods().next().is_none() {
        conditions.add(
            "MembersUpToDate",
            None,
            "NotCreated",
            "There are no pods yet",
        );
    } else if !old.is_empty() {
        let how = match look.cluster.spec.rollout {
            Rollout::OnDemand => "delete them one at a time, each after the last is Ready again",
            Rollout::Automatic | Rollout::PauseBeforeLeader => {
                "they are made anew one at a time, see status.operation"
            }
        };
        let message = format!("{} were made from an older template: {how}", old.join(", "));
        conditions.add("MembersUpToDate", Some(false), "OlderTemplate", &message);
    } else if !look.outcome.held_back.is_empty() {
        let held: Vec<String> = look
            .outcome
            .held_back
            .iter()
            .map(ToString::to_string)
            .collect();
        let message = format!(
            "This version of the operator would make the pods of {} differently; they change with your next change of the spec, or at once with spec.updates.applyOperatorChanges: Immediate",
            held.join(", ")
        );
        conditions.add("MembersUpToDate", Some(false), "RequiresUpdate", &message);
    } else {
        conditions.add(
            "MembersUpToDate",
            Some(true),
            "NewestTemplate",
            "Every pod has the newest template",
        );
    }
}

fn placement(conditions: &mut Conditions<'_>, look: &Look<'_>, assessment: Option<&Assessment>) {
    let blocked = [
        BlockedReason::NotEnoughZones,
        BlockedReason::Unschedulable,
        BlockedReason::ZoneQuorum,
    ];
    if let Some((reason, message)) = first_of(look.plan, &blocked) {
        return conditions.add("PlacementSatisfied", Some(false), reason, message);
    }
    let Some(assessment) = assessment else {
        return conditions.add(
            "PlacementSatisfied",
            None,
            "NotPlaced",
            "No zones are chosen yet",
        );
    };
    if !look.cluster.sees_nodes {
        let message = "The operator looks after single namespaces and may not see Nodes: pods are bound to their zones, and that nodes are labelled rightly cannot be checked";
        return conditions.add("PlacementSatisfied", None, "NodesNotVisible", message);
    }
    let mismatches = mismatches(look.observed, assessment);
    if mismatches.is_empty() {
        let message = "Every member that runs is in its zone";
        conditions.add("PlacementSatisfied", Some(true), "InZone", message);
    } else {
        let message = format!(
            "{}: correct the label of the node, or delete the pod so that it moves to its zone",
            mismatches.join("; ")
        );
        conditions.add("PlacementSatisfied", Some(false), "ZoneMismatch", &message);
    }
}

/// Members on a node whose label says another zone than the one they were given.
fn mismatches(observed: &Observed, assessment: &Assessment) -> Vec<String> {
    assessment
        .members
        .iter()
        .filter_map(|member| {
            let zone = member.zone.as_ref()?;
            let pod = observed.members.get(&member.id)?.pod.as_ref()?;
            let node = pod.node.as_ref()?;
            let is = pod.node_zone.as_ref();
            (is != Some(zone)).then(|| {
                let is = is.map_or_else(|| "no zone".to_owned(), |is| format!("zone {is}"));
                format!(
                    "{} belongs to zone {zone} and its node {node} is labelled with {is}",
                    member.id
                )
            })
        })
        .collect()
}

fn storage_and_identity(conditions: &mut Conditions<'_>, plan: &Plan) {
    let blocked = [
        BlockedReason::VolumeLost,
        BlockedReason::DataLost,
        BlockedReason::StorageClassMissing,
        BlockedReason::MemberLost,
    ];
    match first_of(plan, &blocked) {
        Some((reason, message)) => conditions.add("StorageHealthy", Some(false), reason, message),
        None if plan.reservation.is_none() => {
            conditions.add(
                "StorageHealthy",
                None,
                "NotCreated",
                "There are no volumes yet",
            );
        }
        None => conditions.add(
            "StorageHealthy",
            Some(true),
            "VolumesThere",
            "Every volume is there",
        ),
    }
    match first_of(plan, &[BlockedReason::IdentityConflict]) {
        Some((reason, message)) => {
            conditions.add("ConsistentIdentity", Some(false), reason, message);
        }
        None => conditions.add(
            "ConsistentIdentity",
            Some(true),
            "RecordsAgree",
            "Every record names the same cluster",
        ),
    }
}

fn first_of<'a>(plan: &'a Plan, reasons: &[BlockedReason]) -> Option<(&'static str, &'a str)> {
    let found = plan
        .blocked
        .iter()
        .find(|blocked| reasons.contains(&blocked.reason))?;
    Some((found.reason.as_str(), &found.message))
}
