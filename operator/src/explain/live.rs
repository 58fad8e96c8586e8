//! What a KvCluster says that was read back with its status: what is under way, which gate is closed, who is
//! there, what may be lost. From the object alone, so also from a dump, without any cluster. Pure.

use std::fmt::Write;

use kvorum_api::{KvClusterStatus, MemberRole, MemberStatus};

use super::{Verdict, time};
use crate::names::Names;
use crate::status::{get, is_true};

/// The conditions that say where things stand, in this order, as far as they are there.
const TELLING: [&str; 9] = [
    "Ready",
    "Available",
    "FaultTolerant",
    "ZoneFaultTolerant",
    "NodeFaultTolerant",
    "MembersUpToDate",
    "PlacementSatisfied",
    "StorageHealthy",
    "ConsistentIdentity",
];

/// Explains a status; the verdict says whether somebody must do something.
pub(super) fn describe(
    names: &Names,
    generation: i64,
    status: &KvClusterStatus,
) -> (Verdict, String) {
    let mut text = String::new();
    let summary = status.summary.clone().unwrap_or_default();
    let _ = writeln!(
        text,
        "KvCluster {} (cluster {}): {} voters alive\n",
        names.cluster,
        status.cluster_id.as_deref().unwrap_or("without an ID yet"),
        summary.voters,
    );
    if status.observed_generation < generation {
        let _ = writeln!(
            text,
            "The operator has not looked at the newest spec yet.\n"
        );
    }
    now(&mut text, status);
    let _ = writeln!(text, "\nMembers:");
    for member in &status.members {
        let _ = writeln!(text, "  {}", one(member));
    }
    for retired in &status.retired {
        let until = time(retired.delete_after);
        let _ = writeln!(
            text,
            "  m{} left; {} is kept until {until}",
            retired.id, retired.pvc
        );
    }
    let _ = writeln!(text, "\nConditions:");
    for type_ in TELLING {
        if let Some(condition) = get(&status.conditions, type_) {
            let (is, reason) = (&condition.status, &condition.reason);
            let _ = writeln!(text, "  {type_}={is} {reason}: {}", condition.message);
        }
    }
    let stalled = is_true(&status.conditions, "Stalled");
    let verdict = if stalled {
        Verdict::Unsatisfiable
    } else {
        Verdict::Works
    };
    (verdict, text)
}

fn now(text: &mut String, status: &KvClusterStatus) {
    match &status.operation {
        None => {
            let _ = writeln!(text, "Under way: nothing");
        }
        Some(operation) => {
            let member = operation.member.as_ref();
            let member = member
                .map(|member| format!(" ({member})"))
                .unwrap_or_default();
            let since = time(operation.since);
            let _ = writeln!(
                text,
                "Under way: {}{member}, since {since}",
                operation.type_
            );
            let waiting = operation.waiting_for.as_deref();
            let _ = writeln!(
                text,
                "Waiting for: {}",
                waiting.unwrap_or("nothing, it goes on")
            );
        }
    }
    for type_ in ["Stalled", "Reconciling", "Paused", "Hibernated"] {
        if let Some(condition) = get(&status.conditions, type_) {
            let _ = writeln!(
                text,
                "{type_} ({}): {}",
                condition.reason, condition.message
            );
        }
    }
}

fn one(member: &MemberStatus) -> String {
    let mut words = vec![member.name.clone()];
    words.extend(member.zone.iter().map(|zone| format!("in {zone}")));
    words.extend(member.node.iter().map(|node| format!("on {node}")));
    let role = match member.role {
        MemberRole::Pending => "not part of the cluster yet",
        MemberRole::Voter if member.leader => "leads",
        MemberRole::Voter => "votes",
        MemberRole::Learner => "learns",
    };
    words.push(role.to_owned());
    words.extend(member.problem.iter().cloned());
    if let (Some(loss), Some(since)) = (&member.loss, member.loss_since) {
        words.push(format!("looks lost ({loss}) since {}", time(since)));
    }
    words.join(", ")
}
