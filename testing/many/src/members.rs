//! All members in one process: who is asked is known by the address that was called.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
pub(crate) struct Members {
    state: Mutex<State>,
    /// How many were opened.
    connections: AtomicUsize,
}

impl Members {
    /// The address of a member, the same one every time.
    pub(crate) fn admit(&self, identity: Identity) -> Ipv4Addr {
        let mut state = self.state.lock();
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
        let listener = listen(Ipv4Addr::UNSPECIFIED).await?;
        self.serve_at(listener, std::future::pending()).await
    }

    async fn serve_at(
        self: Arc<Self>,
        listener: TcpListener,
        end: impl Future<Output = ()>,
    ) -> Result<()> {
        let counted = Arc::clone(&self);
        // As kvorum-node does; an answer in two small writes would wait for the other side's late acknowledgement.
        let calls = TcpListenerStream::new(listener).map_ok(move |call| {
            let _ = call.set_nodelay(true);
            counted.connections.fetch_add(1, Ordering::Relaxed);
            call
        });
        Server::builder()
            .add_service(AdminServer::from_arc(self))
            .serve_with_incoming_shutdown(calls, end)
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
        let known = self.state.lock().by_address.get(&address).copied();
        known.ok_or_else(|| Status::unavailable("nobody lives here"))
    }
}

async fn listen(address: Ipv4Addr) -> Result<TcpListener> {
    let port = kvorum_operator::names::PEER_PORT;
    TcpListener::bind(format!("{address}:{port}"))
        .await
        .with_context(|| format!("port {port} of {address} is taken"))
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
        let members = self.state.lock().clusters.get(&cluster).cloned();
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
        let mut state = self.state.lock();
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

#[cfg(test)]
mod tests {
    use kvorum_operator::members::{Connections, Door};
    use kvorum_plan::{ClusterId, MemberId};
    use tokio::sync::oneshot;

    use super::*;

    /// How often members were called when `door` has been asked `times` times.
    async fn ask(door: &Door, kept: &Connections, members: &Members, times: usize) -> usize {
        let expected = ClusterId::new(7).unwrap();
        for time in 0..times {
            assert!(door.inspect(kept, expected).await.is_some(), "{time}");
        }
        members.connections.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn the_operator_asks_through_one_connection_and_a_fresh_one_where_that_is_dead() {
        let (members, kept) = (Arc::new(Members::default()), Connections::default());
        let identity = Identity {
            cluster: 7,
            member: 1,
        };
        let address = members.admit(identity);
        let door = Door {
            id: MemberId(1),
            address: address.into(),
            host: "nowhere".to_owned(),
            security: None,
        };
        let serve = |listener, end: oneshot::Receiver<()>| {
            let end = async { drop(end.await) };
            tokio::spawn(Arc::clone(&members).serve_at(listener, end))
        };
        let (end, ended) = oneshot::channel();
        let serving = serve(listen(address).await.unwrap(), ended);
        assert_eq!(ask(&door, &kept, &members, 5).await, 1);
        end.send(()).unwrap();
        serving.await.unwrap().unwrap();
        let (_end, ended) = oneshot::channel();
        serve(listen(address).await.unwrap(), ended);
        assert_eq!(ask(&door, &kept, &members, 5).await, 2);
        // Somebody else lives there now: asked anew each time, and never taken for it.
        let other = ClusterId::new(8).unwrap();
        assert!(door.inspect(&kept, other).await.is_none());
        assert_eq!(ask(&door, &kept, &members, 1).await, 3);
    }
}
