//! All members in one process: who is asked is known by the address that was called.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, Result};
use futures::TryStreamExt;
use kvorum_proto::admin::admin_server::{Admin, AdminServer};
use kvorum_proto::admin::{
    AddLearnerRequest, AddLearnerResponse, AllocateMemberRequest, AllocateMemberResponse,
    ChangeVotersRequest, ChangeVotersResponse, ConfirmRequest, ConfirmResponse, InitializeRequest,
    InitializeResponse, InspectRequest, InspectResponse, LogId, Member, MemberState,
    RemoveLearnerRequest, RemoveLearnerResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoterSet,
};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::transport::server::TcpConnectInfo;
use tonic::{Request, Response, Status};

/// Who a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub(crate) cluster: u64,
    pub(crate) member: u64,
}

#[derive(Default)]
struct State {
    by_address: HashMap<Ipv4Addr, Identity>,
    addresses: HashMap<Identity, Ipv4Addr>,
    /// The voters of clusters that were initialized; the first one leads.
    clusters: HashMap<u64, Vec<Member>>,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Members(Mutex<State>);

impl Members {
    /// The address of a member, the same one every time.
    pub(crate) fn admit(&self, identity: Identity) -> Ipv4Addr {
        let mut state = self.0.lock();
        if let Some(address) = state.addresses.get(&identity) {
            return *address;
        }
        let number = u32::try_from(state.by_address.len()).unwrap_or(u32::MAX);
        // Past what the control plane uses.
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 64, 0, 1)) + number);
        state.by_address.insert(address, identity);
        state.addresses.insert(identity, address);
        address
    }

    /// Answers for every member until the process ends.
    pub(crate) async fn serve(self: Arc<Self>) -> Result<()> {
        let port = kvorum_operator::names::PEER_PORT;
        let listener = TcpListener::bind(format!("0.0.0.0:{port}"))
            .await
            .with_context(|| format!("port {port} of all addresses is taken"))?;
        // As kvorum-node does; an answer in two small writes would wait for the other side's late acknowledgement.
        let calls = TcpListenerStream::new(listener).map_ok(|call| {
            let _ = call.set_nodelay(true);
            call
        });
        Server::builder()
            .add_service(AdminServer::from_arc(self))
            .serve_with_incoming(calls)
            .await?;
        Ok(())
    }

    fn asked<T>(&self, request: &Request<T>) -> Result<Identity, Status> {
        let called = request.extensions().get::<TcpConnectInfo>();
        let address = called.and_then(|called| called.local_addr());
        let address = address.map(|address| address.ip());
        let Some(std::net::IpAddr::V4(address)) = address else {
            return Err(Status::internal("no address was called"));
        };
        let known = self.0.lock().by_address.get(&address).copied();
        known.ok_or_else(|| Status::unavailable("nobody lives here"))
    }
}

/// The one place in the log at which everything is: nothing is ever written.
const PLACE: LogId = LogId { term: 1, index: 1 };

#[tonic::async_trait]
impl Admin for Members {
    async fn inspect(
        &self,
        request: Request<InspectRequest>,
    ) -> Result<Response<InspectResponse>, Status> {
        let Identity { cluster, member } = self.asked(&request)?;
        let members = self.0.lock().clusters.get(&cluster).cloned();
        let leader = members.as_ref().and_then(|members| members.first());
        let leader_id = leader.map_or(0, |leader| leader.id);
        let state = match leader_id {
            0 => MemberState::Waiting,
            id if id == member => MemberState::Leader,
            _ => MemberState::Follower,
        };
        let ids = members.iter().flatten().map(|member| member.id).collect();
        let initialized = members.is_some();
        Ok(Response::new(InspectResponse {
            cluster_id: cluster,
            member_id: member,
            store_uuid: format!("simulated-{cluster:x}-{member}"),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state: state.into(),
            leader_id,
            term: u64::from(initialized),
            last_log: initialized.then_some(PLACE),
            committed: initialized.then_some(PLACE),
            applied: initialized.then_some(PLACE),
            membership_log: initialized.then_some(PLACE),
            members: members.unwrap_or_default(),
            initialized,
            ready: initialized,
            configs: if initialized {
                vec![VoterSet { ids }]
            } else {
                Vec::new()
            },
            ..InspectResponse::default()
        }))
    }

    async fn initialize(
        &self,
        request: Request<InitializeRequest>,
    ) -> Result<Response<InitializeResponse>, Status> {
        let request = request.into_inner();
        let members = request.members.into_iter().map(|member| Member {
            id: member.id,
            name: member.name,
            peer_urls: member.peer_urls,
            client_urls: member.client_urls,
            voter: true,
            store_uuid: member.store_uuid,
            zone: member.zone,
            matched_index: PLACE.index,
            heard: true,
            ..Member::default()
        });
        let members: Vec<Member> = members.collect();
        let mut state = self.0.lock();
        let already_initialized = state.clusters.contains_key(&request.cluster_id);
        state.clusters.entry(request.cluster_id).or_insert(members);
        Ok(Response::new(InitializeResponse {
            already_initialized,
        }))
    }

    async fn confirm(
        &self,
        request: Request<ConfirmRequest>,
    ) -> Result<Response<ConfirmResponse>, Status> {
        let Identity { cluster, .. } = self.asked(&request)?;
        Ok(Response::new(ConfirmResponse {
            cluster_id: cluster,
            revision: 1,
            applied: Some(PLACE),
        }))
    }

    async fn allocate_member(
        &self,
        _: Request<AllocateMemberRequest>,
    ) -> Result<Response<AllocateMemberResponse>, Status> {
        Err(unasked())
    }

    async fn add_learner(
        &self,
        _: Request<AddLearnerRequest>,
    ) -> Result<Response<AddLearnerResponse>, Status> {
        Err(unasked())
    }

    async fn remove_learner(
        &self,
        _: Request<RemoveLearnerRequest>,
    ) -> Result<Response<RemoveLearnerResponse>, Status> {
        Err(unasked())
    }

    async fn change_voters(
        &self,
        _: Request<ChangeVotersRequest>,
    ) -> Result<Response<ChangeVotersResponse>, Status> {
        Err(unasked())
    }

    async fn transfer_leader(
        &self,
        _: Request<TransferLeaderRequest>,
    ) -> Result<Response<TransferLeaderResponse>, Status> {
        Err(unasked())
    }
}

/// Nothing changes in this world, so nobody has a reason to ask.
fn unasked() -> Status {
    Status::unimplemented("a simulated member changes nothing")
}
