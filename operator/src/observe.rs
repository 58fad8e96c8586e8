//! Stage 1: everything that is known about one cluster: its records, its objects, its members' own word.
//!
//! Caches are good enough for a cluster that lives. While one is being born, identity is decided, so its
//! three records are read live: a cache that lags behind must not make us choose a second identity.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{join_all, try_join3};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod as KubePod};
use kube::api::ListParams;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt};
use kvorum_api::{KvCluster, KvClusterStatus, MemberStatus};
use kvorum_plan::observed::{
    Loss, Member, Observed, Set, StatusLatch, Suspicion, UnixSeconds, Volume, World,
};
use kvorum_plan::{ClusterId, MemberId, Zone};

use crate::build;
use crate::caches::{Caches, belongs};
use crate::certificates::{Found, Keeper};
use crate::members::{Connections, Door, Security};
use crate::names::{CLUSTER_LABEL, MEMBER_LABEL};
use crate::validate::ValidCluster;
use crate::{scope, world};

mod disks;
mod foreign;
mod pods;
mod transport;

pub use transport::TransportSeen;

/// Everything one look has found.
#[derive(Debug)]
pub struct Sight {
    /// What decisions are made of.
    pub observed: Observed,
    /// The status as it is.
    pub status: KvClusterStatus,
    /// Where members can be asked.
    pub doors: BTreeMap<MemberId, Door>,
    /// How members talk, and by which certificates.
    pub transport: TransportSeen,
    /// The certificates that are kept, where there is or was TLS.
    pub certificates: Option<Arc<Found>>,
    /// The UIDs of the volume claims: writes go to these very objects.
    pub claim_uids: HashMap<MemberId, String>,
    /// The KvCluster's UID is another than the one we were called for.
    pub replaced: bool,
    /// How long the members took to answer.
    pub asking: Duration,
}

/// What looks are made with.
#[derive(Clone, Copy)]
pub struct Eyes<'a> {
    /// To the API server.
    pub client: &'a Client,
    /// What is known already.
    pub caches: &'a Caches,
    /// The certificates of all clusters.
    pub keeper: &'a Keeper,
    /// To members, from looks before.
    pub connections: &'a Connections,
}

/// Looks at one cluster.
///
/// # Errors
/// When the API server does not answer.
pub async fn observe(
    eyes: Eyes<'_>,
    cluster: &KvCluster,
    valid: &ValidCluster,
    fresh_cluster_id: ClusterId,
) -> anyhow::Result<Sight> {
    let (client, caches) = (eyes.client, eyes.caches);
    let names = &valid.names;
    let cached_status = cluster.status.clone().unwrap_or_default();
    // A loss is proven by what is there, not by what was.
    let suspicious = cached_status
        .members
        .iter()
        .any(|member| member.loss.is_some());
    let records = if cached_status.bootstrapped && !suspicious {
        Records::cached(caches, valid, cached_status)
    } else {
        Records::live(client, valid).await?
    };
    let Records {
        status,
        record,
        claims,
        replaced,
    } = records;
    let mut unreadable = Vec::new();
    let mut note = |object: String, result: String| unreadable.push(format!("{object}: {result}"));
    let record = record.and_then(|record| {
        let read = build::read_record(&record);
        read.map_err(|problem| note(format!("ConfigMap {}", record.name_any()), problem))
            .ok()
    });
    let stranded = disks::stranded(client, caches, &claims).await;
    let (volumes, claim_uids) = volumes_of(&claims, &stranded, &mut note);
    let latch = status_latch(&status, &mut note);
    let expected = volumes
        .values()
        .map(|volume: &Volume| volume.reservation.cluster_id)
        .next()
        .or(latch.cluster_id);
    let templates = transport::templates(caches, valid);
    let certificates = transport::certificates(client, valid, eyes.keeper, &templates).await?;
    let security = transport::security(valid, certificates.as_deref(), &templates);
    let (mut members, doors) = pods_and_sets(caches, valid, security.as_ref());
    let (ports, asking) = ask(eyes.connections, &doors, expected, &mut members).await;
    let transport = TransportSeen::of(&templates, &members, ports);
    let known = known(&volumes, valid);
    let foreign = foreign::find(client, caches, valid, &claims, &known).await?;
    let world = surroundings(caches, valid, &status);
    Ok(Sight {
        observed: Observed {
            deleting: valid.deleting,
            created: valid.created,
            fresh_cluster_id,
            status: latch,
            record,
            volumes,
            foreign,
            unreadable,
            members,
            world,
        },
        status,
        doors,
        transport,
        certificates,
        claim_uids,
        replaced,
        asking,
    })
    .inspect(|sight| tracing::trace!(cluster = names.cluster, ?sight, "Looked"))
}

