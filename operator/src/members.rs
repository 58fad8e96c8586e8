//! The members' own word: the admin API of kvorum-node, one call at a time, each with a deadline.

mod change;
mod connections;
mod report;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use connections::Connections;

use kvorum_plan::observed::{Report, Reservation};
use kvorum_plan::placement::Assigned;
use kvorum_plan::{ClusterId, MemberId};
use kvorum_proto::admin::admin_client::AdminClient;
use kvorum_proto::admin::{
    ConfirmRequest, InitialMember, InitializeRequest, InspectRequest, PortSecurity,
};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use crate::certificates::Issued;
use crate::limits::{CONFIRM_DEADLINE, INITIALIZE_DEADLINE, MEMBER_DEADLINE};
use crate::names::{Names, PEER_PORT};

/// A member that could not be asked, or said no.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// No connection, or none in time.
    #[error("{id} at {address} cannot be reached: {reason}")]
    Unreachable {
        /// Who was asked.
        id: MemberId,
        /// Where.
        address: IpAddr,
        /// Why not.
        reason: String,
    },
    /// It answered no.
    #[error("{id} refused {call}: {message}")]
    Refused {
        /// Who was asked.
        id: MemberId,
        /// For what.
        call: &'static str,
        /// What it said.
        message: String,
    },
}

/// By which certificates members are asked.
#[derive(Clone, Debug)]
pub struct Security {
    /// Ours, and whom we trust.
    pub issued: Issued,
    /// A member may know no TLS yet, or no longer: then it is asked without.
    pub plain_too: bool,
}

/// Where a member can be asked.
#[derive(Clone, Debug)]
pub struct Door {
    /// Who is expected there.
    pub id: MemberId,
    /// Its pod's address.
    pub address: IpAddr,
    /// The name in its certificate.
    pub host: String,
    /// By which certificates; none: without TLS.
    pub security: Option<Arc<Security>>,
}

/// What a member answered: for the planner, and how its peer and client ports are secured.
#[derive(Clone, Debug)]
pub struct Answer {
    /// For the planner.
    pub report: Report,
    /// Peer port and client port.
    pub ports: (PortSecurity, PortSecurity),
}

impl Door {
    /// Connects.
    pub(super) async fn open(
        &self,
        deadline: Duration,
    ) -> Result<AdminClient<Channel>, MemberError> {
        self.open_somehow(deadline).await.map(|(client, _)| client)
    }

    /// Connects, and says whether as wished, not in the clear where TLS was tried first.
    async fn open_somehow(
        &self,
        deadline: Duration,
    ) -> Result<(AdminClient<Channel>, bool), MemberError> {
        let unreachable = |reason: String| MemberError::Unreachable {
            id: self.id,
            address: self.address,
            reason,
        };
        let host = match self.address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let Some(security) = &self.security else {
            let channel = connect(&format!("http://{host}:{PEER_PORT}"), None, deadline).await;
            let client = channel.map(AdminClient::new).map_err(unreachable);
            return client.map(|client| (client, true));
        };
        let tls = security.issued.client().domain_name(&self.host);
        let url = format!("https://{host}:{PEER_PORT}");
        let (channel, as_wished) = match connect(&url, Some(tls), deadline).await {
            Err(_) if security.plain_too => {
                let plain = format!("http://{host}:{PEER_PORT}");
                (connect(&plain, None, deadline).await, false)
            }
            other => (other, true),
        };
        let client = channel.map(AdminClient::new).map_err(unreachable);
        client.map(|client| (client, as_wished))
    }

    /// What a call was answered, as an error.
    pub(super) fn refused(&self, call: &'static str, status: &tonic::Status) -> MemberError {
        MemberError::Refused {
            id: self.id,
            call,
            message: format!("{:?}: {}", status.code(), status.message()),
        }
    }

