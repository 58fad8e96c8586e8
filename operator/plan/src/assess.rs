//! What of a cluster is alive, who leads, and which failures it would survive now.

use std::collections::BTreeMap;

use crate::observed::{Life, Membership, Observed, Reservation, Stage};
use crate::placement::Assigned;
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
    /// It has a vote, or may have one for all that is known.
    pub votes: bool,
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
            .max_by_key(|report| (report.membership.log, report.life == Life::Leader))
            .map(|report| &report.membership);
        let leader = leader(observed);
        let members: Vec<MemberHealth> = roll(observed, reservation, newest)
            .into_iter()
            .map(|assigned| health(observed, assigned, leader, newest))
            .collect();
        let voting: Vec<&MemberHealth> = members.iter().filter(|member| member.votes).collect();
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
            membership_log: newest.map(|membership| membership.log),
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

/// Everyone who has a seat or a volume, but those that are on their way out; the reserved ones at birth.
fn roll(
    observed: &Observed,
    reservation: &Reservation,
    newest: Option<&Membership>,
) -> Vec<Assigned> {
    let removed = |id: &MemberId| newest.is_some_and(|is| is.removed.contains(id));
    let mut roll: BTreeMap<MemberId, Option<Zone>> = BTreeMap::new();
    let born = observed
        .volumes
        .values()
        .any(|volume| volume.stage == Stage::Bootstrapped);
    if newest.is_none() && !born {
        let members = reservation.members().into_iter();
        roll.extend(members.map(|member| (member.id, member.zone)));
    }
    for (id, seat) in newest.into_iter().flat_map(|is| &is.seats) {
        roll.insert(*id, seat.zone.clone());
    }
    for (id, volume) in &observed.volumes {
        if volume.retired.is_none() && !removed(id) {
            roll.insert(*id, volume.zone.clone());
        }
    }
    roll.into_iter()
        .map(|(id, zone)| Assigned { id, zone })
        .collect()
}

fn health(
    observed: &Observed,
    Assigned { id, zone }: Assigned,
    leader: Option<MemberId>,
    newest: Option<&Membership>,
) -> MemberHealth {
    let member = observed.members.get(&id);
    let pod = member.and_then(|member| member.pod.as_ref());
    let report = member.and_then(|member| member.report.as_ref());
    let live = report.is_some_and(|report| report.initialized && report.ready);
    let seat = newest.and_then(|membership| membership.seats.get(&id));
    // While nobody says who votes, everyone with data may.
    let votes = newest.is_none() || seat.is_some_and(|seat| seat.voter);
    MemberHealth {
        id,
        zone,
        node: pod.and_then(|pod| pod.node.clone()),
        role: match seat {
            Some(seat) if seat.voter => Role::Voter,
            Some(_) => Role::Learner,
            None => Role::Pending,
        },
        votes,
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
