//! What an operator sees: its caches, and the members' own word, as the planner wants it.

use std::collections::{BTreeMap, BTreeSet};

use kvorum_plan::observed::{
    Life, Loss, Member, Membership, Observed, Pod, PodProblem, Record, Report, Reservation, Seat,
    Set, Stage, StatusLatch, StorageClass, Suspicion, UnixSeconds, Volume, World as Around,
};
use kvorum_plan::{ClusterId, ClusterSize, MemberId, Zone};

use crate::act::Seen;
use crate::kube::{Claim, Kind, Kube};
use crate::raft::{Id, Members, Net};
use crate::wish::zone_name;
use crate::world::World;

/// Entries that one entry of the toy's log stands for: two of them are a lag that matters.
const ENTRIES: u64 = 600;

/// A store's UUID.
#[must_use]
pub fn store_name(store: u32) -> String {
    format!("store-{store}")
}

/// The inverse of [`store_name`]; 0 is nobody's.
#[must_use]
pub fn store_number(name: &str) -> u32 {
    let number = name.strip_prefix("store-").and_then(|n| n.parse().ok());
    number.unwrap_or(0)
}

fn stage(number: u8) -> Stage {
    match number {
        0 => Stage::Reserved,
        1 => Stage::Initializing,
        _ => Stage::Bootstrapped,
    }
}

/// The inverse of the stages' order.
#[must_use]
pub fn stage_number(stage: Stage) -> u8 {
    match stage {
        Stage::Reserved => 0,
        Stage::Initializing => 1,
        Stage::Bootstrapped => 2,
    }
}

impl World {
    /// The reservation that every world begins with: the first wish's size, all zones in turn.
    ///
    /// # Panics
    /// If a world was made with a size that there is not.
    #[must_use]
    pub fn reservation(&self) -> Reservation {
        let zones: BTreeSet<u8> = self.kube.nodes.iter().map(|node| node.zone).collect();
        Reservation {
            cluster_id: ClusterId::new(7).unwrap(),
            size: ClusterSize::try_from(self.born_size).unwrap(),
            zones: zones
                .into_iter()
                .take(usize::try_from(self.born_size).unwrap())
                .map(zone_name)
                .collect(),
        }
    }

    /// What an operator sees now. Identity and suspicions of loss are read live, as the operator does.
    pub fn view(&mut self, operator: usize) -> Observed {
        let mut seen = self.operators[operator].cache.clone();
        if !seen.status.bootstrapped || !seen.status.suspicions.is_empty() {
            seen.follow(&self.kube, Kind::Status);
            seen.follow(&self.kube, Kind::Claims);
        }
        let reports = self.reports(&seen);
        let ready = |id| self.pod(&seen, id).is_some_and(|pod| pod.ready);
        self.operators[operator].look.seen = Seen::of(&seen, ready);
        let reservation = self.reservation();
        let mut members: BTreeMap<MemberId, Member> = BTreeMap::new();
        for (id, set) in &seen.sets {
            members.entry(MemberId(*id)).or_default().set = Some(Set {
                running: set.running,
                unsettled: !set.settled,
            });
        }
        for id in seen.pods.keys() {
            members.entry(MemberId(*id)).or_default().pod = self.pod(&seen, *id);
        }
        for (id, report) in reports {
            members.entry(MemberId(id)).or_default().report = Some(report);
        }
        let record = seen.record.map(|number| Record {
            reservation: reservation.clone(),
            stage: stage(number),
        });
        let volume =
            |(id, claim): (&Id, &Claim)| (MemberId(*id), volume(&seen, claim, &reservation));
        Observed {
            deleting: false,
            created: UnixSeconds(1_000_000),
            fresh_cluster_id: reservation.cluster_id,
            status: latch(&seen, &reservation),
            record,
            volumes: seen.claims.iter().map(volume).collect(),
            foreign: Vec::new(),
            unreadable: Vec::new(),
            members,
            world: Around {
                zones: zones(&seen),
                storage_class: StorageClass::Found,
            },
        }
    }

    fn pod(&self, seen: &Kube, id: Id) -> Option<Pod> {
        let pod = seen.pods.get(&id)?;
        let set = seen.sets.get(&id);
        let node = pod.node.and_then(|node| seen.nodes.get(usize::from(node)));
        let node_down =
            node.is_some_and(|node| !node.up || !node.exists || self.cut.contains(&node.zone));
        let crashing =
            pod.node.is_some() && !node_down && self.bad_templates.contains(&pod.template.asked);
        let unplaced = pod.node.is_none() && self.now > pod.created + 5;
        let problem = (crashing || unplaced).then(|| PodProblem {
            unschedulable_since: unplaced.then_some(UnixSeconds(pod.created)),
            message: if crashing {
                "CrashLoopBackOff"
            } else {
                "no node takes it"
            }
            .to_owned(),
        });
        Some(Pod {
            ready: pod.ready && !node_down,
            terminating: pod.terminating,
            node: pod.node.map(|node| format!("node-{node}")),
            node_zone: node.map(|node| zone_name(node.zone)),
            node_down,
            created: Some(UnixSeconds(pod.created)),
            up_to_date: set.is_none_or(|set| set.template == pod.template),
            problem,
        })
    }

