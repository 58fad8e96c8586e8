//! The Maintenance service.

use super::kv::mismatched;
use super::{Api, ETCD_CLUSTER_VERSION, ETCD_DOWNGRADE_VERSION, ETCD_VERSION, errors};
use crate::consensus::transfer::MoveError;
use crate::limits::FLUSH_BYTES;
use kvorum_mvcc::auth::Asked;
use kvorum_proto::etcdserverpb::alarm_request::AlarmAction;
use kvorum_proto::etcdserverpb::downgrade_request::DowngradeAction;
use kvorum_proto::etcdserverpb::maintenance_server::Maintenance;
use kvorum_proto::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmResponse, AlarmType, DefragmentRequest, DefragmentResponse,
    DowngradeInfo, DowngradeRequest, DowngradeResponse, HashKvRequest, HashKvResponse, HashRequest,
    HashResponse, MoveLeaderRequest, MoveLeaderResponse, SnapshotRequest, SnapshotResponse,
    StatusRequest, StatusResponse,
};
use kvorum_proto::log::{command, reply};
use kvorum_storage::engine;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

impl Api {
    /// The alarms that are on: those that were raised, and this member's space.
    /// Space is judged anew each time: that alarm ends by itself once there is room again.
    fn alarms(&self) -> Vec<AlarmMember> {
        let mut alarms = self.member.store().alarms();
        let space = AlarmMember {
            member_id: self.member.id(),
            alarm: AlarmType::Nospace.into(),
        };
        if self.over_quota(0) && !alarms.contains(&space) {
            alarms.push(space);
        }
        alarms
    }

    async fn announce(&self, target: String) -> Result<(), Status> {
        let downgrade = kvorum_proto::log::Downgrade { target };
        self.propose(command::Op::Downgrade(downgrade)).await?;
        Ok(())
    }
}

/// `major.minor` of a downgrade's target, as etcd takes it.
#[allow(clippy::result_large_err, reason = "tonic's own error")]
fn downgrade_target(text: &str) -> Result<(u64, u64), Status> {
    let parts: Option<Vec<u64>> = text.split('.').map(|p| p.parse().ok()).collect();
    match parts.as_deref() {
        Some([major, minor] | [major, minor, _]) => Ok((*major, *minor)),
        _ => Err(errors::wrong_downgrade_format()),
    }
}

#[tonic::async_trait]
impl Maintenance for Api {
    type SnapshotStream = ReceiverStream<Result<SnapshotResponse, Status>>;

    async fn alarm(
        &self,
        request: Request<AlarmRequest>,
    ) -> Result<Response<AlarmResponse>, Status> {
        let asked = match request.get_ref().action() {
            AlarmAction::Get => Asked::Anything,
            AlarmAction::Activate | AlarmAction::Deactivate => Asked::Administration,
        };
        let request = self.admitted(request, asked).await?;
        if request.action() == AlarmAction::Get {
            let wanted = request.alarm();
            let mut alarms = self.alarms();
            alarms.retain(|a| wanted == AlarmType::None || a.alarm() == wanted);
            return Ok(Response::new(AlarmResponse {
                header: self.now(),
                alarms,
            }));
        }
        let reply::Op::Alarm(mut response) = self.propose(command::Op::Alarm(request)).await?
        else {
            return Err(mismatched());
        };
        self.complete(&mut response.header);
        Ok(Response::new(response))
    }

    async fn status(
        &self,
        request: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        self.admitted(request, Asked::Anything).await?;
        let status = self.member.consensus().status();
        let store = self.member.store().summary();
        let downgrade = self.member.store().downgrade();
        let mut errors: Vec<String> = Vec::new();
        if status.leader.is_none() {
            errors.push(super::errors::no_leader().message().to_owned());
        }
        errors.extend(self.alarms().iter().map(|a| {
            format!(
                "memberID:{} alarm:{} ",
                a.member_id,
                a.alarm().as_str_name()
            )
        }));
        let bytes = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        Ok(Response::new(StatusResponse {
            header: Some(self.header(store.revision)),
            version: ETCD_VERSION.to_owned(),
            db_size: bytes(self.member.store().disk_bytes()),
            leader: status.leader.unwrap_or(0),
            raft_index: status.committed.map_or(0, |id| id.index),
            raft_term: status.term,
            raft_applied_index: status.applied.map_or(0, |id| id.index),
            errors,
            db_size_in_use: store.live_bytes,
            is_learner: self.member.consensus().is_learner(),
            storage_version: ETCD_CLUSTER_VERSION.to_owned(),
            db_size_quota: self.member.limits().quota.max(0),
            downgrade_info: Some(DowngradeInfo {
                enabled: downgrade.is_some(),
                target_version: downgrade.unwrap_or_default(),
            }),
        }))
    }

