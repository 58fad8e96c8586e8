//! Clusters with TLS, as those see them who have the Secret for clients.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kvorum_api::TlsStatus;
use kvorum_processes::Client;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::cluster::Cluster;
use crate::limits::OPERATED;
use crate::world::until;

impl Cluster<'_> {
    async fn client_secret(&self) -> Result<BTreeMap<String, ByteString>> {
        let name = format!("{}-client-tls", self.name);
        let secret = self.space.api::<Secret>().get(&name).await?;
        secret.data.context("the Secret is empty")
    }

    /// A client that has the Secret, and with `shows` also shows its certificate.
    ///
    /// # Errors
    /// When there is no Secret, or the member does not take it.
    pub async fn secure(&self, shows: bool) -> Result<Client> {
        let data = self.client_secret().await?;
        let of = |key: &str| data.get(key).map(|text| &text.0[..]).unwrap_or_default();
        let endpoint = self.served.endpoints().await?;
        let endpoint = endpoint.first().context("the cluster has no member")?;
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(of("ca.crt")))
            .domain_name(format!("{}.{}.svc", self.name, self.space.name));
        if shows {
            tls = tls.identity(Identity::from_pem(of("tls.crt"), of("tls.key")));
        }
        Ok(Client::secure(endpoint, tls).await?)
    }

    /// The CAs that clients trust, PEM.
    ///
    /// # Errors
    /// When there is no Secret.
    pub async fn trusted(&self) -> Result<String> {
        let data = self.client_secret().await?;
        let ca = data.get("ca.crt").context("the Secret has no CA")?;
        Ok(String::from_utf8(ca.0.clone())?)
    }

    /// The UIDs of its pods, to see whether one was made anew.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn pod_uids(&self) -> Result<Vec<String>> {
        let pods = self.pods().await?;
        let mut uids: Vec<String> = pods.iter().filter_map(ResourceExt::uid).collect();
        uids.sort();
        Ok(uids)
    }

    /// Waits until the status says of TLS what it should, and nothing is under way.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn tls_stands(&self, is: impl Fn(Option<&TlsStatus>) -> bool) -> Result<()> {
        until("TLS as it should be", OPERATED, || async {
            let status = self.status().await?;
            let settled = status.operation.is_none() && is(status.tls.as_ref());
            Ok(if settled {
                Ok(())
            } else {
                Err(format!("{:?}", status.tls))
            })
        })
        .await
    }

    /// Waits until clients trust others than `before` alone, and no change of CAs is under way.
    ///
    /// # Errors
    /// When it does not come to that in time.
    pub async fn other_authorities(&self, before: &str) -> Result<()> {
        until("another CA, alone", OPERATED, || async {
            let ca = self.trusted().await?;
            let stands = self.status().await?.tls.map(|tls| tls.authorities);
            let over = stands.as_deref() == Some("Steady") && !ca.contains(before.trim());
            Ok(if over {
                Ok(())
            } else {
                Err(format!("{stands:?}"))
            })
        })
        .await
    }
}
