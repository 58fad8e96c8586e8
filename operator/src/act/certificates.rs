//! Keeping the Secrets of certificates: the CAs first, then what they sign; or taking up what others sign.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{DynamicObject, Patch, PostParams};

use super::writes::apply_params;
use super::{Act, ActError};
use crate::certificates::{
    Authority, Found, Kept, Progress, ca_secret, follow, leaf_secret, requests_api, tend,
};
use crate::names::FIELD_MANAGER;

/// The CAs without the time of the last step.
fn keys(kept: &Kept) -> Option<(&Authority, &Authority)> {
    let authorities = kept.authorities.as_ref()?;
    Some((&authorities.clients, &authorities.peers))
}

impl Act<'_> {
    /// Brings the certificates one step on, if one is due.
    pub(super) async fn certificates(&self) -> Result<bool, ActError> {
        let (Some(tls), Some(found)) = (&self.cluster.tls, &self.sight.certificates) else {
            return Ok(false);
        };
        let asked = self.request(&found.requests).await?;
        let (kept, names) = (&found.kept, &self.cluster.names);
        let progress = Progress::of(kept, &self.sight.transport.ports, tls.clients_show);
        let next = match &found.given {
            None => {
                tend(kept, names, tls.wish, progress, self.now).map_err(ActError::Certificate)?
            }
            Some(Ok(given)) => follow(kept, given, names, tls.wish.overlap, progress, self.now),
            // What is wrong is said by the condition, and what is in use stays in use.
            Some(Err(_)) => return Ok(asked),
        };
        if next == *kept {
            return Ok(asked);
        }
        let mut written = found.as_ref().clone();
        // Not written, or by halves: what is there is read anew.
        self.keeper.forget(&self.cluster.uid);
        if (&next.authorities, &next.followed) != (&kept.authorities, &kept.followed) {
            tracing::info!(
                namespace = names.namespace,
                cluster = names.cluster,
                "Changing the CAs of a cluster"
            );
            let secret = ca_secret(self.cluster, &next);
            self.write_secret(&mut written, secret).await?;
            // Where only the time of the step is new, a test that dies here each time would get nowhere.
            if keys(&next) != keys(kept) {
                self.failpoint.after("certificates-ca");
            }
        }
        for (leaf, issued) in &next.leaves {
            if kept.leaves.get(leaf) != Some(issued) {
                let secret = leaf_secret(self.cluster, *leaf, issued);
                self.write_secret(&mut written, secret).await?;
            }
        }
        written.kept = next;
        self.keeper.remember(self.cluster, Arc::new(written));
        Ok(true)
    }

    /// Asks cert-manager.
    async fn request(&self, due: &[DynamicObject]) -> Result<bool, ActError> {
        let api = requests_api(self.client, &self.cluster.names.namespace);
        for request in due {
            let name = request.name_any();
            let written = api
                .patch(&name, &apply_params(), &Patch::Apply(request))
                .await;
            written.map_err(|error| match error {
                kube::Error::Api(status) if status.code == 404 => ActError::Refused {
                    object: format!("Certificate {name}"),
                    message:
                        "cert-manager is not installed: install it, or let spec.tls.mode be Auto"
                            .to_owned(),
                },
                error => ActError::of_call(format!("Certificate {name}"), error),
            })?;
        }
        if !due.is_empty() {
            self.keeper.forget(&self.cluster.uid);
        }
        Ok(!due.is_empty())
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