    // Readers and writers go on meanwhile; space is reused without it, this returns it
    // to the file system.
    async fn defragment(
        &self,
        request: Request<DefragmentRequest>,
    ) -> Result<Response<DefragmentResponse>, Status> {
        self.admitted(request, Asked::Administration).await?;
        let (dir, sync) = self.member.engine_dir();
        // A received snapshot makes a new file as well.
        let _one = self.member.receiving().lock().await;
        self.blocking(move |store| {
            store.flush()?;
            // No durable point is made meanwhile: it must not fall due for long.
            let urgent = || store.pending_bytes() >= FLUSH_BYTES;
            store.rewrite(|old| engine::rewrite(&dir, sync, old, &urgent))?;
            Ok(())
        })
        .await?;
        Ok(Response::new(DefragmentResponse { header: self.now() }))
    }

    async fn hash(&self, request: Request<HashRequest>) -> Result<Response<HashResponse>, Status> {
        self.admitted(request, Asked::Administration).await?;
        let hash = self
            .blocking(|store| {
                store.flush()?;
                Ok(store.hash_all()?)
            })
            .await?;
        Ok(Response::new(HashResponse {
            header: self.now(),
            hash,
        }))
    }

    async fn hash_kv(
        &self,
        request: Request<HashKvRequest>,
    ) -> Result<Response<HashKvResponse>, Status> {
        let request = self.admitted(request, Asked::Administration).await?;
        let revision = request.revision;
        let hash = self.blocking(move |store| store.hash_kv(revision)).await?;
        Ok(Response::new(HashKvResponse {
            header: Some(self.header(hash.current)),
            hash: hash.hash,
            compact_revision: hash.compacted,
            hash_revision: hash.revision,
        }))
    }

    async fn snapshot(
        &self,
        request: Request<SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        self.admitted(request, Asked::Administration).await?;
        Ok(Response::new(self.send_snapshot()))
    }

    async fn move_leader(
        &self,
        request: Request<MoveLeaderRequest>,
    ) -> Result<Response<MoveLeaderResponse>, Status> {
        let request = self.admitted(request, Asked::Administration).await?;
        let target = request.target_id;
        if let Err(reason) = self.member.consensus().move_leader(target).await {
            tracing::warn!(target, %reason, "Leadership was not moved");
            return Err(match reason {
                MoveError::NotLeader => errors::not_leader(),
                MoveError::BadTarget(_) => errors::bad_transferee(),
                MoveError::TimedOut => errors::transfer_timed_out(),
            });
        }
        Ok(Response::new(MoveLeaderResponse {
            header: Some(self.header(self.member.store().revision())),
        }))
    }

    async fn downgrade(
        &self,
        request: Request<DowngradeRequest>,
    ) -> Result<Response<DowngradeResponse>, Status> {
        let request = self.admitted(request, Asked::Administration).await?;
        let action = DowngradeAction::try_from(request.action);
        match action {
            Ok(DowngradeAction::Validate | DowngradeAction::Enable) => {
                self.linearize().await?;
                let target = downgrade_target(&request.version)?;
                if self.member.store().downgrade().is_some() {
                    return Err(errors::downgrade_in_progress());
                }
                if target != ETCD_DOWNGRADE_VERSION {
                    return Err(errors::invalid_downgrade_target());
                }
                if action == Ok(DowngradeAction::Enable) {
                    self.announce(format!("{}.{}.0", target.0, target.1))
                        .await?;
                }
            }
            Ok(DowngradeAction::Cancel) => self.announce(String::new()).await?,
            Err(_) => return Err(Status::unknown("unknown downgrade action")),
        }
        Ok(Response::new(DowngradeResponse {
            header: self.now(),
            version: ETCD_CLUSTER_VERSION.trim_end_matches(".0").to_owned(),
        }))
    }
}
