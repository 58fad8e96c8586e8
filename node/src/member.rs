//! One member: its parts, and what it answers its peers.

use crate::auth::Auth;
use crate::consensus::Consensus;
use crate::consensus::membership::Change;
use crate::consensus::status::{Role, Status};
use crate::consensus::types::{MemberId, Node};
use crate::lessor::{Lessor, Renewals};
use crate::limits::READY_LAG_ENTRIES;
use crate::peer::Context;
use kvorum_mvcc::Store;
use kvorum_proto::log::{Command, MemberAttributes, command};
use kvorum_proto::peer::{Call, CallFailure, CallReply, LogId, call, call_reply};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// What a member says of itself, from its flags.
#[derive(Debug, Clone, Default)]
pub struct Attributes {
    /// `--name`
    pub name: String,
    /// `--advertise-client-urls`
    pub client_urls: Vec<String>,
    /// `--initial-advertise-peer-urls` of a member that was placed by somebody; `None`: the membership knows.
    pub peer_urls: Option<Vec<String>>,
    /// `KVORUM_ZONE`
    pub zone: String,
}

/// What requests may ask for, from the flags.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// `--max-request-bytes`
    pub bytes: usize,
    /// `--max-txn-ops`
    pub txn_ops: usize,
    /// `--quota-backend-bytes`; negative: none.
    pub quota: i64,
    /// `--watch-progress-notify-interval`
    pub progress_interval: std::time::Duration,
}

/// The running member.
pub struct Member {
    context: Arc<Context>,
    consensus: Arc<Consensus>,
    lessor: Arc<Lessor>,
    renewals: Renewals,
    attributes: Attributes,
    limits: RequestLimits,
    auth: Auth,
    engine_dir: PathBuf,
    sync: bool,
    receiving: Mutex<()>,
    stopping: CancellationToken,
}

