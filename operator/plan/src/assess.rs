//! What of a cluster is alive, who leads, and which failures it would survive now.

use std::collections::BTreeMap;

use crate::observed::{Life, Observed, Reservation};
use crate::quorum::quorum;
use crate::tolerance::{Tolerance, Voter};
use crate::{MemberId, Zone};

/// A cluster's health, as seen in one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// Every member that was reserved or reported.
    pub members: Vec<MemberHealth>,
    /// Who leads.
    pub leader: Option<MemberId>,
    /// Which failures would be survived.
    pub tolerance: Tolerance,
    /// A read through quorum succeeded just now.
    pub available: bool,
    /// A node whose loss would lose quorum.
    pub fatal_node: Option<String>,
    /// Term and index of the newest membership seen.
    pub membership_log: Option<(u64, u64)>,
}

/// One member's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberHealth {
    /// Who.
    pub id: MemberId,
    /// Where it belongs.
    pub zone: Option<Zone>,
    /// Where it runs.
    pub node: Option<String>,
    /// What it does.
    pub role: Role,
    /// It answers, sees a leader and is caught up.
    pub live: bool,
    /// Live, and Kubernetes sends it clients.
    pub ready: bool,
    /// Whether it leads.
    pub leader: bool,
    /// The version it runs.
    pub version: Option<String>,
    /// The store it runs on.
    pub store_uuid: Option<String>,
    /// What is wrong, in words.
    pub problem: Option<String>,
}

/// What a member does in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Not part of a cluster yet, or not known.
    Pending,
    /// Has a vote.
    Voter,
    /// Has none.
    Learner,
}

impl Assessment {
    /// Of what was observed of a cluster with this reservation.
    #[must_use]
    pub fn of(observed: &Observed, reservation: &Reservation) -> Self {
        let newest = observed
            .members
            .values()
            .filter_map(|member| member.report.as_ref())
            .filter(|report| report.initialized)
            .max_by_key(|report| report.membership_log);
        let voters: Vec<MemberId> = newest.map_or_else(
            || reservation.size.first_ids().collect(),
            |report| report.voters.clone(),
        );
        let leader = leader(observed);
        let members: Vec<MemberHealth> = reservation
            .members()
            .into_iter()
            .map(|assigned| {
                let zone = assigned.zone;
                health(
                    observed,
                    assigned.id,
                    zone,
                    leader,
                    newest.is_some(),
                    &voters,
                )
            })
            .collect();
        let voting: Vec<&MemberHealth> = members
            .iter()
            .filter(|member| voters.contains(&member.id))
            .collect();
        let tolerance = Tolerance::of(
            &voting
                .iter()
                .map(|member| Voter {
                    zone: member.zone.clone(),
                    live: member.live,
                })
                .collect::<Vec<_>>(),
        );
        Self {
            fatal_node: fatal_node(&voting, &tolerance),
            available: observed.members.values().any(|member| {
                member
                    .report
                    .as_ref()
                    .is_some_and(|report| report.confirmed)
            }),
            membership_log: newest.map(|report| report.membership_log),
            members,
            leader,
            tolerance,
        }
    }

    /// Whether every member is up and serves clients.
    #[must_use]
    pub fn all_ready(&self) -> bool {
        self.members.iter().all(|member| member.ready)
    }
}

/// The leader of the newest term that somebody knows one of.
fn leader(observed: &Observed) -> Option<MemberId> {
    observed
        .members
        .values()
        .filter_map(|member| member.report.as_ref())
        .filter_map(|report| Some((report.term, report.leader?)))
        .max()
        .map(|(_, leader)| leader)
}

fn health(
    observed: &Observed,
    id: MemberId,
    zone: Option<Zone>,
    leader: Option<MemberId>,
    initialized: bool,
    voters: &[MemberId],
) -> MemberHealth {
    let member = observed.members.get(&id);
    let pod = member.and_then(|member| member.pod.as_ref());
    let report = member.and_then(|member| member.report.as_ref());
    let live = report.is_some_and(|report| report.initialized && report.ready);
    MemberHealth {
        id,
        zone,
        node: pod.and_then(|pod| pod.node.clone()),
        role: match report {
            _ if !initialized => Role::Pending,
            Some(report) if report.life == Life::Learner => Role::Learner,
            _ if voters.contains(&id) => Role::Voter,
            _ => Role::Pending,
        },
        live,
        ready: live && pod.is_some_and(|pod| pod.ready && !pod.terminating),
        leader: leader == Some(id),
        version: report.map(|report| report.version.clone()),
        store_uuid: report.map(|report| report.store_uuid.clone()),
        problem: problem(observed, id, live),
    }
}

fn problem(observed: &Observed, id: MemberId, live: bool) -> Option<String> {
    match observed.volumes.get(&id) {
        None => return Some("its volume is missing".to_owned()),
        Some(volume) if volume.terminating => {
            return Some("its volume is being deleted".to_owned());
        }
        Some(volume) if volume.problem.is_some() => return volume.problem.clone(),
        Some(_) => {}
    }
    let Some(pod) = observed
        .members
        .get(&id)
        .and_then(|member| member.pod.as_ref())
    else {
        return Some("its pod is not there".to_owned());
    };
    if pod.terminating {
        return Some("its pod is being deleted".to_owned());
    }
    if let Some(problem) = &pod.problem {
        return Some(problem.message.clone());
    }
    if live && pod.ready {
        return None;
    }
    let answered = observed
        .members
        .get(&id)
        .is_some_and(|member| member.report.is_some());
    Some(match (answered, live) {
        (false, _) => "it does not answer".to_owned(),
        (true, false) => "it sees no leader or is behind".to_owned(),
        (true, true) => "its pod is not ready yet".to_owned(),
    })
}

/// A node that carries so many live voters that the rest is no quorum.
fn fatal_node(voting: &[&MemberHealth], tolerance: &Tolerance) -> Option<String> {
    let mut live: BTreeMap<&str, usize> = BTreeMap::new();
    for member in voting.iter().filter(|member| member.live) {
        if let Some(node) = &member.node {
            *live.entry(node).or_insert(0) += 1;
        }
    }
    live.into_iter()
        .find(|(_, inside)| tolerance.live - inside < quorum(tolerance.voters))
        .map(|(node, _)| node.to_owned())
}