    /// The members that a pod of the cache leads to and that answer.
    fn reports(&mut self, seen: &Kube) -> BTreeMap<Id, Report> {
        let cut = self.cut.clone();
        let truth: BTreeMap<Id, u32> = self
            .kube
            .pods
            .iter()
            .map(|(id, pod)| (*id, pod.uid))
            .collect();
        let net = self.net();
        let asked = seen
            .pods
            .iter()
            .filter(|(id, pod)| truth.get(id) == Some(&pod.uid));
        let asked = asked.filter(|(id, _)| {
            net.live
                .get(id)
                .is_some_and(|(_, zone)| !cut.contains(zone))
        });
        asked
            .filter_map(|(id, _)| Some((*id, report(&net, *id)?)))
            .collect()
    }
}

fn report(net: &Net<'_>, id: Id) -> Option<Report> {
    let disk = net.disk(id)?;
    let leader = if disk.leads { Some(id) } else { disk.follows };
    let leader = leader.filter(|leader| net.disk(*leader).is_some_and(|disk| disk.leads));
    let confirmed = leader.is_some_and(|leader| net.confirmed(leader));
    let follows = leader.is_some_and(|leader| net.lag(leader, id) <= 1);
    let members = disk.members().map(|(_, members)| members.clone());
    let votes = members
        .as_ref()
        .is_some_and(|members| members.voters().contains(&id));
    let life = match (&members, disk.leads, leader) {
        (None, _, _) => Life::Waiting,
        (Some(_), true, _) => Life::Leader,
        (Some(members), _, _) if !members.seats.contains_key(&id) => Life::Removed,
        (Some(_), _, _) if !votes => Life::Learner,
        (Some(_), _, Some(_)) => Life::Follower,
        (Some(_), _, None) => Life::Candidate,
    };
    let seats = members.as_ref().map(|members| seats(net, id, members));
    Some(Report {
        store_uuid: store_name(disk.store),
        life,
        initialized: members.is_some(),
        ready: confirmed && follows && members.is_some(),
        confirmed: confirmed && members.is_some(),
        leader: leader.map(MemberId),
        term: disk.term,
        membership: Membership {
            log: disk.members_log(),
            // One that may yet be undone is half done, too.
            joint: disk
                .members()
                .is_some_and(|(index, is)| is.joint() || disk.commit < index),
            seats: seats.unwrap_or_default(),
            removed: disk.removed().into_iter().map(MemberId).collect(),
        },
        version: "1".to_owned(),
    })
}

fn seats(net: &Net<'_>, me: Id, members: &Members) -> BTreeMap<MemberId, Seat> {
    let voters = members.voters();
    let leads = net.disk(me).is_some_and(|disk| disk.leads);
    let one = |(id, seat): (&Id, &crate::raft::Seat)| {
        let heard = leads && (*id == me || net.talk(me, *id));
        let lag = net.lag(me, *id).min(1000);
        (
            MemberId(*id),
            Seat {
                voter: voters.contains(id),
                zone: Some(zone_name(seat.zone)),
                store_uuid: Some(store_name(seat.store)),
                lag: heard.then_some(lag as u64 * ENTRIES),
                heard_millis: heard.then_some(10),
            },
        )
    };
    members.seats.iter().map(one).collect()
}

fn volume(seen: &Kube, claim: &Claim, reservation: &Reservation) -> Volume {
    let node = claim
        .node
        .and_then(|node| seen.nodes.get(usize::from(node)));
    Volume {
        reservation: reservation.clone(),
        stage: stage(claim.stage),
        zone: Some(zone_name(claim.zone)),
        store_uuid: claim.store.map(store_name),
        retired: claim.retired.map(UnixSeconds),
        terminating: claim.terminating,
        node_gone: node.is_some_and(|node| !node.exists),
        problem: None,
    }
}

fn latch(seen: &Kube, reservation: &Reservation) -> StatusLatch {
    let suspicion = |(id, (loss, since)): (&Id, &(&'static str, i64))| {
        let suspicion = Suspicion {
            loss: Loss::parse(loss)?,
            since: UnixSeconds(*since),
        };
        Some((MemberId(*id), suspicion))
    };
    StatusLatch {
        cluster_id: seen.status.reserved.then_some(reservation.cluster_id),
        bootstrapped: seen.status.bootstrapped,
        zones: reservation.zones.clone(),
        suspicions: seen
            .status
            .suspicions
            .iter()
            .filter_map(suspicion)
            .collect(),
        replacements: seen
            .status
            .replacements
            .iter()
            .copied()
            .map(UnixSeconds)
            .collect(),
    }
}

/// Zones with the number of nodes that could take a member.
fn zones(seen: &Kube) -> BTreeMap<Zone, usize> {
    let mut zones = BTreeMap::new();
    for node in seen.nodes.iter().filter(|node| node.exists && node.up) {
        *zones.entry(zone_name(node.zone)).or_insert(0) += 1;
    }
    zones
}
