//! Replacing a member for good: out of the cluster, its directory gone, a new one in its place.

use crate::World;
use crate::limits::{LIMIT, POLL};
use crate::network::OBSERVER;
use kvorum_proto::admin::InspectRequest;
use kvorum_proto::etcdserverpb::{MemberAddRequest, MemberRemoveRequest};
use std::time::Instant;
use tonic::Status;

/// Asks until it works, or the answer says that an earlier try has worked.
async fn until_done<T, F>(what: &str, done: &str, mut ask: impl FnMut() -> F)
where
    F: Future<Output = Result<T, Status>>,
{
    let end = Instant::now() + LIMIT;
    while let Err(status) = ask().await {
        if status.message().contains(done) {
            return;
        }
        assert!(Instant::now() < end, "cannot {what}: {status}");
        tokio::time::sleep(POLL).await;
    }
}

impl World {
    /// Removes the member at this place in the list, and adds one with an empty directory and
    /// the same address; returns once it has a vote.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn replace(&mut self, at: usize) {
        self.agreed().await;
        let count = self.stations.len();
        let gone = self.views().await[at].map_or(0, |view| view.id);
        let other = self.cluster.members[(at + 1) % count].client();
        let remove = || {
            let mut cluster = other.cluster();
            async move {
                cluster
                    .member_remove(MemberRemoveRequest { id: gone })
                    .await
            }
        };
        until_done("remove a member", "member not found", remove).await;
        let member = &mut self.cluster.members[at];
        member.kill();
        std::fs::remove_dir_all(&member.data_dir).unwrap_or_else(|e| panic!("{e}"));
        let url = member.peer_url();
        let add = || {
            let mut cluster = other.cluster();
            let request = MemberAddRequest {
                peer_ur_ls: vec![url.clone()],
                is_learner: false,
            };
            async move { cluster.member_add(request).await }
        };
        until_done("add a member", "Peer URLs already exists", add).await;
        let member = &mut self.cluster.members[at];
        member.set_flag("initial-cluster-state", "existing");
        let started = member.start();
        started.unwrap_or_else(|e| panic!("a member does not start: {e}"));
        self.has_voters(count).await;
    }

    /// Waits until so many members have a vote and no change is half done.
    async fn has_voters(&self, count: usize) {
        let end = Instant::now() + LIMIT;
        loop {
            let mut seen = Vec::new();
            for member in &self.cluster.members {
                let client = self.network.client(OBSERVER, &member.peer_endpoint());
                let inspected = client.admin().inspect(InspectRequest {}).await;
                seen.extend(inspected.map(tonic::Response::into_inner));
            }
            let whole = seen.iter().filter(|s| {
                let voters = s.members.iter().filter(|m| m.voter).count();
                !s.joint && voters == count
            });
            if whole.count() == count {
                return;
            }
            assert!(Instant::now() < end, "not all have a vote: {seen:?}");
            tokio::time::sleep(POLL).await;
        }
    }
}
