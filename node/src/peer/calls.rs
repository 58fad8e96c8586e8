//! Calls to a peer that are answered in any order: votes, forwarded proposals, reads.

use super::Context;
use super::link::{self, DialError};
use crate::consensus::types::{MemberId, Node};
use crate::limits::{PEER_CALLS_MAX, PING_TIMEOUT};
use kvorum_proto::peer::{Call, CallReply, Purpose, call, call_reply};
use parking_lot::Mutex;
use prost::Message;
use std::collections::HashMap;
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
}

impl Calls {
    /// With no connection yet.
    #[must_use]
    pub fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            open: Mutex::default(),
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
    pub async fn ping(&self, others: &[(MemberId, Node)]) {
        let pings = others.iter().map(|(id, node)| async move {
            self.moved(*id, node);
            let pong = self.call(*id, node, call::Call::Ping(true), PING_TIMEOUT);
            if let Err(error) = pong.await {
                tracing::debug!(peer = id, %error, "No answer to a ping");
            }
        });
        futures::future::join_all(pings).await;
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

/// Runs one connection until it breaks or nobody needs it. Requests still waiting
/// then see their answer's sender dropped.
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
                let Some((call, answer)) = request else { return Ok(()) };
                next_id += 1;
                waiting.retain(|_, answer| !answer.is_closed());
                waiting.insert(next_id, answer);
                let call = Call { call: Some(call) };
                link.writer.send(&context.traffic, next_id, &call).await.map_err(failed)?;
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
