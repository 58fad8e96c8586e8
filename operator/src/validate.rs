//! Stage 2: from the KvCluster as it was read to one that later stages need not check again.
//!
//! The API server has checked the rules already; what is checked here again is what would do harm if an
//! older definition without the rule were installed.

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt;
use kvorum_api::{
    ApplyOperatorChanges, AutoCompactionMode, Config, KvCluster, NodeSpread, Placement,
};
use kvorum_plan::observed::UnixSeconds;
use kvorum_plan::spec::Spec;
use kvorum_plan::{ClusterSize, Transport};

mod wish;

use crate::certificates::{Leaf, Source, Wish};
use crate::names::Names;
use crate::quantity;

/// A KvCluster that makes sense: the only thing the builders read.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidCluster {
    /// Names what belongs to it.
    pub names: Names,
    /// The KvCluster's own.
    pub uid: String,
    /// Which operator looks after it, if not the one of no class.
    pub class: Option<String>,
    /// Whether the Nodes that its members run on can be seen.
    pub sees_nodes: bool,
    /// Of the spec.
    pub generation: i64,
    /// When the KvCluster was created.
    pub created: UnixSeconds,
    /// It is going away.
    pub deleting: bool,
    /// What decisions depend on.
    pub spec: Spec,
    /// What of the user's spec pods are made from, as a digest.
    pub asked: String,
    /// What only a new operator would change reaches pods at once.
    pub operator_changes_at_once: bool,
    /// TLS, if it is asked for.
    pub tls: Option<ValidTls>,
    /// How members talk by the templates of now: on the way to what is asked for.
    pub transport: Transport,
    /// What pods look like.
    pub pod: PodSpecification,
    /// How big volumes are.
    pub storage_size: Quantity,
}

/// What pods look like.
#[derive(Clone, Debug, PartialEq)]
pub struct PodSpecification {
    /// Complete, with tag or digest.
    pub image: String,
    /// As Kubernetes spells it.
    pub pull_policy: &'static str,
    /// Names of Secrets.
    pub pull_secrets: Vec<String>,
    /// Where pods may go.
    pub placement: Placement,
    /// CPU and memory.
    pub resources: ResourceRequirements,
    /// Flags that come from the config.
    pub flags: Vec<String>,
    /// The user's addition to the pod template.
    pub overlay: Option<serde_json::Value>,
}

/// TLS as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidTls {
    /// Where certificates come from.
    pub source: Source,
    /// Clients without TLS are taken, too.
    pub clients_permissive: bool,
    /// Clients must show a certificate.
    pub clients_show: bool,
    /// Of the CAs.
    pub wish: Wish,
}

impl ValidCluster {
    /// The cluster with its members talking like this.
    #[must_use]
    pub fn talking(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self.names.tls = transport == Transport::Required;
        self
    }

    /// The certificates it has, or had.
    #[must_use]
    pub fn leaves(&self) -> Vec<Leaf> {
        match self.tls.as_ref().map(|tls| &tls.source) {
            Some(Source::Secrets(given)) => given.keys().copied().collect(),
            _ => Leaf::ALL.to_vec(),
        }
    }
}

/// What is wrong with a KvCluster, in words that say what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// Where.
    pub field: &'static str,
    /// What.
    pub problem: String,
}

/// Checks a KvCluster. `default_image` is used where it names none.
///
/// # Errors
/// The first thing that is wrong.
pub fn validate(cluster: &KvCluster, default_image: &str) -> Result<ValidCluster, Invalid> {
    let spec = &cluster.spec;
    let size = ClusterSize::try_from(spec.members).map_err(|refused| Invalid {
        field: "spec.members",
        problem: refused.to_string(),
    })?;
    let tls = wish::tls(&spec.tls)?;
    let transport = if tls.is_some() {
        Transport::Required
    } else {
        Transport::Off
    };
    let valid = ValidCluster {
        names: Names::new(
            &cluster.name_any(),
            &cluster.namespace().unwrap_or_default(),
        ),
        uid: cluster.uid().unwrap_or_default(),
        class: cluster.labels().get(crate::names::CLASS_LABEL).cloned(),
        sees_nodes: true,
        generation: cluster.metadata.generation.unwrap_or_default(),
        created: UnixSeconds(
            cluster
                .metadata
                .creation_timestamp
                .as_ref()
                .map_or(0, |time| time.0.as_second()),
        ),
        deleting: cluster.metadata.deletion_timestamp.is_some(),
        spec: wish::read(spec, size)?,
        asked: wish::asked(spec),
        operator_changes_at_once: spec.updates.apply_operator_changes
            == ApplyOperatorChanges::Immediate,
        pod: pod(cluster, default_image)?,
        storage_size: spec.storage.size.clone(),
        tls,
        transport,
    };
    wish::not_ours(&valid)?;
    Ok(valid.talking(transport))
}

