//! Stage 6: says what was found: the status if it has changed, events for what happened, metrics.

use kvorum_api::{KvClusterStatus, OperationStatus};
use kvorum_plan::observed::Stage;
use kvorum_plan::operation::OperationKind;

use crate::act::{Act, ActError};
use crate::events::{Note, Severity};
use crate::metrics::ClusterNumbers;
use crate::status::{get, is_true};

/// Writes the status if it differs from the one that is there; true if it was written.
///
/// # Errors
/// When the API server refuses or cannot be reached.
pub async fn write(act: &Act<'_>, status: &KvClusterStatus) -> Result<bool, ActError> {
    if *status == act.sight.status {
        return Ok(false);
    }
    act.failpoint.before("publish");
    act.write_status(status).await?;
    act.failpoint.after("publish");
    Ok(true)
}

/// What happened between two statuses, each said once. Pure.
#[must_use]
pub fn notes(old: &KvClusterStatus, new: &KvClusterStatus, reserved: Option<Stage>) -> Vec<Note> {
    let mut notes = Vec::new();
    let id = new.cluster_id.as_deref().unwrap_or_default();
    if reserved.is_some_and(|stage| stage > Stage::Reserved) {
        notes.push(Note::normal(
            "AdoptData",
            "DataAdopted",
            format!("Took up the data of cluster {id}"),
        ));
    } else if new.bootstrapped && !old.bootstrapped {
        let text = format!("Cluster {id} is formed and serves");
        notes.push(Note::normal("Bootstrap", "Bootstrapped", text));
    }
    let stalled = |status: &KvClusterStatus| {
        get(&status.conditions, "Stalled")
            .map(|stalled| (stalled.reason.clone(), stalled.message.clone()))
    };
    if let Some((reason, message)) = stalled(new)
        && stalled(old).is_none_or(|(before, _)| before != reason)
    {
        notes.push(Note::warning("Reconcile", &reason, message));
    }
    let changed = |type_: &str| {
        let (before, after) = (
            is_true(&old.conditions, type_),
            is_true(&new.conditions, type_),
        );
        (before != after).then_some(after)
    };
    let asleep = is_true(&new.conditions, "Hibernated");
    match changed("Available") {
        Some(false) if !asleep => {
            let message = get(&new.conditions, "Available").map(|now| now.message.clone());
            notes.push(Note::warning(
                "CheckQuorum",
                "QuorumLost",
                message.unwrap_or_default(),
            ));
        }
        Some(true)
            if get(&old.conditions, "Available")
                .is_some_and(|then| then.reason == "QuorumLost") =>
        {
            let text = "A read through quorum succeeds again".to_owned();
            notes.push(Note::normal("CheckQuorum", "QuorumRestored", text));
        }
        _ => {}
    }
    if changed("Ready") == Some(true) {
        let message = get(&new.conditions, "Ready").map(|now| now.message.clone());
        notes.push(Note::normal(
            "Reconcile",
            "Ready",
            message.unwrap_or_default(),
        ));
    }
    notes.extend(operations(old.operation.as_ref(), new.operation.as_ref()));
    if get(&new.conditions, "PlacementSatisfied").is_some_and(|now| now.reason == "ZoneMismatch")
        && get(&old.conditions, "PlacementSatisfied")
            .is_none_or(|then| then.reason != "ZoneMismatch")
    {
        let message = get(&new.conditions, "PlacementSatisfied").map(|now| now.message.clone());
        notes.push(Note {
            severity: Severity::Warning,
            action: "CheckPlacement",
            reason: "ZoneMismatch".to_owned(),
            text: message.unwrap_or_default(),
        });
    }
    notes
}

/// What began, what waits, what ended.
fn operations(old: Option<&OperationStatus>, new: Option<&OperationStatus>) -> Vec<Note> {
    let mut notes = Vec::new();
    let changed = old.map(|old| &old.type_) != new.map(|new| &new.type_);
    let action = |operation: &OperationStatus| -> &'static str {
        let known = OperationKind::ALL.into_iter().map(OperationKind::as_str);
        let mut known = known.filter(|kind| *kind == operation.type_);
        known.next().unwrap_or("Operate")
    };
    let who = |operation: &OperationStatus| {
        let member = operation.member.as_ref();
        member
            .map(|member| format!(" ({member})"))
            .unwrap_or_default()
    };
    if let Some(old) = old.filter(|_| changed) {
        let text = format!("{} has ended", old.type_);
        notes.push(Note::normal(
            action(old),
            &format!("{}Ended", old.type_),
            text,
        ));
    }
    let Some(new) = new else {
        return notes;
    };
    if changed {
        let text = format!("{}{} has begun", new.type_, who(new));
        notes.push(Note::normal(
            action(new),
            &format!("{}Began", new.type_),
            text,
        ));
    }
    let gate_before = old.filter(|_| !changed).and_then(|old| old.gate.as_ref());
    if let Some(gate) = new.gate.as_ref().filter(|gate| Some(*gate) != gate_before) {
        let text = new.waiting_for.clone().unwrap_or_default();
        notes.push(Note::normal(
            action(new),
            &format!("WaitingFor{gate}"),
            text,
        ));
    }
    notes
}

/// The numbers of a cluster, for metrics.
#[must_use]
pub fn numbers(status: &KvClusterStatus) -> ClusterNumbers {
    let summary = status.summary.clone().unwrap_or_default();
    ClusterNumbers {
        voters: usize::try_from(status.voters).unwrap_or(0),
        can_lose: usize::try_from(summary.can_lose_members).unwrap_or(0),
        zone_can_lose: summary.can_lose_zone == "any",
        ready: is_true(&status.conditions, "Ready"),
        certificate_expiry: status.tls.as_ref().and_then(|tls| tls.not_after),
    }
}