/// The members that have, or are to have, objects.
fn known(volumes: &BTreeMap<MemberId, Volume>, valid: &ValidCluster) -> BTreeSet<MemberId> {
    if volumes.is_empty() {
        return valid.spec.size.first_ids().collect();
    }
    let kept = volumes
        .iter()
        .filter(|(_, volume)| volume.retired.is_none());
    kept.map(|(id, _)| *id).collect()
}

/// Zones and storage classes, as they are or, where they may not be seen, as they are declared.
fn surroundings(caches: &Caches, valid: &ValidCluster, status: &KvClusterStatus) -> World {
    if !caches.scope.sees_nodes() {
        return scope::declared_world(&valid.spec, &status.planned_zones);
    }
    let nodes = caches.nodes.all();
    let classes = caches.classes.all();
    World {
        zones: world::zones(nodes.iter().map(AsRef::as_ref), &valid.pod.placement),
        storage_class: world::storage_class(
            classes.iter().map(AsRef::as_ref),
            valid.spec.storage_class.as_deref(),
        ),
    }
}

/// The volumes that can be read, and the UIDs of all claims, by member.
fn volumes_of(
    claims: &[PersistentVolumeClaim],
    stranded: &BTreeSet<String>,
    note: &mut impl FnMut(String, String),
) -> (BTreeMap<MemberId, Volume>, HashMap<MemberId, String>) {
    let mut volumes = BTreeMap::new();
    let mut claim_uids = HashMap::new();
    for claim in claims {
        let Some(id) = member_of(claim.labels()) else {
            continue;
        };
        claim_uids.insert(id, claim.uid().unwrap_or_default());
        match build::read_volume(claim, id, stranded.contains(&claim.name_any())) {
            Ok(volume) => drop(volumes.insert(id, volume)),
            Err(problem) => note(
                format!("PersistentVolumeClaim {}", claim.name_any()),
                problem,
            ),
        }
    }
    (volumes, claim_uids)
}

/// The three records of who a cluster is.
struct Records {
    status: KvClusterStatus,
    record: Option<ConfigMap>,
    claims: Vec<PersistentVolumeClaim>,
    replaced: bool,
}

impl Records {
    fn cached(caches: &Caches, valid: &ValidCluster, status: KvClusterStatus) -> Self {
        let names = &valid.names;
        let record = ObjectRef::<ConfigMap>::new(&names.record()).within(&names.namespace);
        Self {
            status,
            record: caches
                .records
                .get(&record)
                .map(|record| record.as_ref().clone()),
            claims: caches
                .claims
                .of(names)
                .iter()
                .map(|claim| claim.as_ref().clone())
                .collect(),
            replaced: false,
        }
    }

    async fn live(client: &Client, valid: &ValidCluster) -> Result<Self, kube::Error> {
        let names = &valid.names;
        let namespace = &names.namespace;
        let ours = ListParams::default().labels(&format!("{CLUSTER_LABEL}={}", names.cluster));
        let clusters = Api::<KvCluster>::namespaced(client.clone(), namespace);
        let records = Api::<ConfigMap>::namespaced(client.clone(), namespace);
        let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), namespace);
        let record_name = names.record();
        let (cluster, record, claims) = try_join3(
            clusters.get_opt(&names.cluster),
            records.get_opt(&record_name),
            claims.list(&ours),
        )
        .await?;
        let replaced = cluster.as_ref().and_then(ResourceExt::uid).as_ref() != Some(&valid.uid);
        Ok(Self {
            status: cluster
                .and_then(|cluster| cluster.status)
                .unwrap_or_default(),
            // One that is not ours is found, and named, where names that are taken are looked for.
            record: record.filter(|record| belongs(record, names)),
            claims: claims.items,
            replaced,
        })
    }
}

