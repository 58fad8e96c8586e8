//! Situations of a cluster, built up the way they come about.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;

use crate::observed::{
    Life, Observed, Pod, Record, Report, Reservation, Stage, StatusLatch, StorageClass,
    UnixSeconds, Volume, World,
};
use crate::spec::{Spec, ZoneChoice, ZoneSpread};
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
            bootstrapped: false,
            zones: reservation.zones.clone(),
        };
        seen.observed.record = Some(Record {
            reservation: reservation.clone(),
            stage: Stage::Reserved,
        });
        for id in seen.size.first_ids() {
            let volume = Volume {
                reservation: reservation.clone(),
                stage: Stage::Reserved,
                store_uuid: None,
                terminating: false,
                problem: None,
            };
            seen.observed.volumes.insert(id, volume);
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
        let member = self.observed.members.entry(MemberId(id)).or_default();
        member.pod = Some(Pod {
            ready: alive,
            node: Some(format!("node-{id}")),
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
            membership_log: (u64::from(alive), 1),
            voters: self.size.first_ids().collect(),
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
}
