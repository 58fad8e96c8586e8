//! Calls to a peer that are answered in any order: votes, forwarded proposals, reads.

use super::Context;
use super::link::{self, DialError};
use crate::consensus::types::{MemberId, Node};
use crate::limits::{PEER_CALLS_GATHERED, PEER_CALLS_MAX, PING_TIMEOUT};
use kvorum_proto::peer::{Call, CallReply, Purpose, call, call_reply};
use parking_lot::Mutex;
use prost::Message;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

type Answer = Result<call_reply::Reply, NotSent>;
type Request = (call::Call, oneshot::Sender<Answer>);

/// The call never left this member.
#[derive(Debug, Clone, Copy)]
struct NotSent;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The peer was not reached: it did nothing.
    #[error("the peer cannot be reached")]
    NotSent,
    /// The connection broke or time ran out: what the peer did is unknown.
    #[error("the peer did not answer")]
    NoAnswer,
}

/// One kept connection per peer.
pub struct Calls {
    context: Arc<Context>,
    open: Mutex<HashMap<MemberId, (Node, mpsc::Sender<Request>)>>,
    /// Who was pinged, and whether the last ping was answered.
    reached: Mutex<BTreeMap<MemberId, bool>>,
}

impl Calls {
    /// With no connection yet.
    #[must_use]
    pub fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            open: Mutex::default(),
            reached: Mutex::default(),
        }
    }

    /// Asks a peer.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(
        &self,
        id: MemberId,
        node: &Node,
        call: call::Call,
        timeout: Duration,
    ) -> Result<call_reply::Reply, CallError> {
        let (tx, rx) = oneshot::channel();
        let sender = self.sender(id, node);
        let answer = async {
            if sender.send((call, tx)).await.is_err() {
                return Err(CallError::NotSent);
            }
            match rx.await {
                Ok(Ok(reply)) => Ok(reply),
                Ok(Err(NotSent)) => Err(CallError::NotSent),
                Err(_) => Err(CallError::NoAnswer),
            }
        };
        match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(error)) => {
                self.context.traffic.note_failure();
                return Err(error);
            }
            Err(_) => self.context.traffic.note_failure(),
        }
        // A peer whose machine vanished never closes the connection: the next call dials anew.
        let mut open = self.open.lock();
        if open
            .get(&id)
            .is_some_and(|(_, kept)| kept.same_channel(&sender))
        {
            open.remove(&id);
        }
        Err(CallError::NoAnswer)
    }

    /// Opens a connection to each of these that has none, and sees that they answer.
    pub async fn ping(&self, others: &BTreeMap<MemberId, Node>) {
        let pings = others.iter().map(|(id, node)| async move {
            self.moved(*id, node);
            let pong = self.call(*id, node, call::Call::Ping(true), PING_TIMEOUT);
            self.note(*id, node, pong.await.err().as_ref());
        });
        futures::future::join_all(pings).await;
        self.reached.lock().retain(|id, _| others.contains_key(id));
    }

    /// Says once that a peer is there, and once that it is not.
    fn note(&self, peer: MemberId, node: &Node, error: Option<&CallError>) {
        let before = self.reached.lock().insert(peer, error.is_none());
        if before == Some(error.is_none()) {
            return;
        }
        let urls = &node.peer_urls;
        match error {
            None => tracing::info!(peer, ?urls, "Reached a peer"),
            Some(error) => tracing::warn!(peer, ?urls, %error, "A peer does not answer"),
        }
    }

    /// Ends the connection to a peer that has moved.
    fn moved(&self, id: MemberId, now: &Node) {
        let mut open = self.open.lock();
        if open.get(&id).is_some_and(|(known, _)| known != now) {
            open.remove(&id);
        }
    }

    fn sender(&self, id: MemberId, node: &Node) -> mpsc::Sender<Request> {
        let mut open = self.open.lock();
        if let Some((_, sender)) = open.get(&id)
            && !sender.is_closed()
        {
            return sender.clone();
        }
        let (sender, mut receiver) = mpsc::channel(PEER_CALLS_MAX);
        open.insert(id, (node.clone(), sender.clone()));
        let (context, node) = (self.context.clone(), node.clone());
        tokio::spawn(async move {
            if let Err(error) = serve(&context, id, &node, &mut receiver).await {
                tracing::debug!(peer = id, %error, "Connection for calls ended");
            }
            receiver.close();
            while let Some((_, answer)) = receiver.recv().await {
                let _ = answer.send(Err(NotSent));
            }
        });
        sender
    }
}

/// Runs one connection until it breaks or nobody needs it. Requests that were sent and
/// wait for their answer then see its sender dropped.
async fn serve(
    context: &Context,
    id: MemberId,
    node: &Node,
    requests: &mut mpsc::Receiver<Request>,
) -> Result<(), DialError> {
    let mut link = link::dial(context, id, node, Purpose::Calls).await?;
    let failed = |source| DialError::Io {
        id,
        url: String::new(),
        source,
    };
    let mut waiting: HashMap<u64, oneshot::Sender<Answer>> = HashMap::new();
    let mut next_id = 0;
    loop {
        tokio::select! {
            request = requests.recv() => {
                let Some(first) = request else { return Ok(()) };
                waiting.retain(|_, answer| !answer.is_closed());
                let mut batch = gather(first, requests).await.into_iter();
                for (call, answer) in batch.by_ref() {
                    next_id += 1;
                    waiting.insert(next_id, answer);
                    let call = Call { call: Some(call) };
                    if let Err(error) = link.writer.feed(&context.traffic, next_id, &call).await {
                        batch.for_each(|(_, answer)| drop(answer.send(Err(NotSent))));
                        return Err(failed(error));
                    }
                }
                link.writer.flush().await.map_err(failed)?;
            }
            frame = link.reader.next(&context.traffic) => {
                let Some((id, data)) = frame.map_err(failed)? else { return Ok(()) };
                let reply = CallReply::decode(data).map_err(|e| failed(io::Error::other(e)))?;
                if let (Some(answer), Some(reply)) = (waiting.remove(&id), reply.reply) {
                    let _ = answer.send(Ok(reply));
                }
            }
        }
    }
}

/// What goes to the peer in one piece: the first message, and those that others who are
/// ready to run have for it, a bounded number.
pub(super) async fn gather<T>(first: T, more: &mut mpsc::Receiver<T>) -> Vec<T> {
    // Whoever sent the first one has only just woken this task: let the others have their turn.
    tokio::task::yield_now().await;
    let mut batch = vec![first];
    while batch.len() < PEER_CALLS_GATHERED
        && let Ok(next) = more.try_recv()
    {
        batch.push(next);
    }
    batch
}
