//! Keeping the Secrets of certificates: the CAs first, then what they sign.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Patch, PostParams};

use super::writes::apply_params;
use super::{Act, ActError};
use crate::certificates::{Found, Progress, ca_secret, leaf_secret, tend};
use crate::names::FIELD_MANAGER;

impl Act<'_> {
    /// Brings the certificates one step on, if one is due.
    pub(super) async fn certificates(&self) -> Result<bool, ActError> {
        let (Some(tls), Some(found)) = (&self.cluster.tls, &self.sight.certificates) else {
            return Ok(false);
        };
        let kept = &found.kept;
        let progress = Progress::of(kept, &self.sight.transport.ports, tls.clients_show);
        let names = &self.cluster.names;
        let next =
            tend(kept, names, tls.wish, progress, self.now).map_err(ActError::Certificate)?;
        if next == *kept {
            return Ok(false);
        }
        let mut written = found.as_ref().clone();
        // Not written, or by halves: what is there is read anew.
        self.keeper.forget(&self.cluster.uid);
        if next.authorities != kept.authorities
            && let Some(authorities) = &next.authorities
        {
            tracing::info!(
                namespace = names.namespace,
                cluster = names.cluster,
                "Writing the CAs of a cluster"
            );
            let secret = ca_secret(self.cluster, authorities);
            self.write_secret(&mut written, secret).await?;
        }
        self.failpoint.after("certificates-ca");
        for (leaf, issued) in &next.leaves {
            if kept.leaves.get(leaf) != Some(issued) {
                let secret = leaf_secret(self.cluster, *leaf, issued);
                self.write_secret(&mut written, secret).await?;
            }
        }
        written.kept = next;
        self.keeper.remember(&self.cluster.uid, Arc::new(written));
        Ok(true)
    }

    /// Creates a Secret, or changes the very one that was read.
    async fn write_secret(&self, found: &mut Found, mut secret: Secret) -> Result<(), ActError> {
        let name = secret.name_any();
        let object = format!("Secret {name}");
        let api = self.api::<Secret>();
        let written = match found.versions.get(&name) {
            Some((uid, version)) => {
                secret.metadata.uid = Some(uid.clone());
                secret.metadata.resource_version = Some(version.clone());
                api.patch(&name, &apply_params(), &Patch::Apply(&secret))
                    .await
            }
            None => {
                let parameters = PostParams {
                    field_manager: Some(FIELD_MANAGER.to_owned()),
                    ..PostParams::default()
                };
                api.create(&parameters, &secret).await
            }
        };
        let written = written.map_err(|error| match error {
            kube::Error::Api(status)
                if status.code == 409 && !found.versions.contains_key(&name) =>
            {
                ActError::Refused {
                    object: object.clone(),
                    message: "is there already and is not this cluster's: delete it, or give the KvCluster another name"
                        .to_owned(),
                }
            }
            error => ActError::of_call(object.clone(), error),
        })?;
        let version = (
            written.uid().unwrap_or_default(),
            written.resource_version().unwrap_or_default(),
        );
        found.versions.insert(name, version);
        Ok(())
    }
}