impl Member {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        context: Arc<Context>,
        consensus: Arc<Consensus>,
        lessor: Arc<Lessor>,
        attributes: Attributes,
        limits: RequestLimits,
        auth: Auth,
        engine: (PathBuf, bool),
    ) -> Self {
        let renewals = Renewals::start(Arc::downgrade(&consensus));
        Self {
            context,
            consensus,
            lessor,
            renewals,
            attributes,
            limits,
            auth,
            engine_dir: engine.0,
            sync: engine.1,
            receiving: Mutex::new(()),
            stopping: CancellationToken::new(),
        }
    }

    /// What connections need to know.
    #[must_use]
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// The consensus module.
    #[must_use]
    pub fn consensus(&self) -> &Arc<Consensus> {
        &self.consensus
    }

    /// The state machine.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.context.store
    }

    /// The leases' clock.
    #[must_use]
    pub fn lessor(&self) -> &Arc<Lessor> {
        &self.lessor
    }

    /// Where leases are renewed.
    #[must_use]
    pub fn renewals(&self) -> &Renewals {
        &self.renewals
    }

    /// This member's ID.
    #[must_use]
    pub fn id(&self) -> MemberId {
        self.context.identity.member_id
    }

    /// What requests may ask for.
    #[must_use]
    pub fn limits(&self) -> RequestLimits {
        self.limits
    }

    /// How users are known.
    #[must_use]
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// What this member says of itself.
    #[must_use]
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// What the membership says of a member.
    #[must_use]
    pub fn node(&self, id: MemberId) -> Option<Node> {
        self.consensus.node(id)
    }

    /// Cancelled on the way out: whatever runs on ends itself then.
    #[must_use]
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    pub(crate) fn receiving(&self) -> &Mutex<()> {
        &self.receiving
    }

    pub(crate) fn engine_dir(&self) -> (PathBuf, bool) {
        (self.engine_dir.clone(), self.sync)
    }

    /// Answers a peer.
    pub async fn answer(&self, call: Call) -> CallReply {
        let stopping = || call_reply::Reply::Failure(CallFailure::Stopping.into());
        let reply = match call.call {
            Some(call::Call::Vote(request)) => {
                let reply = self.consensus.vote(request).await;
                reply.map_or_else(stopping, call_reply::Reply::Vote)
            }
            Some(call::Call::Transfer(request)) => {
                let reply = self.consensus.take_over(request).await;
                reply.map_or_else(stopping, call_reply::Reply::Transfer)
            }
            Some(call::Call::Propose(command)) => self.consensus.propose_for_peer(&command).await,
            Some(call::Call::ReadIndex(_)) => match self.consensus.read_index_here().await {
                Ok(Some(index)) => call_reply::Reply::ReadIndex(LogId { term: 0, index }),
                Ok(None) => call_reply::Reply::Failure(CallFailure::NotLeader.into()),
                Err(_) => stopping(),
            },
            Some(call::Call::LeaseLeft(id)) => match self.left_here(id) {
                Some(left) => call_reply::Reply::LeaseLeft(left),
                None => call_reply::Reply::Failure(CallFailure::NotLeader.into()),
            },
            Some(call::Call::MemberChange(change)) => self.consensus.change_for_peer(change).await,
            Some(call::Call::Hash(revision)) => match self.hash_here(revision).await {
                Some(hash) => call_reply::Reply::Hash(hash),
                None => call_reply::Reply::Failure(CallFailure::Unknown.into()),
            },
            Some(call::Call::Ping(_)) => call_reply::Reply::Pong(true),
            None => call_reply::Reply::Failure(CallFailure::Unspecified.into()),
        };
        CallReply { reply: Some(reply) }
    }

    /// Seconds left of a lease as the leader, or -1 if there is none. `None`: not the leader.
    pub(crate) fn left_here(&self, id: i64) -> Option<i64> {
        if !self.consensus.leads() {
            return None;
        }
        let lease = self.store().lease(id, false);
        Some(lease.map_or(-1, |l| self.lessor.left(id, l.ttl)))
    }

    /// Whether this member can serve, or why not.
    ///
    /// # Errors
    /// The reason, in words.
    pub fn ready(&self) -> Result<(), &'static str> {
        ready(&self.consensus.status())?;
        // Only then would the cluster notice if this directory were lost.
        let registered = self.context.known_store(self.id(), None);
        if registered == self.context.identity.store_uuid {
            Ok(())
        } else {
            Err("registering this member's data directory")
        }
    }

    /// Tells the cluster this member's name, client URLs and data directory, trying
    /// until it has worked.
    pub async fn publish(self: Arc<Self>) {
        let command = Command {
            op: Some(command::Op::Publish(MemberAttributes {
                id: self.id(),
                name: self.attributes.name.clone(),
                client_urls: self.attributes.client_urls.clone(),
                store_uuid: self.context.identity.store_uuid.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                zone: self.attributes.zone.clone(),
                removed: false,
            })),
            ..Command::default()
        };
        loop {
            let status = self.consensus.status();
            if status.nodes.contains_key(&self.id()) && status.leader.is_some() {
                match self.consensus.propose(&command).await {
                    Ok(_) => break,
                    Err(error) => {
                        tracing::debug!(%error, "Publishing this member's attributes failed");
                    }
                }
            }
            tokio::time::sleep(self.consensus.timing().heartbeat).await;
        }
        self.publish_peer_urls().await;
    }

    /// Where it is found may have changed since it was added, as the scheme does with TLS.
    async fn publish_peer_urls(&self) {
        let Some(urls) = &self.attributes.peer_urls else {
            return;
        };
        loop {
            let known = self.consensus.status().nodes.get(&self.id()).cloned();
            if known.is_none_or(|known| known.peer_urls == *urls) {
                return;
            }
            let change = Change::Update(self.id(), urls.clone());
            match self.consensus.change(&change).await {
                Ok(Ok(())) => {}
                Ok(Err(refusal)) => {
                    tracing::warn!(?refusal, ?urls, "This member's peer URLs are not taken");
                    return;
                }
                Err(error) => tracing::debug!(%error, "Publishing this member's peer URLs failed"),
            }
            tokio::time::sleep(self.consensus.timing().heartbeat).await;
        }
    }
}

/// Whether a member in this state can serve. Pure.
///
/// # Errors
/// Why not.
pub fn ready(status: &Status) -> Result<(), &'static str> {
    if status.role == Role::Stopped {
        return Err("the consensus module has stopped");
    }
    if !status.initialized() {
        return Err("waiting to be initialized or added to a cluster");
    }
    if status.leader.is_none() {
        return Err("no leader");
    }
    let committed = status.committed.map_or(0, |id| id.index);
    let applied = status.applied.map_or(0, |id| id.index);
    if committed > applied.saturating_add(READY_LAG_ENTRIES) {
        return Err("applying what was missed");
    }
    Ok(())
}
