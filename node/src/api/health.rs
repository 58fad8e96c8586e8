//! gRPC's health service: whether this member can serve. Learners answer too.

use super::{Api, errors};
use crate::limits::HEALTH_INTERVAL;
use kvorum_proto::health::health_check_response::ServingStatus;
use kvorum_proto::health::health_server::Health;
use kvorum_proto::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// The server as a whole: the only service whose health is told, as with etcd.
const WHOLE: &str = "";

impl Api {
    fn health(&self, service: &str) -> HealthCheckResponse {
        let status = if service != WHOLE {
            ServingStatus::ServiceUnknown
        } else if self.member.ready().is_ok() {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        HealthCheckResponse {
            status: status.into(),
        }
    }
}

#[tonic::async_trait]
impl Health for Api {
    type WatchStream = ReceiverStream<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        if service != WHOLE {
            return Err(errors::unknown_service());
        }
        Ok(Response::new(self.health(&service)))
    }

    async fn list(
        &self,
        _request: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        let statuses = [(WHOLE.to_owned(), self.health(WHOLE))];
        Ok(Response::new(HealthListResponse {
            statuses: statuses.into(),
        }))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let service = request.into_inner().service;
        // One ahead: a slow client misses what was in between, not the last.
        let (out, responses) = mpsc::channel(1);
        let api = self.clone();
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(HEALTH_INTERVAL);
            let mut told = None;
            loop {
                tokio::select! {
                    _ = tick.tick() => {}
                    () = out.closed() => return,
                    () = api.member.stopping().cancelled() => {
                        let _ = out.send(Err(errors::stopped())).await;
                        return;
                    }
                }
                let now = api.health(&service);
                if told != Some(now) {
                    told = Some(now);
                    if out.send(Ok(now)).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(responses)))
    }
}
