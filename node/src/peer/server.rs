//! The receiving side of peer connections.

use super::append::{reply_to_wire, request_from_wire};
use super::calls::gather;
use super::link::{self, Link, LinkReader, LinkWriter};
use super::{Context, snapshot, welcome};
use crate::consensus::types::{self, MemberId};
use crate::limits::{CONNECT_TIMEOUT, PEER_CALLS_MAX};
use crate::member::Member;
use crate::socket::Socket;
use futures::StreamExt;
use kvorum_proto::peer::{Append, Call, CallReply, Directory, Hello, Purpose};
use openraft::raft::StreamAppendError;
use prost::Message;
use std::io;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};

/// Serves one connection whose preface has been read.
///
/// # Errors
/// If the connection breaks or the peer sends garbage.
pub async fn serve(member: Arc<Member>, socket: Socket) -> io::Result<()> {
    let mut link = link::wrap(socket);
    let context = member.context().clone();
    let hello = tokio::time::timeout(
        CONNECT_TIMEOUT,
        link.reader.expect::<Hello>(&context.traffic),
    )
    .await;
    let (_, hello) = hello.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    if hello.purpose() == Purpose::Lookup {
        return directory(&member, &context, link, &hello).await;
    }
    let known = context.known_store(hello.from, member.node(hello.from).as_ref());
    let removed = context.store.is_removed(hello.from);
    let welcome = welcome::judge(&hello, &context.identity, &known, removed);
    link.writer.send(&context.traffic, 0, &welcome).await?;
    if !welcome.refused.is_empty() {
        tracing::warn!(peer = hello.from, reason = %welcome.refused, "Refused a peer's connection");
        return Ok(());
    }
    match hello.purpose() {
        Purpose::Append => {
            let outcome = appends(&member, &context, link).await;
            member.consensus().hung_up(hello.from).await;
            outcome
        }
        Purpose::Calls => calls(member, &context, link, hello.from).await,
        Purpose::Snapshot => receive_snapshot(&member, &context, link).await,
        Purpose::Probe | Purpose::Lookup | Purpose::Unspecified => Ok(()),
    }
}

/// Tells a newcomer who the members are.
async fn directory(
    member: &Arc<Member>,
    context: &Arc<Context>,
    mut link: Link,
    hello: &Hello,
) -> io::Result<()> {
    let welcome = welcome::judge_newcomer(hello);
    link.writer.send(&context.traffic, 0, &welcome).await?;
    if !welcome.refused.is_empty() {
        return Ok(());
    }
    let (_, stored) = context.store.applied();
    let stored = types::decode_stored(stored)?;
    let mut membership = types::membership_to_wire(stored.membership());
    for node in &mut membership.nodes {
        node.store_uuid = context.known_store(node.id, member.node(node.id).as_ref());
    }
    let directory = Directory {
        cluster_id: context.identity.cluster_id,
        membership: Some(membership),
    };
    link.writer.send(&context.traffic, 0, &directory).await
}

/// Appends go into openraft in order, and answers come out in order. After a
/// refusal the connection ends: what was sent behind it is void.
async fn appends(member: &Arc<Member>, context: &Arc<Context>, link: Link) -> io::Result<()> {
    let Link { reader, mut writer } = link;
    let (ids, mut answered) = mpsc::unbounded_channel();
    let input = futures::stream::unfold(
        (reader, ids, context.clone()),
        |(mut reader, ids, context)| async move {
            let (id, append) = reader.expect::<Append>(&context.traffic).await.ok()?;
            let request = request_from_wire(append).ok()?;
            ids.send(id).ok()?;
            Some((request, (reader, ids, context)))
        },
    );
    let mut results = std::pin::pin!(member.consensus().stream_append(input));
    while let Some(result) = results.next().await {
        let result = result.map_err(io::Error::other)?;
        let Some(id) = answered.recv().await else {
            break;
        };
        if !matches!(result, Err(StreamAppendError::HigherVote(_))) {
            context.contact.note();
        }
        writer
            .send(&context.traffic, id, &reply_to_wire(&result))
            .await?;
        if result.is_err() {
            break;
        }
    }
    Ok(())
}

/// Calls are handled side by side, a bounded number at a time.
async fn calls(
    member: Arc<Member>,
    context: &Arc<Context>,
    link: Link,
    from: MemberId,
) -> io::Result<()> {
    let Link { reader, writer } = link;
    let (tx, rx) = mpsc::channel(PEER_CALLS_MAX);
    let answering = tokio::spawn(answer_calls(context.clone(), writer, rx));
    let outcome = take_calls(member, context, (from, reader), tx).await;
    let answered = answering.await.map_err(io::Error::other)?;
    outcome.and(answered)
}

async fn take_calls(
    member: Arc<Member>,
    context: &Arc<Context>,
    (from, mut reader): (MemberId, LinkReader),
    tx: mpsc::Sender<(u64, CallReply)>,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(PEER_CALLS_MAX));
    while let Some((id, data)) = reader.next(&context.traffic).await? {
        if context.store.is_removed(from) {
            // It does not know yet, and holds its clients up: the next hello tells it.
            return Ok(());
        }
        let call = Call::decode(data).map_err(io::Error::other)?;
        let place = places
            .clone()
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let (member, tx) = (member.clone(), tx.clone());
        tokio::spawn(async move {
            let reply = member.answer(call).await;
            let _ = tx.send((id, reply)).await;
            drop(place);
        });
    }
    Ok(())
}

async fn answer_calls(
    context: Arc<Context>,
    mut writer: LinkWriter,
    mut replies: mpsc::Receiver<(u64, CallReply)>,
) -> io::Result<()> {
    while let Some(first) = replies.recv().await {
        for (id, reply) in gather(first, &mut replies).await {
            writer.feed(&context.traffic, id, &reply).await?;
        }
        writer.flush().await?;
    }
    Ok(())
}

async fn receive_snapshot(
    member: &Arc<Member>,
    context: &Arc<Context>,
    mut link: Link,
) -> io::Result<()> {
    // One at a time: they are large, and only the last one counts.
    let _one = member.receiving().lock().await;
    let (dir, sync) = member.engine_dir();
    let outcome = match snapshot::receive(context, &mut link.reader, dir, sync).await {
        Ok(received) => {
            let last = received.snapshot.meta.last_log_id;
            tracing::info!(?last, "Received a snapshot");
            context.contact.note();
            member
                .consensus()
                .install_snapshot(received.vote, received.snapshot)
                .await
                .map_err(|e| e.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = &outcome {
        tracing::warn!(%error, "Taking a snapshot in failed");
    }
    snapshot::answer(context, &mut link.writer, outcome).await
}
