//! A watch stream in the hands of a test.

use kvorum_processes::Client;
use kvorum_proto::etcdserverpb::watch_request::RequestUnion;
use kvorum_proto::etcdserverpb::{
    WatchCancelRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};
use kvorum_proto::mvccpb::Event;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status, Streaming};

/// Nothing may take longer, nothing unexpected comes within the shorter one.
const SOON: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_millis(150);

/// One stream.
pub struct Watching {
    requests: mpsc::Sender<WatchRequest>,
    /// The call under way: a server may answer it only once there is a request.
    opening: Option<JoinHandle<Result<Response<Streaming<WatchResponse>>, Status>>>,
    responses: Option<Streaming<WatchResponse>>,
}

/// A watcher of a key, or of a range.
#[must_use]
pub fn watcher(key: &str, range_end: &str) -> WatchCreateRequest {
    WatchCreateRequest {
        key: key.to_owned().into(),
        range_end: range_end.to_owned().into(),
        ..WatchCreateRequest::default()
    }
}

/// An event in short: kind, key, value, revision.
#[must_use]
pub fn short(event: &Event) -> String {
    let kv = event.kv.clone().unwrap_or_default();
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    format!(
        "{} {}={}@{}",
        event.r#type().as_str_name(),
        text(&kv.key),
        text(&kv.value),
        kv.mod_revision
    )
}

impl Watching {
    /// Opens a stream.
    pub async fn open(client: &Client) -> Self {
        Self::open_by(client, "").await
    }

    /// Opens a stream with a token.
    pub async fn open_by(client: &Client, token: &str) -> Self {
        let (requests, rx) = mpsc::channel(16);
        let mut watch = client.watch();
        let call = crate::asking::by(token, ReceiverStream::new(rx));
        Self {
            requests,
            opening: Some(tokio::spawn(async move { watch.watch(call).await })),
            responses: None,
        }
    }

    async fn message(&mut self) -> Result<Option<WatchResponse>, Status> {
        if let Some(opening) = self.opening.take() {
            let opened = opening.await.unwrap_or_else(|e| panic!("{e}"));
            self.responses = Some(opened?.into_inner());
        }
        match &mut self.responses {
            Some(responses) => responses.message().await,
            None => Ok(None),
        }
    }

    async fn ask(&self, request: RequestUnion) {
        let request = WatchRequest {
            request_union: Some(request),
        };
        let _ = self.requests.send(request).await;
    }

    /// Asks for a watcher and returns the answer.
    ///
    /// # Panics
    /// If there is none.
    pub async fn create(&mut self, request: WatchCreateRequest) -> WatchResponse {
        self.ask(RequestUnion::CreateRequest(request)).await;
        let response = self.next().await;
        assert!(
            response.created && response.events.is_empty(),
            "{response:?}"
        );
        response
    }

    /// Asks to end a watcher.
    pub async fn cancel(&mut self, watch_id: i64) {
        self.ask(RequestUnion::CancelRequest(WatchCancelRequest { watch_id }))
            .await;
    }

    /// Asks for a note of progress.
    pub async fn progress(&mut self) {
        self.ask(RequestUnion::ProgressRequest(WatchProgressRequest {}))
            .await;
    }

    /// The next response.
    ///
    /// # Panics
    /// If none comes.
    pub async fn next(&mut self) -> WatchResponse {
        let next = tokio::time::timeout(SOON, self.message()).await;
        let next = next.unwrap_or_else(|_| panic!("nothing came"));
        next.unwrap_or_else(|e| panic!("{e}"))
            .unwrap_or_else(|| panic!("the stream ended"))
    }

    /// The next `n` events in short, over however many responses.
    pub async fn events(&mut self, n: usize) -> Vec<String> {
        let mut found = Vec::new();
        while found.len() < n {
            found.extend(self.next().await.events.iter().map(short));
        }
        found
    }

    /// Makes sure that nothing more comes.
    ///
    /// # Panics
    /// If something does.
    pub async fn quiet(&mut self) {
        if let Ok(more) = tokio::time::timeout(QUIET, self.message()).await {
            panic!("unexpected: {more:?}");
        }
    }
}
