//! Talking to the other members: framed TCP on the peer port.

pub mod append;
pub mod calls;
pub mod link;
mod round_trips;
pub mod server;
pub mod snapshot;
mod welcome;

pub use round_trips::RoundTrips;

use crate::addresses::Addresses;
use crate::consensus::types::{self, MemberId, Node, StoredMembership};
use crate::tls::Port;
use kvorum_mvcc::Store;
use kvorum_storage::identity::Identity;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// What every connection needs to know about this member.
pub struct Context {
    /// Who we are.
    pub identity: Identity,
    /// Knows what members said of themselves.
    pub store: Arc<Store>,
    /// When the leader was last heard.
    pub contact: Contact,
    /// Bytes sent to peers, received from peers, and failures to send.
    pub traffic: Traffic,
    /// Where peers were reached last.
    pub addresses: Addresses,
    /// How connections to and from peers are secured.
    pub peer_port: Port,
    /// How those of clients are.
    pub client_port: Port,
    /// Cancelled once another member said that this one was removed.
    pub removed: CancellationToken,
}

/// Counters over all peers.
#[derive(Default)]
pub struct Traffic {
    /// Seconds from an append to its answer, by peer.
    round_trips: RoundTrips,
    /// Bytes sent.
    pub sent: AtomicU64,
    /// Bytes received.
    pub received: AtomicU64,
    /// Connections or calls that failed.
    pub failures: AtomicU64,
}

impl Traffic {
    /// Nothing yet.
    #[must_use]
    pub fn new(round_trips: RoundTrips) -> Self {
        Self {
            round_trips,
            ..Self::default()
        }
    }

    pub(crate) fn note_round_trip(&self, peer: MemberId, took: Duration) {
        self.round_trips.observe(peer, took);
    }

    pub(crate) fn note_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn note_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn note_failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
}

/// When this member last heard from a leader. openraft's own view keeps an old
/// leader forever once pre-vote holds elections back, so this clock decides.
pub struct Contact {
    last: Mutex<Option<Instant>>,
}

impl Contact {
    /// Never heard.
    #[must_use]
    pub fn new() -> Self {
        Self {
            last: Mutex::new(None),
        }
    }

    /// Heard just now.
    pub fn note(&self) {
        *self.last.lock() = Some(Instant::now());
    }

    /// How long ago; `None`: never.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.last.lock().map(|at| at.elapsed())
    }
}

impl Default for Contact {
    fn default() -> Self {
        Self::new()
    }
}

impl Context {
    /// What the applied membership says of a member.
    #[must_use]
    pub fn node(&self, id: MemberId) -> Option<Node> {
        self.membership()?.membership().get_node(&id).cloned()
    }

    fn membership(&self) -> Option<StoredMembership> {
        let (_, stored) = self.store.applied();
        types::decode_stored(stored).ok()
    }

    /// Whether this member was removed from the cluster, as far as it knows.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.removed.is_cancelled() || self.store.is_removed(self.identity.member_id)
    }

    /// The store UUID that a member registered; empty if it did not yet.
    #[must_use]
    pub fn known_store(&self, id: MemberId, node: Option<&Node>) -> String {
        let registered = self.store.members().into_iter().find(|m| m.id == id);
        match registered {
            Some(member) if !member.store_uuid.is_empty() => member.store_uuid,
            _ => node.map(|n| n.store_uuid.clone()).unwrap_or_default(),
        }
    }
}
