//! The member admin API: what the operator asks of one member.

mod membership;

use crate::consensus::status::{Role, Status as Consensus};
use crate::consensus::types::{LogId, Node};
use crate::member::Member;
use crate::tls::Port;
use kvorum_proto::admin::admin_server::Admin;
use kvorum_proto::admin::{
    AddLearnerRequest, AddLearnerResponse, AllocateMemberRequest, AllocateMemberResponse,
    ChangeVotersRequest, ChangeVotersResponse, ConfirmRequest, ConfirmResponse, InitialMember,
    InitializeRequest, InitializeResponse, InspectRequest, InspectResponse, LogId as WireLogId,
    Member as WireMember, MemberState, PortSecurity, RemoveLearnerRequest, RemoveLearnerResponse,
    TransferLeaderRequest, TransferLeaderResponse, VoterSet,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tonic::{Request, Response, Status};

/// The service, for one member.
#[derive(Clone)]
pub struct AdminApi {
    member: Arc<Member>,
}

fn wire(id: LogId) -> WireLogId {
    WireLogId {
        term: id.leader_id.term,
        index: id.index,
    }
}

fn voter_set(ids: &BTreeSet<u64>) -> VoterSet {
    VoterSet {
        ids: ids.iter().copied().collect(),
    }
}

fn security(port: &Port) -> PortSecurity {
    let in_use = port.tls.as_ref().map(|tls| tls.in_use());
    let in_use = in_use.unwrap_or_default();
    PortSecurity {
        mode: port.mode.as_str().to_owned(),
        certificate: in_use.certificate,
        trusted: in_use.trusted,
        not_after_seconds: in_use.not_after,
    }
}

fn millis(d: Option<Duration>) -> u64 {
    d.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

fn state(status: &Consensus, me: u64) -> MemberState {
    if !status.initialized() {
        return MemberState::Waiting;
    }
    if !status.nodes.contains_key(&me) {
        return MemberState::Removed;
    }
    match status.role {
        Role::Learner => MemberState::Learner,
        Role::Follower => MemberState::Follower,
        Role::Candidate => MemberState::Candidate,
        Role::Leader => MemberState::Leader,
        Role::Stopped => MemberState::Unspecified,
    }
}

/// Checks an Initialize request against this member. Pure.
#[allow(clippy::result_large_err, reason = "tonic's own error")]
fn initial_members(
    request: InitializeRequest,
    cluster_id: u64,
    member_id: u64,
    store_uuid: &str,
) -> Result<BTreeMap<u64, Node>, Status> {
    if request.cluster_id != cluster_id {
        return Err(Status::failed_precondition(format!(
            "this member belongs to cluster {cluster_id:016x}, not {:016x}",
            request.cluster_id
        )));
    }
    let count = request.members.len();
    if count.is_multiple_of(2) {
        return Err(Status::invalid_argument(format!(
            "{count} members: the number must be odd, since an even one survives no more losses than one less"
        )));
    }
    let mut members = BTreeMap::new();
    for m in request.members {
        let InitialMember {
            id,
            name,
            peer_urls,
            client_urls: _,
            zone,
            store_uuid: store,
        } = m;
        if id == 0 || peer_urls.is_empty() {
            return Err(Status::invalid_argument(
                "every member needs an ID and a peer URL",
            ));
        }
        if id == member_id && store != store_uuid {
            return Err(Status::failed_precondition(format!(
                "member {id} has data directory {store_uuid}, not {store}"
            )));
        }
        let node = Node {
            name,
            peer_urls,
            zone,
            store_uuid: store,
            becomes_voter: false,
        };
        if members.insert(id, node).is_some() {
            return Err(Status::invalid_argument(format!(
                "member {id} is listed twice"
            )));
        }
    }
    if !members.contains_key(&member_id) {
        return Err(Status::invalid_argument(format!(
            "member {member_id} (this one) is not listed"
        )));
    }
    Ok(members)
}

impl AdminApi {
    /// Serves a member.
    #[must_use]
    pub fn new(member: Arc<Member>) -> Self {
        Self { member }
    }

    fn members(&self, status: &Consensus) -> Vec<WireMember> {
        let said: BTreeMap<u64, _> = self
            .member
            .store()
            .members()
            .into_iter()
            .map(|m| (m.id, m))
            .collect();
        let one = |(id, node): (&u64, &Node)| {
            let said = said.get(id);
            let progress = status.peers.get(id).copied().unwrap_or_default();
            WireMember {
                id: *id,
                name: said.map(|a| a.name.clone()).unwrap_or_default(),
                peer_urls: node.peer_urls.clone(),
                client_urls: said.map(|a| a.client_urls.clone()).unwrap_or_default(),
                voter: status.voters.contains(id),
                store_uuid: self.member.context().known_store(*id, Some(node)),
                zone: node.zone.clone(),
                matched_index: progress.matched.unwrap_or(0),
                heard_ago_millis: millis(progress.heard),
                heard: progress.heard.is_some(),
                becomes_voter: node.becomes_voter && !status.voters.contains(id),
            }
        };
        status.nodes.iter().map(one).collect()
    }
}

#[tonic::async_trait]
impl Admin for AdminApi {
    async fn inspect(
        &self,
        _request: Request<InspectRequest>,
    ) -> Result<Response<InspectResponse>, Status> {
        let status = self.member.consensus().status();
        let identity = &self.member.context().identity;
        let store = self.member.store().summary();
        Ok(Response::new(InspectResponse {
            cluster_id: identity.cluster_id,
            member_id: identity.member_id,
            store_uuid: identity.store_uuid.clone(),
            name: self.member.attributes().name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state: state(&status, identity.member_id).into(),
            leader_id: status.leader.unwrap_or(0),
            leader_contact_millis: if status.role == Role::Leader {
                0
            } else {
                millis(status.contact)
            },
            term: status.term,
            last_log: status.last_log.map(|index| WireLogId { term: 0, index }),
            committed: status.committed.map(wire),
            applied: status.applied.map(wire),
            membership_log: status.membership_log.map(wire),
            joint: status.joint,
            members: self.members(&status),
            revision: store.revision,
            db_size: i64::try_from(self.member.store().disk_bytes()).unwrap_or(i64::MAX),
            initialized: status.initialized(),
            ready: self.member.ready().is_ok(),
            removed: self.member.store().removed(),
            configs: status.configs.iter().map(voter_set).collect(),
            peer_port: Some(security(&self.member.context().peer_port)),
            client_port: Some(security(&self.member.context().client_port)),
        }))
    }

    async fn initialize(
        &self,
        request: Request<InitializeRequest>,
    ) -> Result<Response<InitializeResponse>, Status> {
        let identity = &self.member.context().identity;
        let members = initial_members(
            request.into_inner(),
            identity.cluster_id,
            identity.member_id,
            &identity.store_uuid,
        )?;
        let formed = self
            .member
            .consensus()
            .initialize(members)
            .await
            .map_err(Status::failed_precondition)?;
        tracing::info!(formed, "Initialize");
        Ok(Response::new(InitializeResponse {
            already_initialized: !formed,
        }))
    }

    async fn confirm(
        &self,
        _request: Request<ConfirmRequest>,
    ) -> Result<Response<ConfirmResponse>, Status> {
        self.member
            .consensus()
            .linearize()
            .await
            .map_err(crate::api::errors::from_failure)?;
        let store = self.member.store().summary();
        Ok(Response::new(ConfirmResponse {
            cluster_id: self.member.context().identity.cluster_id,
            revision: store.revision,
            applied: store.applied.map(|p| WireLogId {
                term: p.term,
                index: p.index,
            }),
        }))
    }

    async fn allocate_member(
        &self,
        request: Request<AllocateMemberRequest>,
    ) -> Result<Response<AllocateMemberResponse>, Status> {
        self.allocate(request.into_inner()).await.map(Response::new)
    }

    async fn add_learner(
        &self,
        request: Request<AddLearnerRequest>,
    ) -> Result<Response<AddLearnerResponse>, Status> {
        self.add(request.into_inner()).await.map(Response::new)
    }

    async fn remove_learner(
        &self,
        request: Request<RemoveLearnerRequest>,
    ) -> Result<Response<RemoveLearnerResponse>, Status> {
        self.remove(request.into_inner()).await.map(Response::new)
    }

    async fn change_voters(
        &self,
        request: Request<ChangeVotersRequest>,
    ) -> Result<Response<ChangeVotersResponse>, Status> {
        self.change(request.into_inner()).await.map(Response::new)
    }

    async fn transfer_leader(
        &self,
        request: Request<TransferLeaderRequest>,
    ) -> Result<Response<TransferLeaderResponse>, Status> {
        self.transfer(request.into_inner()).await.map(Response::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(ids: &[u64]) -> InitializeRequest {
        let member = |&id: &u64| InitialMember {
            id,
            peer_urls: vec!["http://h:2380".to_owned()],
            store_uuid: format!("store-{id}"),
            ..InitialMember::default()
        };
        InitializeRequest {
            cluster_id: 7,
            members: ids.iter().map(member).collect(),
        }
    }

    #[test]
    fn only_an_odd_set_with_this_very_member_is_taken() {
        let check = |r| {
            initial_members(r, 7, 1, "store-1")
                .map(|m| m.len())
                .map_err(|s| s.message().to_owned())
        };
        assert_eq!(check(request(&[1, 2, 3])), Ok(3));
        for (bad, word) in [
            (request(&[1, 2]), "odd"),
            (request(&[2, 3, 4]), "not listed"),
            (request(&[1, 2, 2]), "twice"),
            (request(&[0, 1, 2]), "needs an ID"),
            (
                InitializeRequest {
                    cluster_id: 8,
                    ..request(&[1])
                },
                "belongs to cluster",
            ),
        ] {
            let message = check(bad).unwrap_err();
            assert!(message.contains(word), "{message}");
        }
        let other = initial_members(request(&[1]), 7, 1, "new-disk").unwrap_err();
        assert!(other.message().contains("data directory"), "{other}");
    }
}
