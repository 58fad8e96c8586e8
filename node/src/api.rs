//! etcd's client API.

pub mod auth;
mod caller;
pub mod check;
pub mod cluster;
pub mod election;
pub mod errors;
pub mod health;
pub mod kv;
pub mod lease;
pub mod lock;
pub mod maintenance;
mod queue;
pub mod range_stream;
mod snapshot;
pub mod watch;

use crate::member::Member;
use http::HeaderMap;
use kvorum_mvcc::Store;
use kvorum_proto::etcdserverpb::ResponseHeader;
use std::sync::Arc;
use tonic::Status;

/// The etcd version whose API this is: clients switch features by it.
pub const ETCD_VERSION: &str = "3.7.3";
/// Version of the cluster and of the storage, in etcd's terms.
pub const ETCD_CLUSTER_VERSION: &str = "3.7.0";
/// The one version that a cluster of that version may announce a downgrade to.
pub const ETCD_DOWNGRADE_VERSION: (u64, u64) = (3, 6);

/// The client services of one member.
#[derive(Clone)]
pub struct Api {
    pub(crate) member: Arc<Member>,
}

impl Api {
    /// Serves a member.
    #[must_use]
    pub fn new(member: Arc<Member>) -> Self {
        Self { member }
    }

    /// A header for an answer made now.
    pub(crate) fn header(&self, revision: i64) -> ResponseHeader {
        ResponseHeader {
            cluster_id: self.member.context().identity.cluster_id,
            member_id: self.member.id(),
            revision,
            raft_term: self.member.consensus().term(),
        }
    }

    /// A header for the present revision.
    #[allow(clippy::unnecessary_wraps, reason = "that is the fields' type")]
    pub(crate) fn now(&self) -> Option<ResponseHeader> {
        Some(self.header(self.member.store().revision()))
    }

    /// Runs what may read or write much of the store where blocking is fine.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, kvorum_mvcc::Error> + Send + 'static,
    ) -> Result<T, Status> {
        let store = self.member.store().clone();
        tokio::task::spawn_blocking(move || work(&store))
            .await
            .map_err(|e| Status::internal(e.to_string()))?
            .map_err(|e| errors::from_read(&e))
    }

    /// Completes the header that the state machine began.
    pub(crate) fn complete(&self, header: &mut Option<ResponseHeader>) {
        let revision = header.map_or(0, |h| h.revision);
        *header = Some(self.header(revision));
    }

    /// Whether a leader is known.
    ///
    /// # Errors
    /// "no leader".
    #[allow(clippy::result_large_err, reason = "tonic's own error")]
    pub fn has_leader(&self) -> Result<(), Status> {
        match self.member.consensus().status().leader {
            Some(_) => Ok(()),
            None => Err(errors::no_leader()),
        }
    }
}

/// Whether the client asked to be cut off while there is no leader.
pub(crate) fn wants_leader(headers: &HeaderMap) -> bool {
    headers.get("hasleader").is_some_and(|v| v == "true")
}