fn status_latch(status: &KvClusterStatus, note: &mut impl FnMut(String, String)) -> StatusLatch {
    let cluster_id = status.cluster_id.as_deref().and_then(|text| {
        let read = ClusterId::parse(text);
        if read.is_none() {
            note(
                "status.clusterID".to_owned(),
                format!("{text:?} is unreadable"),
            );
        }
        read
    });
    StatusLatch {
        cluster_id,
        bootstrapped: status.bootstrapped,
        zones: status.planned_zones.iter().map(Zone::new).collect(),
        suspicions: status.members.iter().filter_map(suspicion).collect(),
        replacements: status
            .replacements
            .iter()
            .copied()
            .map(UnixSeconds)
            .collect(),
    }
}

fn suspicion(member: &MemberStatus) -> Option<(MemberId, Suspicion)> {
    let id = u64::try_from(member.id).ok()?;
    let loss = Loss::parse(member.loss.as_deref()?)?;
    let since = UnixSeconds(member.loss_since?);
    Some((MemberId(id), Suspicion { loss, since }))
}

/// Every member from outside, and where it can be asked.
fn pods_and_sets(
    caches: &Caches,
    valid: &ValidCluster,
    security: Option<&Arc<Security>>,
) -> (BTreeMap<MemberId, Member>, BTreeMap<MemberId, Door>) {
    let pods = caches.pods.of(&valid.names);
    let sets = caches.statefulsets.of(&valid.names);
    let mut members: BTreeMap<MemberId, Member> = BTreeMap::new();
    for set in &sets {
        if let Some(id) = member_of(set.labels()) {
            let running = set.spec.replicas.is_none_or(|replicas| replicas > 0);
            let seen = set
                .status
                .as_ref()
                .and_then(|status| status.observed_generation);
            let unsettled = seen < set.metadata.generation;
            members.entry(id).or_default().set = Some(Set { running, unsettled });
        }
    }
    let mut doors = BTreeMap::new();
    for pod in &pods {
        let Some(id) = member_of(pod.labels()) else {
            continue;
        };
        if let Some(address) = address(pod) {
            let door = Door {
                id,
                address,
                host: valid.names.host(id),
                security: security.cloned(),
            };
            doors.insert(id, door);
        }
        let statefulset =
            ObjectRef::<StatefulSet>::new(&valid.names.member(id)).within(&valid.names.namespace);
        let statefulset = caches.statefulsets.get(&statefulset);
        let node = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.node_name.as_deref())
            .and_then(|node| caches.nodes.get(&ObjectRef::new(node)));
        let seen = pods::read(
            pod,
            statefulset.as_deref(),
            node.as_deref(),
            &valid.spec.topology_key,
        );
        members.entry(id).or_default().pod = Some(seen);
    }
    (members, doors)
}

/// Every member's own word, asked side by side: how its ports are secured, and how long all took.
async fn ask(
    connections: &Connections,
    doors: &BTreeMap<MemberId, Door>,
    expected: Option<ClusterId>,
    members: &mut BTreeMap<MemberId, Member>,
) -> (BTreeMap<MemberId, transport::Ports>, Duration) {
    let (mut ports, began) = (BTreeMap::new(), Instant::now());
    let Some(expected) = expected else {
        return (ports, Duration::ZERO);
    };
    let asked = doors
        .values()
        .map(|door| async move { (door.id, door.inspect(connections, expected).await) });
    for (id, answer) in join_all(asked).await {
        let (report, secured) = answer.map(|is| (is.report, is.ports)).unzip();
        members.entry(id).or_default().report = report;
        ports.extend(secured.map(|secured| (id, secured)));
    }
    (ports, began.elapsed())
}

fn address(pod: &KubePod) -> Option<IpAddr> {
    let status = pod.status.as_ref()?;
    let over = matches!(status.phase.as_deref(), Some("Failed" | "Succeeded"));
    status.pod_ip.as_ref().filter(|_| !over)?.parse().ok()
}

fn member_of(labels: &BTreeMap<String, String>) -> Option<MemberId> {
    labels.get(MEMBER_LABEL)?.parse().ok().map(MemberId)
}
