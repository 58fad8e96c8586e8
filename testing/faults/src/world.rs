//! A cluster whose members stand in zones, and clients in each zone.

use crate::limits::{LIMIT, LOOK_TIMEOUT, POLL};
use crate::network::Network;
use kvorum_processes::{Client, Cluster, Program};
use std::time::{Duration, Instant};

/// What a member says of leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Whom it takes for the leader; 0: nobody.
    pub leader: u64,
    /// Its term.
    pub term: u64,
    /// Its own ID.
    pub id: u64,
}

/// A cluster in a network of its own.
pub struct World {
    // Before the network: processes end before their namespaces go.
    /// The members, in the order of the stations.
    pub cluster: Cluster,
    /// The network.
    pub network: Network,
    /// A station for each member.
    pub stations: Vec<String>,
    observers: Vec<Client>,
}

impl World {
    /// Lays out and starts a member at each of the stations; `clients` are where clients run.
    ///
    /// # Panics
    /// If it does not serve in time.
    pub async fn start(stations: &[&str], clients: &[&str], flags: &[&str]) -> Self {
        let mut world = Self::lay_out(stations, clients, flags);
        world.cluster.start_all().await;
        world
    }

    /// The same without starting anything.
    ///
    /// # Panics
    /// If the network cannot be made.
    #[must_use]
    pub fn lay_out(stations: &[&str], clients: &[&str], flags: &[&str]) -> Self {
        let network = Network::new(stations, clients);
        let places = stations.iter().map(|name| network.place(name)).collect();
        let cluster = Cluster::lay_out_at(&Program::kvorum(), places, flags);
        let observers = cluster.members.iter().map(|m| m.client()).collect();
        Self {
            cluster,
            network,
            stations: stations.iter().map(|name| (*name).to_owned()).collect(),
            observers,
        }
    }

    /// Clients at a station, of the members whose stations begin with `zone`.
    ///
    /// # Panics
    /// If no clients were announced there.
    #[must_use]
    pub fn clients(&self, at: &str, zone: &str) -> Vec<Client> {
        let members = self.stations.iter().zip(&self.cluster.members);
        members
            .filter(|(station, _)| station.starts_with(zone))
            .map(|(_, member)| self.network.client(at, &member.endpoint()))
            .collect()
    }

    /// What each running member says of leadership now; `None`: no answer.
    pub async fn views(&self) -> Vec<Option<View>> {
        let look = |client: Client| async move {
            let status = tokio::time::timeout(LOOK_TIMEOUT, client.status()).await;
            let status = status.ok()?.ok()?;
            Some(View {
                leader: status.leader,
                term: status.raft_term,
                id: status.header.map_or(0, |h| h.member_id),
            })
        };
        futures::future::join_all(self.observers.iter().map(|c| look(c.clone()))).await
    }

    /// Places in the list of the members that say that they lead with a quorum.
    pub async fn leaders(&self) -> Vec<(usize, View)> {
        let views = self.views().await.into_iter().enumerate();
        views
            .filter_map(|(i, view)| view.map(|v| (i, v)))
            .filter(|(_, view)| view.leader != 0 && view.leader == view.id)
            .collect()
    }

    /// Waits until all running members name the same leader in the same term.
    ///
    /// # Panics
    /// If they do not in time.
    pub async fn agreed(&self) -> (usize, u64) {
        let until = Instant::now() + LIMIT;
        loop {
            let views = self.views().await;
            let running = self.cluster.members.iter().filter(|m| m.runs()).count();
            let seen: Vec<View> = views.iter().flatten().copied().collect();
            if let Some(first) = seen.first().copied()
                && seen.len() == running
                && first.leader != 0
                && seen
                    .iter()
                    .all(|v| (v.leader, v.term) == (first.leader, first.term))
                && let Some(at) = views
                    .iter()
                    .position(|v| v.is_some_and(|v| v.id == v.leader))
            {
                return (at, first.term);
            }
            assert!(Instant::now() < until, "no agreement: {views:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until exactly one member leads in a later term than `term`.
    ///
    /// # Panics
    /// If none does in time.
    pub async fn elected(&self, term: u64) -> (usize, u64) {
        let until = Instant::now() + LIMIT;
        loop {
            let leaders = self.leaders().await;
            if let [(at, view)] = leaders[..]
                && view.term > term
            {
                return (at, view.term);
            }
            assert!(Instant::now() < until, "nobody elected: {leaders:?}");
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Waits until a condition holds.
///
/// # Panics
/// If it does not in time; `what` says what was waited for.
pub async fn until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < end, "{what}: not within {limit:?}");
        tokio::time::sleep(POLL).await;
    }
}
