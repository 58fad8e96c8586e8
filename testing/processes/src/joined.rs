//! A cluster in join mode, and what the operator asks of it by the admin API.

use crate::client::Client;
use crate::cluster::Cluster;
use crate::limits::{POLL, READY_TIMEOUT};
use crate::program::Program;
use kvorum_proto::admin::admin_client::AdminClient;
use kvorum_proto::admin::{
    AddLearnerRequest, AddLearnerResponse, AllocateMemberRequest, ChangeVotersRequest,
    ChangeVotersResponse, InitialMember, InitializeRequest, InspectRequest, InspectResponse, LogId,
    TransferLeaderRequest,
};
use std::time::Instant;
use tonic::Status;
use tonic::transport::Channel;

const CLUSTER_ID: u64 = 0x00c0_ffee_0000_0002;

/// A cluster whose members do nothing before they are told to. Places are laid out from the
/// beginning, so that clients may know them all; a member starts with its ID.
pub struct Joined {
    /// The places and processes.
    pub cluster: Cluster,
    /// The ID of the member at each place, 0 where none was started.
    pub ids: Vec<u64>,
}

impl Joined {
    /// Lays out `places`, starts the first `size` with IDs 1, 2, … and forms the cluster.
    ///
    /// # Panics
    /// If it does not serve in time.
    pub async fn start(places: u8, size: usize, flags: &[&str]) -> Self {
        let mut cluster = Cluster::lay_out(&Program::kvorum(), places, flags);
        for member in &mut cluster.members {
            member.drop_flag("initial-cluster");
            member.drop_flag("initial-cluster-state");
            member.flags.push("--join".to_owned());
            member.set_flag("cluster-id", &format!("{CLUSTER_ID:016x}"));
        }
        let mut joined = Self {
            cluster,
            ids: vec![0; usize::from(places)],
        };
        let mut members = Vec::new();
        for place in 0..size {
            joined.start_member(place, place as u64 + 1);
            members.push(joined.introduce(place).await);
        }
        let request = InitializeRequest {
            cluster_id: CLUSTER_ID,
            members,
        };
        joined.admin(0).initialize(request).await.unwrap();
        joined.cluster.wait_ready().await;
        joined
    }

    /// Starts the member at a place with an ID.
    ///
    /// # Panics
    /// If the program cannot be run.
    pub fn start_member(&mut self, place: usize, id: u64) {
        self.ids[place] = id;
        let member = &mut self.cluster.members[place];
        member.set_flag("member-id", &id.to_string());
        member.start().unwrap();
    }

    /// The admin API of the member at a place.
    #[must_use]
    pub fn admin(&self, place: usize) -> AdminClient<Channel> {
        Client::new(&self.cluster.members[place].peer_endpoint()).admin()
    }

    /// What the member at a place says of itself, once it does.
    ///
    /// # Panics
    /// If it does not in time.
    pub async fn inspect(&self, place: usize) -> InspectResponse {
        let (mut admin, until) = (self.admin(place), Instant::now() + READY_TIMEOUT);
        loop {
            match admin.inspect(InspectRequest {}).await {
                Ok(response) => return response.into_inner(),
                Err(status) => assert!(
                    Instant::now() < until,
                    "{status}: {}",
                    self.cluster.printed()
                ),
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The member at a place, as the others are told of it.
    ///
    /// # Panics
    /// If it does not answer in time.
    pub async fn introduce(&self, place: usize) -> InitialMember {
        let seen = self.inspect(place).await;
        let member = &self.cluster.members[place];
        InitialMember {
            id: seen.member_id,
            name: member.name.clone(),
            peer_urls: vec![member.peer_url()],
            client_urls: vec![format!("http://{}", member.endpoint())],
            zone: String::new(),
            store_uuid: seen.store_uuid,
        }
    }

    /// The leader's place and what it says.
    ///
    /// # Panics
    /// If there is none in time.
    pub async fn leader(&self) -> (usize, InspectResponse) {
        let until = Instant::now() + READY_TIMEOUT;
        loop {
            for (place, member) in self.cluster.members.iter().enumerate() {
                if !member.runs() {
                    continue;
                }
                let seen = self.admin(place).inspect(InspectRequest {}).await;
                if let Ok(seen) = seen.map(tonic::Response::into_inner)
                    && seen.leader_id == seen.member_id
                {
                    return (place, seen);
                }
            }
            assert!(Instant::now() < until, "{}", self.cluster.printed());
            tokio::time::sleep(POLL).await;
        }
    }

    /// An ID for a new member, from the leader.
    ///
    /// # Errors
    /// The leader's.
    pub async fn allocate(&self, key: &str) -> Result<u64, Status> {
        let (place, _) = self.leader().await;
        let request = AllocateMemberRequest {
            key: key.to_owned(),
        };
        let allocated = self.admin(place).allocate_member(request).await?;
        Ok(allocated.into_inner().id)
    }

    /// Adds the member that runs at a place as a learner, by the membership as it is now or
    /// as given.
    ///
    /// # Errors
    /// The leader's.
    pub async fn add_learner(
        &self,
        place: usize,
        expected: Option<LogId>,
    ) -> Result<AddLearnerResponse, Status> {
        let (leader, seen) = self.leader().await;
        let request = AddLearnerRequest {
            expected_membership_log: expected.or(seen.membership_log),
            member: Some(self.introduce(place).await),
        };
        let added = self.admin(leader).add_learner(request).await?;
        Ok(added.into_inner())
    }

    /// Changes the voters by the membership as it is now or as given.
    ///
    /// # Errors
    /// The leader's.
    pub async fn change_voters(
        &self,
        voters: &[u64],
        expected: Option<LogId>,
    ) -> Result<ChangeVotersResponse, Status> {
        let (leader, seen) = self.leader().await;
        let request = ChangeVotersRequest {
            expected_membership_log: expected.or(seen.membership_log),
            voters: voters.to_vec(),
        };
        let changed = self.admin(leader).change_voters(request).await?;
        Ok(changed.into_inner())
    }

    /// The same, asking again while it is refused for a reason that passes by itself; a
    /// leader that would leave hands over to a voter that stays.
    ///
    /// # Panics
    /// If it does not come to pass in time.
    pub async fn change_voters_until(&self, voters: &[u64]) {
        let until = Instant::now() + READY_TIMEOUT;
        loop {
            let Err(status) = self.change_voters(voters, None).await else {
                return;
            };
            if status.message().contains("hand leadership over first") {
                let (leader, seen) = self.leader().await;
                let stays = |m: &&kvorum_proto::admin::Member| m.voter && voters.contains(&m.id);
                let target = seen.members.iter().find(stays).map_or(0, |m| m.id);
                let request = TransferLeaderRequest { target };
                // Whoever it is may not be able to: ask again.
                let _ = self.admin(leader).transfer_leader(request).await;
            }
            assert!(
                Instant::now() < until,
                "{status}: {}",
                self.cluster.printed()
            );
            tokio::time::sleep(POLL).await;
        }
    }
}
