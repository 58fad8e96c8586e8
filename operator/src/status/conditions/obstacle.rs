//! Why a cluster is not Ready, in the order in which people want to know.

use kvorum_plan::operation::OperationKind;
use kvorum_plan::steps::Phase;
use kvorum_plan::{Assessment, Plan};

use super::{Look, unready};

/// What keeps a cluster from going on: a reason, a sentence, and whether somebody must do something.
pub(super) struct Obstacle {
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) stalled: bool,
}

/// The most urgent one, if there is any.
pub(super) fn find(look: &Look<'_>, assessment: Option<&Assessment>) -> Option<Obstacle> {
    if let Some(first) = look.plan.blocked.first() {
        let all: Vec<&str> = look
            .plan
            .blocked
            .iter()
            .map(|blocked| blocked.message.as_str())
            .collect();
        return Some(Obstacle {
            reason: first.reason.as_str().to_owned(),
            message: all.join("; "),
            stalled: true,
        });
    }
    if let Some((step, error)) = &look.outcome.failure {
        return Some(Obstacle {
            reason: error.reason().to_owned(),
            message: format!("step {step}: {error}"),
            stalled: !error.is_transient(),
        });
    }
    let on_the_way = |reason: &str, message: String| {
        Some(Obstacle {
            reason: reason.to_owned(),
            message,
            stalled: false,
        })
    };
    match look.plan.phase {
        Phase::Deleting => {
            return on_the_way("Deleting", "The KvCluster is being deleted".to_owned());
        }
        Phase::Bootstrapping | Phase::Blocked | Phase::Frozen => {
            let waiting = if look.plan.waiting.is_empty() {
                "the cluster is being initialized".to_owned()
            } else {
                look.plan.waiting.join("; ")
            };
            return on_the_way("Bootstrapping", waiting);
        }
        // Asleep as it was asked to be, nothing is missing.
        Phase::Hibernated => {
            let going = under_way(look.plan);
            return going.and_then(|(reason, message)| on_the_way(reason, message));
        }
        Phase::Running | Phase::QuorumLost | Phase::Paused => {}
    }
    let Some(assessment) = assessment else {
        return on_the_way("Paused", "Paused before it was created".to_owned());
    };
    if let Some(operation) = under_way(look.plan) {
        return on_the_way(operation.0, operation.1);
    }
    if !assessment.all_ready() {
        return on_the_way("MembersNotReady", unready(assessment));
    }
    if !look.plan.waiting.is_empty() {
        return on_the_way("Waiting", look.plan.waiting.join("; "));
    }
    // What was applied just now shows its effect in the next look.
    let applied = |step: &&String| step.starts_with("member-");
    let applied: Vec<&str> = look
        .outcome
        .changed
        .iter()
        .filter(applied)
        .map(String::as_str)
        .collect();
    if applied.is_empty() {
        return None;
    }
    on_the_way("Applied", format!("just applied: {}", applied.join(", ")))
}

/// The operation as reason and sentence; moving the leader takes nothing away from anybody.
fn under_way(plan: &Plan) -> Option<(&'static str, String)> {
    let operation = plan.operation.as_ref()?;
    if operation.kind == OperationKind::MoveLeader {
        return None;
    }
    let who = operation.member.map(|id| format!(" of {id}"));
    let what = format!("{}{}", operation.kind.as_str(), who.unwrap_or_default());
    let message = match &operation.gate {
        Some(gated) => format!(
            "{what} waits at gate {}: {}",
            gated.gate.as_str(),
            gated.message
        ),
        None => format!("{what} is under way"),
    };
    Some((operation.kind.as_str(), message))
}