    /// Asks a member what it is and sees, and where there is a leader also for a read through quorum.
    ///
    /// None where nobody answers in time, or where somebody else does: addresses of pods are used again.
    pub async fn inspect(&self, kept: &Connections, expected: ClusterId) -> Option<Answer> {
        let asked = tokio::time::timeout(MEMBER_DEADLINE, self.inspect_slowly(kept, expected));
        let answer = asked.await.ok().flatten();
        if answer.is_none() {
            kept.forget(self);
        }
        answer
    }

    async fn inspect_slowly(&self, kept: &Connections, expected: ClusterId) -> Option<Answer> {
        let mut known = kept.find(self, Instant::now());
        let through_known = match &mut known {
            Some(client) => client.inspect(InspectRequest {}).await.ok(),
            None => None,
        };
        let (mut client, answer) = match (known, through_known) {
            (Some(client), Some(answer)) => (client, answer),
            // None yet, or one to a process that has ended.
            _ => {
                let (mut client, as_wished) = self.open_somehow(MEMBER_DEADLINE).await.ok()?;
                let answer = client.inspect(InspectRequest {}).await.ok()?;
                if as_wished {
                    kept.keep(self, client.clone(), Instant::now());
                }
                (client, answer)
            }
        };
        let mut answer = answer.into_inner();
        if answer.cluster_id != expected.value() || answer.member_id != self.id.0 {
            return None;
        }
        let asks = answer.initialized && answer.leader_id != 0;
        let deadline = MEMBER_DEADLINE / 2;
        let confirmed = asks
            && matches!(
                tokio::time::timeout(deadline, client.confirm(ConfirmRequest {})).await,
                Ok(Ok(_))
            );
        let ports = (answer.peer_port.take(), answer.client_port.take());
        Some(Answer {
            report: report::read(answer, confirmed),
            ports: (ports.0.unwrap_or_default(), ports.1.unwrap_or_default()),
        })
    }

    /// Forms the cluster. Harmless if it was formed before.
    ///
    /// # Errors
    /// When the member cannot be reached or refuses.
    pub async fn initialize(
        &self,
        names: &Names,
        reservation: &Reservation,
        stores: &BTreeMap<MemberId, String>,
    ) -> Result<bool, MemberError> {
        let members = reservation.members().into_iter().map(|member| {
            let store = stores.get(&member.id).cloned().unwrap_or_default();
            introduce(names, &member, store)
        });
        let request = InitializeRequest {
            cluster_id: reservation.cluster_id.value(),
            members: members.collect(),
        };
        let mut client = self.open(INITIALIZE_DEADLINE).await?;
        let answer = client.initialize(request).await;
        answer
            .map(|answer| answer.into_inner().already_initialized)
            .map_err(|status| self.refused("Initialize", &status))
    }

    /// Reads through quorum.
    ///
    /// # Errors
    /// When the member cannot be reached, or no quorum answers in time.
    pub async fn confirm(&self) -> Result<(), MemberError> {
        let mut client = self.open(CONFIRM_DEADLINE).await?;
        let answer = client.confirm(ConfirmRequest {}).await;
        answer
            .map(|_| ())
            .map_err(|status| self.refused("Confirm", &status))
    }
}

/// Connects, in words if that fails: the library's own hide the cause.
async fn connect(
    url: &str,
    tls: Option<ClientTlsConfig>,
    deadline: Duration,
) -> Result<Channel, String> {
    let connecting = async {
        let endpoint = Endpoint::from_shared(url.to_owned())?
            .connect_timeout(deadline)
            .timeout(deadline);
        let endpoint = match tls {
            Some(tls) => endpoint.tls_config(tls)?,
            None => endpoint,
        };
        endpoint.connect().await
    };
    connecting
        .await
        .map_err(|error| format!("{:#}", anyhow::Error::new(error)))
}

/// A member as its peers are told about it.
fn introduce(names: &Names, member: &Assigned, store_uuid: String) -> InitialMember {
    let zone = member.zone.as_ref();
    InitialMember {
        id: member.id.0,
        name: names.member(member.id),
        peer_urls: vec![names.peer_url(member.id)],
        client_urls: vec![names.client_url(member.id)],
        zone: zone.map(ToString::to_string).unwrap_or_default(),
        store_uuid,
    }
}
