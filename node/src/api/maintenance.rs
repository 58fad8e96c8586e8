//! The Maintenance service: status and alarms. The rest follows.

use super::{Api, ETCD_CLUSTER_VERSION, ETCD_VERSION, errors};
use crate::consensus::transfer::MoveError;
use kvorum_proto::etcdserverpb::alarm_request::AlarmAction;
use kvorum_proto::etcdserverpb::maintenance_server::Maintenance;
use kvorum_proto::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmResponse, AlarmType, DefragmentRequest, DefragmentResponse,
    DowngradeInfo, DowngradeRequest, DowngradeResponse, HashKvRequest, HashKvResponse, HashRequest,
    HashResponse, MoveLeaderRequest, MoveLeaderResponse, SnapshotRequest, SnapshotResponse,
    StatusRequest, StatusResponse,
};
use tonic::{Request, Response, Status};

impl Api {
    /// This member's alarms. Space is judged anew each time: the alarm ends by
    /// itself once there is room again.
    fn alarms(&self) -> Vec<AlarmMember> {
        if self.check_quota(0).is_ok() {
            return Vec::new();
        }
        vec![AlarmMember {
            member_id: self.member.id(),
            alarm: AlarmType::Nospace.into(),
        }]
    }
}

#[tonic::async_trait]
impl Maintenance for Api {
    type SnapshotStream = tokio_stream::Empty<Result<SnapshotResponse, Status>>;

    async fn alarm(
        &self,
        request: Request<AlarmRequest>,
    ) -> Result<Response<AlarmResponse>, Status> {
        let request = request.into_inner();
        match request.action() {
            AlarmAction::Get => {}
            AlarmAction::Activate => return Err(errors::unimplemented("Activating an alarm")),
            AlarmAction::Deactivate => return Err(errors::unimplemented("Deactivating an alarm")),
        }
        let wanted = request.alarm();
        let mut alarms = self.alarms();
        alarms.retain(|a| wanted == AlarmType::None || a.alarm() == wanted);
        Ok(Response::new(AlarmResponse {
            header: Some(self.header(self.member.store().revision())),
            alarms,
        }))
    }

    async fn status(
        &self,
        _request: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        let status = self.member.consensus().status();
        let store = self.member.store().summary();
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
            downgrade_info: Some(DowngradeInfo::default()),
        }))
    }

    async fn defragment(
        &self,
        _request: Request<DefragmentRequest>,
    ) -> Result<Response<DefragmentResponse>, Status> {
        Err(errors::unimplemented("Defragment"))
    }

    async fn hash(&self, _request: Request<HashRequest>) -> Result<Response<HashResponse>, Status> {
        Err(errors::unimplemented("Hash"))
    }

    async fn hash_kv(
        &self,
        _request: Request<HashKvRequest>,
    ) -> Result<Response<HashKvResponse>, Status> {
        Err(errors::unimplemented("HashKV"))
    }

    async fn snapshot(
        &self,
        _request: Request<SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        Err(errors::unimplemented("Snapshot"))
    }

    async fn move_leader(
        &self,
        request: Request<MoveLeaderRequest>,
    ) -> Result<Response<MoveLeaderResponse>, Status> {
        let target = request.into_inner().target_id;
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
        _request: Request<DowngradeRequest>,
    ) -> Result<Response<DowngradeResponse>, Status> {
        Err(errors::unimplemented("Downgrade"))
    }
}
