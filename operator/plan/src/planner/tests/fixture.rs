//! Situations of a cluster, built up the way they come about.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;

use crate::observed::{
    Life, Loss, Membership, Observed, Pod, Record, Report, Reservation, Seat, Set, Stage,
    StatusLatch, StorageClass, Suspicion, UnixSeconds, Volume, World,
};
use crate::placement::Assigned;
use crate::spec::{
    Rebalance, Replacement, ReplacementPolicy, Rollout, Spec, ZoneChoice, ZoneOutage, ZoneSpread,
};
use crate::{ClusterId, ClusterSize, MemberId, Zone};

pub(super) const NOW: UnixSeconds = UnixSeconds(1_000_000);
pub(super) const ID: &str = "00000000c1057e01";

pub(super) fn spec(members: i32) -> Spec {
    Spec {
        size: ClusterSize::try_from(members).unwrap(),
        zones: ZoneChoice::Discover,
        zone_spread: ZoneSpread::Preferred,
        topology_key: "example.org/zone".to_owned(),
        storage_class: None,
        paused: false,
        drain_zones: vec![],
        leader_zones: vec![],
        zone_outage: ZoneOutage::Wait,
        rebalance: Rebalance::Manual,
        replacement: Replacement {
            policy: ReplacementPolicy::Automatic,
            unreachable_after_seconds: 1800,
            max_per_day: 3,
        },
        rollout: Rollout::Automatic,
        keep_replaced_seconds: 3600,
        hibernated: false,
        fenced: vec![],
    }
}

pub(super) struct Seen {
    pub(super) observed: Observed,
    size: ClusterSize,
}

impl Seen {
    pub(super) fn nothing(members: i32) -> Self {
        let zones = ["zone-a", "zone-b", "zone-c"];
        Self {
            size: ClusterSize::try_from(members).unwrap(),
            observed: Observed {
                deleting: false,
                created: NOW,
                fresh_cluster_id: ClusterId::parse(ID).unwrap(),
                status: StatusLatch::default(),
                record: None,
                volumes: BTreeMap::new(),
                foreign: vec![],
                unreadable: vec![],
                members: BTreeMap::new(),
                world: World {
                    zones: zones.iter().map(|zone| (Zone::new(*zone), 3)).collect(),
                    storage_class: StorageClass::Found,
                },
            },
        }
    }

    /// Reserved and created; no pod yet.
    pub(super) fn created(members: i32) -> Self {
        let mut seen = Self::nothing(members);
        let reservation = seen.reservation();
        seen.observed.status = StatusLatch {
            cluster_id: Some(reservation.cluster_id),
            zones: reservation.zones.clone(),
            ..StatusLatch::default()
        };
        seen.observed.record = Some(Record {
            reservation: reservation.clone(),
            stage: Stage::Reserved,
        });
        for member in reservation.members() {
            let volume = volume(&reservation, member.zone, Stage::Reserved);
            seen.observed.volumes.insert(member.id, volume);
        }
        seen
    }

    /// Born and well.
    pub(super) fn running(members: i32) -> Self {
        let mut seen = Self::created(members);
        for id in 1..=u64::try_from(members).unwrap() {
            seen.answers(
                id,
                if id == 1 {
                    Life::Leader
                } else {
                    Life::Follower
                },
            );
        }
        seen.latch(Stage::Bootstrapped);
        seen
    }

    pub(super) fn reservation(&self) -> Reservation {
        Reservation {
            cluster_id: ClusterId::parse(ID).unwrap(),
            size: self.size,
            zones: ["zone-a", "zone-b", "zone-c"]
                .iter()
                .take(self.size.members())
                .map(|zone| Zone::new(*zone))
                .collect(),
        }
    }

    pub(super) fn answers(&mut self, id: u64, life: Life) {
        let alive = life != Life::Waiting;
        let members = self.reservation().members().into_iter();
        let seats = members.map(|Assigned { id, zone }| (id, Seat { zone, ..seat(id) }));
        let membership = Membership {
            log: (u64::from(alive), 1),
            seats: seats.collect(),
            ..Membership::default()
        };
        let member = self.observed.members.entry(MemberId(id)).or_default();
        member.set = Some(Set {
            running: true,
            unsettled: false,
        });
        member.pod = Some(Pod {
            ready: alive,
            node: Some(format!("node-{id}")),
            created: Some(NOW),
            up_to_date: true,
            ..Pod::default()
        });
        member.report = Some(Report {
            store_uuid: format!("store-{id}"),
            life,
            initialized: alive,
            ready: alive,
            confirmed: alive,
            leader: alive.then_some(MemberId(1)),
            term: u64::from(alive),
            membership,
            version: "0.1.0".to_owned(),
        });
    }

