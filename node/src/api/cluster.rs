//! The Cluster service: what there is. Changing it follows with scaling.

use super::{Api, errors};
use crate::member::Member;
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
    let one = |(id, node): (&u64, &crate::consensus::types::Node)| {
        let said = attributes.get(id);
        WireMember {
            id: *id,
            name: said.map(|a| a.name.clone()).unwrap_or_default(),
            peer_ur_ls: node.peer_urls.clone(),
            client_ur_ls: said.map(|a| a.client_urls.clone()).unwrap_or_default(),
            is_learner: !status.voters.contains(id),
        }
    };
    status.nodes.iter().map(one).collect()
}

#[tonic::async_trait]
impl Cluster for Api {
    async fn member_add(
        &self,
        _request: Request<MemberAddRequest>,
    ) -> Result<Response<MemberAddResponse>, Status> {
        Err(errors::unimplemented("MemberAdd"))
    }

    async fn member_remove(
        &self,
        _request: Request<MemberRemoveRequest>,
    ) -> Result<Response<MemberRemoveResponse>, Status> {
        Err(errors::unimplemented("MemberRemove"))
    }

    async fn member_update(
        &self,
        _request: Request<MemberUpdateRequest>,
    ) -> Result<Response<MemberUpdateResponse>, Status> {
        Err(errors::unimplemented("MemberUpdate"))
    }

    async fn member_list(
        &self,
        request: Request<MemberListRequest>,
    ) -> Result<Response<MemberListResponse>, Status> {
        if request.into_inner().linearizable {
            self.linearize().await?;
        }
        Ok(Response::new(MemberListResponse {
            header: Some(self.header(self.member.store().revision())),
            members: list(&self.member),
        }))
    }

    async fn member_promote(
        &self,
        _request: Request<MemberPromoteRequest>,
    ) -> Result<Response<MemberPromoteResponse>, Status> {
        Err(errors::unimplemented("MemberPromote"))
    }
}