fn pod(cluster: &KvCluster, default_image: &str) -> Result<PodSpecification, Invalid> {
    let spec = &cluster.spec;
    let some = |amounts: &std::collections::BTreeMap<String, Quantity>| {
        (!amounts.is_empty()).then(|| amounts.clone())
    };
    Ok(PodSpecification {
        image: image(cluster, default_image),
        pull_policy: spec.image.pull_policy.as_str(),
        pull_secrets: spec
            .image
            .pull_secrets
            .iter()
            .map(|secret| secret.name.clone())
            .collect(),
        placement: spec.placement.clone(),
        resources: ResourceRequirements {
            requests: some(&spec.resources.requests),
            limits: some(&spec.resources.limits),
            claims: None,
        },
        flags: flags(&spec.config)?,
        overlay: spec.pod_overlay.clone(),
    })
}

/// `repository:tag`, or `repository@digest` where one is pinned.
fn image(cluster: &KvCluster, default_image: &str) -> String {
    let (default_repository, default_suffix) = split_image(default_image);
    let image = &cluster.spec.image;
    let repository = image.repository.as_deref().unwrap_or(default_repository);
    match (&image.digest, &cluster.spec.version) {
        (Some(digest), _) => format!("{repository}@{digest}"),
        (None, Some(version)) => format!("{repository}:{version}"),
        (None, None) => format!("{repository}{default_suffix}"),
    }
}

/// The repository, and what follows it with its separator. A port is not a tag.
fn split_image(image: &str) -> (&str, &str) {
    let name = image.rfind('/').map_or(0, |slash| slash + 1);
    let at = image.find('@');
    let colon = image[name..].find(':').map(|colon| name + colon);
    image.split_at(at.or(colon).unwrap_or(image.len()))
}

fn flags(config: &Config) -> Result<Vec<String>, Invalid> {
    let mut flags = vec![
        format!("--heartbeat-interval={}", config.heartbeat_milliseconds),
        format!(
            "--election-timeout={}",
            config.election_timeout_milliseconds
        ),
    ];
    if let Some(count) = config.snapshot_count {
        flags.push(format!("--snapshot-count={count}"));
    }
    if let Some(quota) = &config.quota {
        let bytes = quantity::bytes(&quota.0).ok_or_else(|| Invalid {
            field: "spec.config.quota",
            problem: format!("must be a quantity such as 8Gi, not {:?}", quota.0),
        })?;
        flags.push(format!("--quota-backend-bytes={bytes}"));
    }
    if let Some(compaction) = &config.auto_compaction {
        let mode = match compaction.mode {
            AutoCompactionMode::Periodic => "periodic",
            AutoCompactionMode::Revision => "revision",
        };
        flags.push(format!("--auto-compaction-mode={mode}"));
        flags.push(format!(
            "--auto-compaction-retention={}",
            compaction.retention
        ));
    }
    if let Some(bytes) = config.max_request_bytes {
        flags.push(format!("--max-request-bytes={bytes}"));
    }
    Ok(flags)
}

/// Whether two members may never share a node.
#[must_use]
pub fn nodes_required(placement: &Placement) -> bool {
    placement.node_spread == NodeSpread::Required
}

#[cfg(test)]
mod tests {
    use super::*;
    use kvorum_api::{AutoCompaction, KvClusterSpec};

    const DEFAULT_IMAGE: &str = "registry.example:5000/kv/node:1.0";

    fn image_of(change: impl FnOnce(&mut KvClusterSpec)) -> String {
        let mut spec = KvClusterSpec::default();
        change(&mut spec);
        validate(&KvCluster::new("orders", spec), DEFAULT_IMAGE)
            .unwrap()
            .pod
            .image
    }

    #[test]
    fn the_image_is_put_together_from_what_is_given() {
        assert_eq!(image_of(|_| ()), DEFAULT_IMAGE);
        assert_eq!(
            image_of(|spec| spec.version = Some("2.0".to_owned())),
            "registry.example:5000/kv/node:2.0"
        );
        assert_eq!(
            image_of(|spec| spec.image.repository = Some("other/node".to_owned())),
            "other/node:1.0"
        );
        let digest = format!("sha256:{}", "0".repeat(64));
        assert_eq!(
            image_of(|spec| {
                spec.version = Some("2.0".to_owned());
                spec.image.digest = Some(digest.clone());
            }),
            format!("registry.example:5000/kv/node@{digest}")
        );
    }

    #[test]
    fn an_even_size_is_refused_here_too() {
        let spec = KvClusterSpec {
            members: 4,
            ..KvClusterSpec::default()
        };
        let refused = validate(&KvCluster::new("orders", spec), DEFAULT_IMAGE).unwrap_err();
        assert!(
            refused
                .to_string()
                .starts_with("spec.members: must be odd: 4"),
            "{refused}"
        );
    }

    #[test]
    fn config_becomes_flags() {
        let config = Config {
            snapshot_count: Some(5000),
            quota: Some(Quantity("2Gi".to_owned())),
            auto_compaction: Some(AutoCompaction {
                mode: AutoCompactionMode::Revision,
                retention: "1000".to_owned(),
            }),
            max_request_bytes: Some(2_000_000),
            ..Config::default()
        };
        assert_eq!(
            flags(&config).unwrap(),
            [
                "--heartbeat-interval=50",
                "--election-timeout=1000",
                "--snapshot-count=5000",
                "--quota-backend-bytes=2147483648",
                "--auto-compaction-mode=revision",
                "--auto-compaction-retention=1000",
                "--max-request-bytes=2000000",
            ]
        );
    }
}
