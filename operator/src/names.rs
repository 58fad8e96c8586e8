//! Names, addresses, labels and annotations of everything that belongs to a cluster.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kvorum_plan::MemberId;

use crate::certificates::Leaf;

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

/// On StatefulSets: how their member talks to the others by its template.
pub const TRANSPORT: &str = "kvorum.dev/transport";

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
    /// Its addresses begin with https.
    pub tls: bool,
}

impl Names {
    /// Of this KvCluster.
    #[must_use]
    pub fn new(cluster: &str, namespace: &str) -> Self {
        Self {
            cluster: cluster.to_owned(),
            namespace: namespace.to_owned(),
            tls: false,
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
        format!("{}://{}:{port}", self.scheme(), self.host(id))
    }

    /// What its addresses begin with.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// A member's own host name.
    #[must_use]
    pub fn host(&self, id: MemberId) -> String {
        format!("{}.{}.{}.svc", self.pod(id), self.peers(), self.namespace)
    }

    /// What a member's certificate towards clients is for: itself, the client Service, and whoever is beside it.
    #[must_use]
    pub fn server_hosts(&self) -> Vec<String> {
        let (cluster, namespace) = (&self.cluster, &self.namespace);
        let mut hosts = vec![
            cluster.clone(),
            format!("{cluster}.{namespace}"),
            format!("{cluster}.{namespace}.svc"),
            format!("{cluster}.{namespace}.svc.cluster.local"),
            format!("*.{}.{namespace}.svc.cluster.local", self.peers()),
        ];
        hosts.extend(self.peer_hosts());
        hosts.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
        hosts
    }

    /// What members' certificates among themselves are for.
    #[must_use]
    pub fn peer_hosts(&self) -> Vec<String> {
        vec![format!("*.{}.{}.svc", self.peers(), self.namespace)]
    }

    /// What a certificate that somebody gives must be for at least, where its owner is called.
    #[must_use]
    pub fn must_serve(&self, leaf: Leaf) -> Vec<String> {
        let mut hosts = self.peer_hosts();
        if leaf == Leaf::Server {
            hosts.push(format!("{}.{}.svc", self.cluster, self.namespace));
        }
        hosts
    }

    /// A host name that every member's certificate is for, and no client's.
    #[must_use]
    pub fn any_member(&self) -> String {
        format!("any-member.{}.{}.svc", self.peers(), self.namespace)
    }

    /// The name in the operator's certificate, which no member's certificate has.
    #[must_use]
    pub fn operator_host(&self) -> String {
        format!("operator.{}.{}.kvorum.dev", self.cluster, self.namespace)
    }

    /// The Secret of the CAs.
    #[must_use]
    pub fn ca_secret(&self) -> String {
        format!("{}-ca", self.cluster)
    }

    /// The Certificate by which cert-manager is asked for one.
    #[must_use]
    pub fn certificate(&self, leaf: Leaf) -> String {
        format!("{}-{}", self.cluster, leaf.as_str())
    }

    /// The Secret that cert-manager writes.
    #[must_use]
    pub fn issued_secret(&self, leaf: Leaf) -> String {
        format!("{}-{}-issued", self.cluster, leaf.as_str())
    }

    /// The Secret of a certificate.
    #[must_use]
    pub fn leaf_secret(&self, leaf: Leaf) -> String {
        format!("{}-{}-tls", self.cluster, leaf.as_str())
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
