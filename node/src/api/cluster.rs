//! The Cluster service: who the members are, and changing that.

use super::{Api, errors};
use crate::consensus::membership::{Change, is_learner};
use crate::consensus::types::Node;
use crate::member::Member;
use kvorum_mvcc::auth::Asked;
use kvorum_proto::etcdserverpb::cluster_server::Cluster;
use kvorum_proto::etcdserverpb::{
    Member as WireMember, MemberAddRequest, MemberAddResponse, MemberListRequest,
    MemberListResponse, MemberPromoteRequest, MemberPromoteResponse, MemberRemoveRequest,
    MemberRemoveResponse, MemberUpdateRequest, MemberUpdateResponse,
};
use std::collections::HashMap;
use tonic::{Request, Response, Status};

/// The members, as etcd lists them: one that has not started yet has no name.
pub(crate) fn list(member: &Member) -> Vec<WireMember> {
    let status = member.consensus().status();
    let attributes: HashMap<u64, _> = member
        .store()
        .members()
        .into_iter()
        .map(|m| (m.id, m))
        .collect();
    let one = |(id, node): (&u64, &Node)| {
        let said = attributes.get(id);
        WireMember {
            id: *id,
            name: said.map(|a| a.name.clone()).unwrap_or_default(),
            peer_ur_ls: node.peer_urls.clone(),
            client_ur_ls: said.map(|a| a.client_urls.clone()).unwrap_or_default(),
            is_learner: is_learner(&status, *id),
        }
    };
    status.nodes.iter().map(one).collect()
}

/// Whether etcd takes these as a member's peer URLs.
fn valid(urls: &[String]) -> bool {
    let one = |url: &String| {
        let rest = url
            .strip_prefix("http://")
            .or_else(|| url.strip_prefix("https://"));
        rest.and_then(|rest| rest.rsplit_once(':'))
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    !urls.is_empty() && urls.iter().all(one)
}

// As with etcd, headers of this service say no revision.
impl Api {
    async fn change(&self, change: Change) -> Result<Vec<WireMember>, Status> {
        let changing = self.member.consensus().change(&change).await;
        changing
            .map_err(errors::from_failure)?
            .map_err(errors::from_refusal)?;
        // Whoever made the change has applied it; this member must have, too, unless
        // it is the one that went: nobody answers it any more.
        if change != Change::Remove(self.member.id()) {
            self.linearize().await?;
        }
        Ok(list(&self.member))
    }
}

/// An ID that no member has or had, as far as chance goes; the leader checks it.
fn new_id() -> u64 {
    rand::random_range(1..=u64::MAX)
}

#[tonic::async_trait]
impl Cluster for Api {
    async fn member_add(
        &self,
        request: Request<MemberAddRequest>,
    ) -> Result<Response<MemberAddResponse>, Status> {
        let request = self.admitted(request, Asked::Administration).await?;
        if !valid(&request.peer_ur_ls) {
            return Err(errors::bad_member_urls());
        }
        let id = new_id();
        let node = Node {
            peer_urls: request.peer_ur_ls,
            becomes_voter: !request.is_learner,
            ..Node::default()
        };
        let members = self.change(Change::Add(id, node)).await?;
        Ok(Response::new(MemberAddResponse {
            header: Some(self.header(0)),
            member: members.iter().find(|m| m.id == id).cloned(),
            members,
        }))
    }

    async fn member_remove(
        &self,
        request: Request<MemberRemoveRequest>,
    ) -> Result<Response<MemberRemoveResponse>, Status> {
        let request = self.admitted(request, Asked::Administration).await?;
        let members = self.change(Change::Remove(request.id)).await?;
        Ok(Response::new(MemberRemoveResponse {
            header: Some(self.header(0)),
            members,
        }))
    }

    async fn member_update(
        &self,
        request: Request<MemberUpdateRequest>,
    ) -> Result<Response<MemberUpdateResponse>, Status> {
        let request = self.admitted(request, Asked::Administration).await?;
        if !valid(&request.peer_ur_ls) {
            return Err(errors::bad_member_urls());
        }
        let members = self
            .change(Change::Update(request.id, request.peer_ur_ls))
            .await?;
        Ok(Response::new(MemberUpdateResponse {
            header: Some(self.header(0)),
            members,
        }))
    }

    async fn member_list(
        &self,
        request: Request<MemberListRequest>,
    ) -> Result<Response<MemberListResponse>, Status> {
        if request.get_ref().linearizable {
            self.linearize().await?;
        }
        self.admitted(request, Asked::Anything).await?;
        Ok(Response::new(MemberListResponse {
            header: Some(self.header(0)),
            members: list(&self.member),
        }))
    }

    async fn member_promote(
        &self,
        request: Request<MemberPromoteRequest>,
    ) -> Result<Response<MemberPromoteResponse>, Status> {
        let request = self.admitted(request, Asked::Administration).await?;
        let members = self.change(Change::Promote(request.id)).await?;
        Ok(Response::new(MemberPromoteResponse {
            header: Some(self.header(0)),
            members,
        }))
    }
}
