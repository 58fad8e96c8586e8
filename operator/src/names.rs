//! Names, addresses, labels and annotations of everything that belongs to a cluster.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kvorum_plan::MemberId;

/// The one field manager of everything the operator writes.
pub const FIELD_MANAGER: &str = "kvorum-operator";

/// Whose object it is: the name of the KvCluster, in the object's namespace.
pub const CLUSTER_LABEL: &str = "kvorum.dev/cluster";
/// Which member.
pub const MEMBER_LABEL: &str = "kvorum.dev/member";
/// On a KvCluster: which operator looks after it.
pub const CLASS_LABEL: &str = "kvorum.dev/class";
/// Kubernetes' own label for the tool that manages an object.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// On volumes, and keys of the record: the identity of the replicated cluster.
pub const CLUSTER_ID: &str = "kvorum.dev/cluster-id";
/// On volumes: which member's data this is.
pub const MEMBER_ID: &str = "kvorum.dev/member-id";
/// On volumes: the member's zone.
pub const ZONE: &str = "kvorum.dev/zone";
/// How many members the cluster was reserved for.
pub const MEMBERS: &str = "kvorum.dev/members";
/// The order of zones that was reserved.
pub const ZONES: &str = "kvorum.dev/zones";
/// How far the cluster came.
pub const STAGE: &str = "kvorum.dev/stage";
/// On volumes: the store that was on it when the cluster was initialized.
pub const STORE_UUID: &str = "kvorum.dev/store-uuid";

/// On volumes: since when its member is not part of the cluster any more, in seconds since 1970.
pub const RETIRED: &str = "kvorum.dev/retired-at";
/// On StatefulSets: what of the user's spec the template was made from, as a digest.
pub const ASKED: &str = "kvorum.dev/asked";
/// On StatefulSets: the template that was applied, as a digest.
pub const TEMPLATE: &str = "kvorum.dev/template";

/// Clients.
pub const CLIENT_PORT: i32 = 2379;
/// Members among themselves, and the operator.
pub const PEER_PORT: i32 = 2380;
/// Health and metrics.
pub const METRICS_PORT: i32 = 2381;

/// Names what belongs to one KvCluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The KvCluster's name.
    pub cluster: String,
    /// Its namespace.
    pub namespace: String,
}

impl Names {
    /// Of this KvCluster.
    #[must_use]
    pub fn new(cluster: &str, namespace: &str) -> Self {
        Self {
            cluster: cluster.to_owned(),
            namespace: namespace.to_owned(),
        }
    }

    /// A member, and its StatefulSet.
    #[must_use]
    pub fn member(&self, id: MemberId) -> String {
        format!("{}-{id}", self.cluster)
    }

    /// A member's pod.
    #[must_use]
    pub fn pod(&self, id: MemberId) -> String {
        format!("{}-{id}-0", self.cluster)
    }

    /// A member's volume claim.
    #[must_use]
    pub fn volume(&self, id: MemberId) -> String {
        format!("{}-{id}-data", self.cluster)
    }

    /// The headless Service.
    #[must_use]
    pub fn peers(&self) -> String {
        format!("{}-peers", self.cluster)
    }

    /// The ConfigMap that records who this cluster is.
    #[must_use]
    pub fn record(&self) -> String {
        format!("{}-record", self.cluster)
    }

    /// Where a member's peers find it.
    #[must_use]
    pub fn peer_url(&self, id: MemberId) -> String {
        self.url(id, PEER_PORT)
    }

    /// Where clients find a member.
    #[must_use]
    pub fn client_url(&self, id: MemberId) -> String {
        self.url(id, CLIENT_PORT)
    }

    fn url(&self, id: MemberId, port: i32) -> String {
        let (pod, peers) = (self.pod(id), self.peers());
        format!("http://{pod}.{peers}.{}.svc:{port}", self.namespace)
    }

    /// The labels of every object.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        [
            ("app.kubernetes.io/name", "kvorum"),
            ("app.kubernetes.io/instance", &self.cluster),
            ("app.kubernetes.io/component", "member"),
            ("app.kubernetes.io/part-of", "kvorum"),
            (MANAGED_BY_LABEL, FIELD_MANAGER),
            (CLUSTER_LABEL, &self.cluster),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }

    /// The labels of an object of one member.
    #[must_use]
    pub fn member_labels(&self, id: MemberId) -> BTreeMap<String, String> {
        let mut labels = self.labels();
        labels.insert(MEMBER_LABEL.to_owned(), id.0.to_string());
        labels
    }

    /// Selects every pod of the cluster: nothing that may change later.
    #[must_use]
    pub fn selector(&self) -> BTreeMap<String, String> {
        [(CLUSTER_LABEL.to_owned(), self.cluster.clone())].into()
    }

    /// Selects the pod of one member.
    #[must_use]
    pub fn member_selector(&self, id: MemberId) -> LabelSelector {
        let mut labels = self.selector();
        labels.insert(MEMBER_LABEL.to_owned(), id.0.to_string());
        LabelSelector {
            match_labels: Some(labels),
            match_expressions: None,
        }
    }

    /// Every object a cluster of these members has, as kind and name, in the order of creation.
    #[must_use]
    pub fn objects(
        &self,
        members: impl ExactSizeIterator<Item = MemberId>,
    ) -> Vec<(&'static str, String)> {
        let mut objects = vec![
            ("ConfigMap", self.record()),
            ("Service", self.peers()),
            ("Service", self.cluster.clone()),
        ];
        if members.len() > 1 {
            objects.push(("PodDisruptionBudget", self.cluster.clone()));
        }
        for id in members {
            objects.push(("PersistentVolumeClaim", self.volume(id)));
            objects.push(("StatefulSet", self.member(id)));
        }
        objects
    }
}
