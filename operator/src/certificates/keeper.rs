//! Secrets are neither listed nor watched: the operator reads those of its clusters by name, and remembers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::api::DynamicObject;
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;

use super::{Given, Kept, Source, Stand, follow, given, read, requests};
use crate::limits::CERTIFICATES_REREAD;
use crate::reconcile::unix_seconds;
use crate::validate::ValidCluster;

/// What was read or written last, by the UID of the KvCluster.
#[derive(Debug, Default)]
pub struct Keeper(Mutex<HashMap<String, Remembered>>);

/// The certificates of a cluster, with the Secrets that hold them.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The certificates.
    pub kept: Kept,
    /// UID and resource version of each Secret that is there and ours.
    pub versions: BTreeMap<String, (String, String)>,
    /// What others made, where they do.
    pub given: Option<Given>,
    /// What cert-manager is still to be asked for.
    pub requests: Vec<DynamicObject>,
    /// What cert-manager was asked for and has not done, in its words.
    pub pending: Option<String>,
}

impl Found {
    /// Where a change of CAs stands.
    #[must_use]
    pub fn stand(&self) -> Stand {
        match (&self.given, &self.kept.authorities) {
            (Some(Ok(given)), _) => follow::stand(&self.kept, given),
            (None, Some(authorities)) => authorities.stand(),
            _ => Stand::Steady,
        }
    }

    /// Whether every certificate is there.
    #[must_use]
    pub fn complete(&self, cluster: &ValidCluster) -> bool {
        let mut wanted = cluster.leaves().into_iter();
        wanted.all(|leaf| self.kept.leaves.contains_key(&leaf))
    }

    /// Whether others still have to do something, which sends us no event.
    fn waits(&self) -> bool {
        !self.requests.is_empty() || self.pending.is_some() || matches!(self.given, Some(Err(_)))
    }
}

#[derive(Debug)]
struct Remembered {
    at: Instant,
    source: Option<Source>,
    found: Arc<Found>,
}

impl Keeper {
    /// The certificates of a cluster, from memory where that is fresh.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn look(
        &self,
        client: &Client,
        cluster: &ValidCluster,
    ) -> Result<Arc<Found>, kube::Error> {
        let fresh = |is: &&Remembered| {
            // Another wish has other Secrets.
            let same = is.source.as_ref() == source(cluster);
            same && is.at.elapsed() < CERTIFICATES_REREAD && !is.found.waits()
        };
        if let Some(is) = self.0.lock().get(&cluster.uid).filter(fresh) {
            return Ok(is.found.clone());
        }
        let found = Arc::new(look(client, cluster).await?);
        self.remember(cluster, found.clone());
        Ok(found)
    }

    /// What was written.
    pub fn remember(&self, cluster: &ValidCluster, found: Arc<Found>) {
        let mut all = self.0.lock();
        // Clusters that are gone are not looked at, and so go by themselves.
        all.retain(|_, is| is.at.elapsed() < 2 * CERTIFICATES_REREAD);
        let is = Remembered {
            at: Instant::now(),
            source: source(cluster).cloned(),
            found,
        };
        all.insert(cluster.uid.clone(), is);
    }

    /// Something was not as remembered.
    pub fn forget(&self, uid: &str) {
        self.0.lock().remove(uid);
    }
}

fn source(cluster: &ValidCluster) -> Option<&Source> {
    cluster.tls.as_ref().map(|tls| &tls.source)
}

async fn look(client: &Client, cluster: &ValidCluster) -> Result<Found, kube::Error> {
    let names = &cluster.names;
    let source = source(cluster);
    let sources = source.map_or_else(BTreeMap::new, |source| source.secrets(names));
    let api = Api::<Secret>::namespaced(client.clone(), &names.namespace);
    let ours = cluster
        .leaves()
        .into_iter()
        .map(|leaf| names.leaf_secret(leaf));
    let all: BTreeSet<String> = ours
        .chain([names.ca_secret()])
        .chain(sources.values().cloned())
        .collect();
    let reads = all.into_iter().map(|name| {
        let api = api.clone();
        async move {
            let secret = api.get_opt(&name).await?;
            Ok::<_, kube::Error>(secret.map(|secret| (name, secret)))
        }
    });
    let secrets = try_join_all(reads).await?.into_iter().flatten();
    let all: BTreeMap<String, Secret> = secrets.collect();
    let now = unix_seconds();
    let mut given = (!sources.is_empty()).then(|| given(names, &sources, &all, now));
    // Somebody else's is not read as ours; that it is in the way is found when ours is created.
    let is_ours = |secret: &Secret| {
        let mut owners = secret.owner_references().iter();
        owners.any(|owner| owner.uid == cluster.uid)
    };
    let mut ours = all;
    ours.retain(|name, secret| is_ours(secret) && !sources.values().any(|source| source == name));
    let (mut due, mut pending) = (Vec::new(), None);
    if matches!(source, Some(Source::CertManager(_))) {
        match requests::look(client, cluster).await {
            Ok((requests, said)) => {
                (due, pending) = (requests, said);
                // What cert-manager says is worth more than that its Secret is not there.
                if let (Some(Err(problem)), Some(said)) = (&mut given, &pending) {
                    problem.clone_from(said);
                }
            }
            Err(error) => {
                given = Some(Err(format!(
                    "Certificates of cert-manager cannot be read: {error}; let the operator get, create and patch certificates.cert-manager.io"
                )));
            }
        }
    }
    let versions = ours.iter().map(|(name, secret)| {
        let version = secret.resource_version().unwrap_or_default();
        (name.clone(), (secret.uid().unwrap_or_default(), version))
    });
    Ok(Found {
        versions: versions.collect(),
        kept: read(cluster, &ours),
        given,
        requests: due,
        pending,
    })
}