    pub(super) fn wipe(&mut self, id: u64) {
        let member = self.observed.members.get_mut(&MemberId(id)).unwrap();
        member.report.as_mut().unwrap().store_uuid = format!("fresh-{id}");
    }

    pub(super) fn stores(&self) -> BTreeMap<MemberId, String> {
        self.size
            .first_ids()
            .map(|id| (id, format!("store-{}", id.0)))
            .collect()
    }

    /// Records the stage everywhere, as the latch step does.
    pub(super) fn latch(&mut self, stage: Stage) {
        self.observed.status.bootstrapped = stage == Stage::Bootstrapped;
        self.observed.record.as_mut().unwrap().stage = stage;
        for (id, volume) in &mut self.observed.volumes {
            volume.stage = stage;
            volume.store_uuid = Some(format!("store-{}", id.0));
        }
    }

    /// The KvCluster was deleted and created again: what it owned is gone with its status.
    pub(super) fn forget_the_kvcluster(&mut self) {
        self.observed.status = StatusLatch::default();
        self.observed.record = None;
    }

    /// What the leader says of the membership; the others' word plays no part.
    pub(super) fn membership(&mut self) -> &mut Membership {
        let reports = self.observed.members.values_mut();
        let mut reports = reports.filter_map(|member| member.report.as_mut());
        let leader = reports.find(|report| report.life == Life::Leader);
        &mut leader.unwrap().membership
    }

    pub(super) fn pod(&mut self, id: u64) -> &mut Pod {
        let member = self.observed.members.get_mut(&MemberId(id)).unwrap();
        member.pod.as_mut().unwrap()
    }

    /// A new member's volume and pod; it waits.
    pub(super) fn joins(&mut self, id: u64, zone: &str) {
        let reservation = self.reservation();
        let zone = Some(Zone::new(zone));
        let volume = volume(&reservation, zone, Stage::Bootstrapped);
        self.observed.volumes.insert(MemberId(id), volume);
        self.answers(id, Life::Waiting);
    }

    /// Added, and caught up.
    pub(super) fn learns(&mut self, id: u64, zone: &str) {
        self.joins(id, zone);
        self.answers(id, Life::Learner);
        let volumes = &mut self.observed.volumes;
        volumes.get_mut(&MemberId(id)).unwrap().store_uuid = Some(format!("store-{id}"));
        let new = Seat {
            voter: false,
            zone: Some(Zone::new(zone)),
            ..seat(MemberId(id))
        };
        let membership = self.membership();
        membership.log.1 += 1;
        membership.seats.insert(MemberId(id), new);
    }

    /// Out of the membership.
    pub(super) fn removed(&mut self, id: u64) {
        let membership = self.membership();
        membership.log.1 += 1;
        membership.seats.remove(&MemberId(id));
        membership.removed.insert(MemberId(id));
    }

    /// Neither answers nor is heard of.
    pub(super) fn dies(&mut self, id: u64) {
        let member = self.observed.members.get_mut(&MemberId(id)).unwrap();
        member.report = None;
        if let Some(pod) = &mut member.pod {
            pod.ready = false;
        }
        if let Some(seat) = self.membership().seats.get_mut(&MemberId(id)) {
            (seat.lag, seat.heard_millis) = (None, None);
        }
    }

    /// Was seen so before, this long ago.
    pub(super) fn suspected(&mut self, id: u64, loss: Loss, seconds: i64) {
        let since = UnixSeconds(NOW.0 - seconds);
        let suspicion = Suspicion { loss, since };
        let suspicions = &mut self.observed.status.suspicions;
        suspicions.insert(MemberId(id), suspicion);
    }
}

fn volume(reservation: &Reservation, zone: Option<Zone>, stage: Stage) -> Volume {
    Volume {
        reservation: reservation.clone(),
        stage,
        zone,
        store_uuid: None,
        retired: None,
        terminating: false,
        node_gone: false,
        problem: None,
    }
}

/// A voter that is well.
fn seat(id: MemberId) -> Seat {
    Seat {
        voter: true,
        zone: None,
        store_uuid: Some(format!("store-{}", id.0)),
        lag: Some(0),
        heard_millis: Some(10),
    }
}
