//! A client of the etcd API, as far as tests need one.

use crate::limits::{POLL, REQUEST_TIMEOUT};
use kvorum_proto::admin::admin_client::AdminClient;
use kvorum_proto::etcdserverpb::auth_client::AuthClient;
use kvorum_proto::etcdserverpb::cluster_client::ClusterClient;
use kvorum_proto::etcdserverpb::kv_client::KvClient;
use kvorum_proto::etcdserverpb::lease_client::LeaseClient;
use kvorum_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use kvorum_proto::etcdserverpb::watch_client::WatchClient;
use kvorum_proto::etcdserverpb::{
    DeleteRangeRequest, PutRequest, PutResponse, RangeRequest, RangeResponse, StatusRequest,
    StatusResponse,
};
use kvorum_proto::health::health_client::HealthClient;
use kvorum_proto::v3electionpb::election_client::ElectionClient;
use kvorum_proto::v3lockpb::lock_client::LockClient;
use std::time::{Duration, Instant};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// One connection to one endpoint (`host:port`).
#[derive(Clone, Debug)]
pub struct Client {
    /// The connection, for services that have no short form here.
    pub channel: Channel,
    /// Where it leads to, `host:port`.
    pub endpoint: String,
}

impl Client {
    /// For an endpoint; connects when first used, and again after it broke.
    ///
    /// # Panics
    /// If the endpoint is not `host:port`.
    #[must_use]
    pub fn new(endpoint: &str) -> Self {
        Self::patient(endpoint, REQUEST_TIMEOUT)
    }

    /// With another time that a request may take.
    ///
    /// # Panics
    /// If it is not an endpoint.
    #[must_use]
    pub fn patient(endpoint: &str, timeout: Duration) -> Self {
        let target = Endpoint::from_shared(format!("http://{endpoint}"));
        let target = target.unwrap_or_else(|e| panic!("not an endpoint: {e}"));
        let channel = target
            .connect_timeout(Duration::from_secs(2))
            .timeout(timeout)
            .tcp_nodelay(true)
            .connect_lazy();
        Self {
            channel,
            endpoint: endpoint.to_owned(),
        }
    }

    /// The same over TLS; fails at once where the handshake does.
    ///
    /// # Errors
    /// If no connection can be made.
    pub async fn secure(
        endpoint: &str,
        tls: tonic::transport::ClientTlsConfig,
    ) -> Result<Self, tonic::transport::Error> {
        let channel = Endpoint::from_shared(format!("https://{endpoint}"))?
            .tls_config(tls)?
            .connect_timeout(Duration::from_secs(2))
            .timeout(REQUEST_TIMEOUT)
            .connect()
            .await?;
        Ok(Self {
            channel,
            endpoint: endpoint.to_owned(),
        })
    }

    /// The KV service.
    #[must_use]
    pub fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.channel.clone()).max_decoding_message_size(usize::MAX)
    }

    /// The Watch service.
    #[must_use]
    pub fn watch(&self) -> WatchClient<Channel> {
        WatchClient::new(self.channel.clone()).max_decoding_message_size(usize::MAX)
    }

    /// The Lease service.
    #[must_use]
    pub fn lease(&self) -> LeaseClient<Channel> {
        LeaseClient::new(self.channel.clone())
    }

    /// The Cluster service.
    #[must_use]
    pub fn cluster(&self) -> ClusterClient<Channel> {
        ClusterClient::new(self.channel.clone())
    }

    /// The Maintenance service.
    #[must_use]
    pub fn maintenance(&self) -> MaintenanceClient<Channel> {
        MaintenanceClient::new(self.channel.clone())
    }

    /// The Auth service.
    #[must_use]
    pub fn auth(&self) -> AuthClient<Channel> {
        AuthClient::new(self.channel.clone())
    }

    /// The Lock service.
    #[must_use]
    pub fn lock(&self) -> LockClient<Channel> {
        LockClient::new(self.channel.clone())
    }

    /// The Election service.
    #[must_use]
    pub fn election(&self) -> ElectionClient<Channel> {
        ElectionClient::new(self.channel.clone())
    }

    /// The Health service.
    #[must_use]
    pub fn health(&self) -> HealthClient<Channel> {
        HealthClient::new(self.channel.clone())
    }

    /// kvorum's admin service (on the peer port).
    #[must_use]
    pub fn admin(&self) -> AdminClient<Channel> {
        AdminClient::new(self.channel.clone())
    }

    /// Puts a key.
    ///
    /// # Errors
    /// The server's.
    pub async fn put(&self, key: &str, value: &str) -> Result<PutResponse, Status> {
        let request = PutRequest {
            key: key.to_owned().into(),
            value: value.to_owned().into(),
            ..PutRequest::default()
        };
        Ok(self.kv().put(request).await?.into_inner())
    }

    /// A key's value, read through the quorum.
    ///
    /// # Errors
    /// The server's.
    pub async fn get(&self, key: &str) -> Result<Option<String>, Status> {
        let response = self.range(key, "").await?;
        let value = response
            .kvs
            .first()
            .map(|kv| String::from_utf8_lossy(&kv.value).into_owned());
        Ok(value)
    }

    /// The keys from `key` to before `range_end`, read through the quorum.
    ///
    /// # Errors
    /// The server's.
    pub async fn range(&self, key: &str, range_end: &str) -> Result<RangeResponse, Status> {
        let request = RangeRequest {
            key: key.to_owned().into(),
            range_end: range_end.to_owned().into(),
            ..RangeRequest::default()
        };
        Ok(self.kv().range(request).await?.into_inner())
    }

    /// Deletes a key; how many there were.
    ///
    /// # Errors
    /// The server's.
    pub async fn delete(&self, key: &str) -> Result<i64, Status> {
        let request = DeleteRangeRequest {
            key: key.to_owned().into(),
            ..DeleteRangeRequest::default()
        };
        Ok(self.kv().delete_range(request).await?.into_inner().deleted)
    }

    /// The member's own state.
    ///
    /// # Errors
    /// The server's.
    pub async fn status(&self) -> Result<StatusResponse, Status> {
        Ok(self
            .maintenance()
            .status(StatusRequest {})
            .await?
            .into_inner())
    }

    /// Puts a key, trying again until it works.
    ///
    /// # Panics
    /// If it does not within `limit`.
    pub async fn put_until(&self, key: &str, value: &str, limit: Duration) -> PutResponse {
        let until = Instant::now() + limit;
        loop {
            match self.put(key, value).await {
                Ok(response) => return response,
                Err(status) => assert!(Instant::now() < until, "still not writable: {status}"),
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
