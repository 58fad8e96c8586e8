//! Secrets are neither listed nor watched: the operator reads those of its clusters by name, and remembers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;

use super::{Kept, Leaf, read};
use crate::limits::CERTIFICATES_REREAD;
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
}

#[derive(Debug)]
struct Remembered {
    at: Instant,
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
        let fresh = |is: &&Remembered| is.at.elapsed() < CERTIFICATES_REREAD;
        if let Some(is) = self.0.lock().get(&cluster.uid).filter(fresh) {
            return Ok(is.found.clone());
        }
        let names = &cluster.names;
        let api = Api::<Secret>::namespaced(client.clone(), &names.namespace);
        let secrets = Leaf::ALL.into_iter().map(|leaf| names.leaf_secret(leaf));
        let reads = secrets.chain([names.ca_secret()]).map(|name| {
            let api = api.clone();
            async move {
                let secret = api.get_opt(&name).await?;
                Ok::<_, kube::Error>((name, secret))
            }
        });
        let mut found = BTreeMap::new();
        for (name, secret) in try_join_all(reads).await? {
            // Somebody else's is not read; that it is in the way is found when ours is created.
            let ours = |secret: &Secret| {
                let mut owners = secret.owner_references().iter();
                owners.any(|owner| owner.uid == cluster.uid)
            };
            found.extend(secret.filter(ours).map(|secret| (name, secret)));
        }
        let kept = read(cluster, &found);
        let versions = found.into_iter().map(|(name, secret)| {
            let version = secret.resource_version().unwrap_or_default();
            (name, (secret.uid().unwrap_or_default(), version))
        });
        let found = Arc::new(Found {
            kept,
            versions: versions.collect(),
        });
        self.remember(&cluster.uid, found.clone());
        Ok(found)
    }

    /// What was written.
    pub fn remember(&self, uid: &str, found: Arc<Found>) {
        let mut all = self.0.lock();
        // Clusters that are gone are not looked at, and so go by themselves.
        all.retain(|_, is| is.at.elapsed() < 2 * CERTIFICATES_REREAD);
        let at = Instant::now();
        all.insert(uid.to_owned(), Remembered { at, found });
    }

    /// Something was not as remembered.
    pub fn forget(&self, uid: &str) {
        self.0.lock().remove(uid);
    }
}
