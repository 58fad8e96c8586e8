//! The Watch service.

mod permission;
mod session;

use super::caller::Origin;
use super::{Api, errors, wants_leader};
use crate::limits::WATCH_RESPONSES_AHEAD;
use kvorum_proto::encoded::WatchResponse;
use kvorum_proto::encoded_watch::watch_server::Watch;
use kvorum_proto::etcdserverpb::{WatchRequest, watch_request};
use permission::Permission;
use session::Session;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

type Out = mpsc::Sender<Result<WatchResponse, Status>>;

#[tonic::async_trait]
impl Watch for Api {
    type WatchStream = ReceiverStream<Result<WatchResponse, Status>>;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let needs_leader = wants_leader(request.metadata().as_ref());
        let (origin, requests) = Origin::of(request);
        let (out, responses) = mpsc::channel(WATCH_RESPONSES_AHEAD);
        let api = self.clone();
        tokio::spawn(async move {
            let permission = Permission::new(&api, origin);
            if let Err(status) = serve(&api, requests, permission, needs_leader, &out).await {
                let _ = out.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(responses)))
    }
}

/// Serves one stream until the client is gone.
async fn serve(
    api: &Api,
    mut requests: Streaming<WatchRequest>,
    mut permission: Permission,
    needs_leader: bool,
    out: &Out,
) -> Result<(), Status> {
    let consensus = api.member.consensus();
    let mut progress = consensus.progress();
    let mut session = Session::new(api.member.limits());
    let election = consensus.timing().etcd_election;
    let mut tick = tokio::time::interval(election.max(std::time::Duration::from_millis(100)));
    let mut leader_seen = Instant::now();
    // Who has no more to ask may still listen.
    let mut asking = true;
    loop {
        tokio::select! {
            request = requests.next(), if asking => match request {
                Some(Ok(request)) => handle(api, &mut session, &mut permission, request, out).await?,
                Some(Err(_)) => return Ok(()),
                None => asking = false,
            },
            changed = progress.changed() => {
                changed.map_err(|_| errors::stopped())?;
            }
            _ = tick.tick() => {
                if consensus.status().leader.is_some() {
                    leader_seen = Instant::now();
                } else if needs_leader && leader_seen.elapsed() > 3 * election {
                    return Err(errors::no_leader());
                }
                session.tick(Instant::now());
            }
            () = out.closed() => return Ok(()),
            () = api.member.stopping().cancelled() => return Err(errors::stopped()),
        }
        pump(api, &mut session, &mut permission, out).await?;
    }
}

async fn handle(
    api: &Api,
    session: &mut Session,
    permission: &mut Permission,
    request: WatchRequest,
    out: &Out,
) -> Result<(), Status> {
    let revision = api.member.store().revision();
    let response = match request.request_union {
        Some(watch_request::RequestUnion::CreateRequest(r)) => {
            Some(match permission.refusal(api, &r).await {
                Some(reason) => session::refused(&reason),
                None => session.create(&r, revision),
            })
        }
        Some(watch_request::RequestUnion::CancelRequest(r)) => session.cancel(r.watch_id),
        Some(watch_request::RequestUnion::ProgressRequest(_)) => {
            session.ask_progress();
            None
        }
        None => None,
    };
    if let Some(response) = response {
        send(api, revision, response.into(), out).await;
    }
    Ok(())
}

/// Delivers what watchers have not seen yet.
async fn pump(
    api: &Api,
    session: &mut Session,
    permission: &mut Permission,
    out: &Out,
) -> Result<(), Status> {
    loop {
        let store = api.member.store().clone();
        let mut step = session.step(&store).map_err(|e| errors::from_read(&e))?;
        // Changes that were read may come after one of the permissions.
        if permission.moved(api) {
            let ended = permission.check(api, session).await;
            step.responses
                .retain(|(_, r)| !ended.iter().any(|e| e.watch_id == r.head.watch_id));
            let revision = store.revision();
            step.responses
                .extend(ended.into_iter().map(|e| (revision, e.into())));
        }
        for (revision, response) in step.responses {
            send(api, revision, response, out).await;
        }
        if !step.more || out.is_closed() {
            return Ok(());
        }
        // A long catch-up must leave room for everything else.
        tokio::task::yield_now().await;
    }
}

async fn send(api: &Api, revision: i64, mut response: WatchResponse, out: &Out) {
    response.head.header = Some(api.header(revision));
    // A closed stream is noticed by the loop.
    let _ = out.send(Ok(response)).await;
}
