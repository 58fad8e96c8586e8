//! What can be lost right now: members, zones, nodes.

use kvorum_plan::Assessment;

use super::Conditions;

/// Adds the three conditions.
pub(super) fn add(conditions: &mut Conditions<'_>, assessment: Option<&Assessment>) {
    let types = ["FaultTolerant", "ZoneFaultTolerant", "NodeFaultTolerant"];
    let Some(assessment) = assessment.filter(|assessment| assessment.membership_log.is_some())
    else {
        for type_ in types {
            conditions.add(
                type_,
                None,
                "NotBootstrapped",
                "The cluster is not formed yet",
            );
        }
        return;
    };
    let tolerance = &assessment.tolerance;
    let lost = !tolerance.has_quorum();
    let message = match (lost, tolerance.members) {
        (true, _) => "Quorum is lost".to_owned(),
        (false, 0) => "No member may be lost".to_owned(),
        (false, 1) => "One more member may be lost".to_owned(),
        (false, more) => format!("{more} more members may be lost"),
    };
    let reason = match (lost, tolerance.voters, tolerance.members) {
        (true, _, _) => "QuorumLost",
        (false, 1, _) => "OneMember",
        (false, _, 0) => "MembersDown",
        (false, _, _) => "MembersSpare",
    };
    conditions.add(
        "FaultTolerant",
        Some(tolerance.members > 0),
        reason,
        &message,
    );
    zones(conditions, assessment, lost);
    nodes(conditions, assessment, lost);
}

fn zones(conditions: &mut Conditions<'_>, assessment: &Assessment, lost: bool) {
    let tolerance = &assessment.tolerance;
    let zones = tolerance.zones.len();
    let reason = match (lost, tolerance.any_zone(), zones) {
        (true, _, _) => "QuorumLost",
        (false, true, _) => "AnyZone",
        (false, false, 0) => "NoZones",
        (false, false, 1) => "OneZone",
        (false, false, 2) => "TwoZones",
        (false, false, _) if tolerance.live < tolerance.voters => "ZoneDown",
        (false, false, _) => "ZoneHoldsQuorum",
    };
    let any = tolerance.any_zone();
    conditions.add(
        "ZoneFaultTolerant",
        Some(any),
        reason,
        &tolerance.zones_sentence(),
    );
}

fn nodes(conditions: &mut Conditions<'_>, assessment: &Assessment, lost: bool) {
    match &assessment.fatal_node {
        _ if lost => conditions.add(
            "NodeFaultTolerant",
            Some(false),
            "QuorumLost",
            "Quorum is lost",
        ),
        None => conditions.add(
            "NodeFaultTolerant",
            Some(true),
            "AnyNode",
            "Any one node may be lost",
        ),
        Some(node) => {
            let message = format!("Losing node {node} loses quorum");
            conditions.add(
                "NodeFaultTolerant",
                Some(false),
                "NodeHoldsQuorum",
                &message,
            );
        }
    }
}
