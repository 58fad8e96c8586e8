//! Sending the state to a member that the log no longer reaches, and taking it in.

use super::Context;
use super::link::{Link, LinkReader, LinkWriter};
use crate::consensus::machine::SnapshotData;
use crate::consensus::types::{self, Types, Vote, vote_from_wire, vote_to_wire};
use crate::limits::{
    SNAPSHOT_CHUNK_BYTES, SNAPSHOT_CHUNK_TIMEOUT, SNAPSHOT_CHUNKS_AHEAD, SNAPSHOT_INSTALL_TIMEOUT,
};
use bytes::Bytes;
use kvorum_mvcc::engine::{Batch, Engine, TABLES, Table};
use kvorum_mvcc::{Revision, Store};
use kvorum_proto::peer::{
    SnapshotChunk, SnapshotHeader, SnapshotRecord, SnapshotReply, SnapshotRow,
};
use kvorum_storage::engine::{self, DiskEngine};
use openraft::type_config::alias::{SnapshotMetaOf, SnapshotOf};
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(limit, work)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Streams the last durable point; returns the receiver's vote.
///
/// # Errors
/// If the connection or the disk fails, or the receiver could not take it in.
pub async fn send(context: &Context, link: Link, vote: &Vote) -> io::Result<Vote> {
    let Link {
        mut reader,
        mut writer,
    } = link;
    let (tx, mut rx) = mpsc::channel(SNAPSHOT_CHUNKS_AHEAD);
    let store = context.store.clone();
    let vote = vote_to_wire(vote);
    let reading = tokio::task::spawn_blocking(move || produce(&store, vote, &tx));
    while let Some(part) = rx.recv().await {
        within(SNAPSHOT_CHUNK_TIMEOUT, async {
            match &part {
                Part::Header(header) => writer.send(&context.traffic, 0, header).await,
                Part::Chunk(chunk) => writer.send(&context.traffic, 0, chunk).await,
            }
        })
        .await?;
    }
    reading.await.map_err(io::Error::other)??;
    let (_, reply) = within(
        SNAPSHOT_INSTALL_TIMEOUT,
        reader.expect::<SnapshotReply>(&context.traffic),
    )
    .await?;
    if reply.failed.is_empty() {
        Ok(vote_from_wire(reply.vote))
    } else {
        Err(io::Error::other(format!(
            "the receiver could not take it in: {}",
            reply.failed
        )))
    }
}

enum Part {
    Header(SnapshotHeader),
    Chunk(SnapshotChunk),
}

/// Reads one consistent view into parts.
fn produce(
    store: &Store,
    vote: kvorum_proto::peer::Vote,
    out: &mpsc::Sender<Part>,
) -> io::Result<()> {
    let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
    let view = store.engine().view()?;
    let (applied, membership) = kvorum_mvcc::position_of(view.as_ref())?;
    let applied = applied.unwrap_or_default();
    let header = SnapshotHeader {
        vote: Some(vote),
        applied_term: applied.term,
        applied_index: applied.index,
        membership,
    };
    out.blocking_send(Part::Header(header))
        .map_err(|_| closed())?;
    let mut chunk = SnapshotChunk::default();
    let mut bytes = 0;
    let mut broken = false;
    view.scan(Revision::default(), &mut |revision, data| {
        bytes += data.len() + 32;
        chunk.records.push(SnapshotRecord {
            main: revision.main,
            sub: revision.sub,
            data: Bytes::copy_from_slice(data),
        });
        if bytes >= SNAPSHOT_CHUNK_BYTES {
            bytes = 0;
            broken = out
                .blocking_send(Part::Chunk(std::mem::take(&mut chunk)))
                .is_err();
        }
        if broken {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    if broken {
        return Err(closed());
    }
    for table in TABLES {
        for (key, value) in view.rows(table)? {
            chunk.rows.push(SnapshotRow {
                table: number(table),
                key,
                value,
            });
        }
    }
    chunk.last = true;
    out.blocking_send(Part::Chunk(chunk)).map_err(|_| closed())
}

fn number(table: Table) -> u32 {
    match table {
        Table::Meta => 1,
        Table::Lease => 2,
        Table::Member => 3,
        Table::Alarm => 4,
        Table::Auth => 20,
        Table::User => 21,
        Table::Role => 22,
    }
}

fn batch(chunk: SnapshotChunk) -> io::Result<Batch> {
    let records = chunk.records.into_iter().map(|r| {
        let revision = Revision {
            main: r.main,
            sub: r.sub,
        };
        (revision, Some(r.data))
    });
    let rows = chunk.rows.into_iter().map(|r| {
        let table = TABLES.into_iter().find(|t| number(*t) == r.table);
        let table = table.ok_or_else(|| io::Error::other(format!("unknown table {}", r.table)))?;
        Ok((table, r.key.to_vec(), Some(r.value.to_vec())))
    });
    Ok(Batch {
        records: records.collect(),
        rows: rows.collect::<io::Result<_>>()?,
    })
}

/// A received snapshot, durable beside the present state.
pub struct Received {
    /// The sender's vote.
    pub vote: Vote,
    /// What to hand to openraft.
    pub snapshot: SnapshotOf<Types, SnapshotData>,
}

/// Takes a snapshot in. Nothing of the present state changes.
///
/// # Errors
/// If the connection breaks or the disk fails; what was received is then dropped.
pub async fn receive(
    context: &Context,
    reader: &mut LinkReader,
    dir: PathBuf,
    sync: bool,
) -> io::Result<Received> {
    let (_, header) = within(
        SNAPSHOT_CHUNK_TIMEOUT,
        reader.expect::<SnapshotHeader>(&context.traffic),
    )
    .await?;
    let engine = tokio::task::spawn_blocking(move || engine::prepare(&dir, sync))
        .await
        .map_err(io::Error::other)??;
    let mut engine = Arc::new(engine);
    loop {
        let (_, chunk) = within(
            SNAPSHOT_CHUNK_TIMEOUT,
            reader.expect::<SnapshotChunk>(&context.traffic),
        )
        .await?;
        let last = chunk.last;
        let target = engine.clone();
        tokio::task::spawn_blocking(move || target.commit(batch(chunk)?))
            .await
            .map_err(io::Error::other)??;
        if last {
            break;
        }
    }
    let engine: DiskEngine = loop {
        match Arc::try_unwrap(engine) {
            Ok(engine) => break engine,
            Err(shared) => engine = shared,
        }
    };
    Ok(Received {
        vote: vote_from_wire(header.vote),
        snapshot: SnapshotOf::<Types, _> {
            meta: SnapshotMetaOf::<Types> {
                last_log_id: Some(types::log_id(header.applied_term, header.applied_index)),
                last_membership: types::decode_stored(header.membership)?,
            },
            snapshot: SnapshotData::Received(engine),
        },
    })
}

/// Tells the sender how it went.
///
/// # Errors
/// If the connection breaks.
pub async fn answer(
    context: &Context,
    writer: &mut LinkWriter,
    outcome: Result<Vote, String>,
) -> io::Result<()> {
    let reply = match outcome {
        Ok(vote) => SnapshotReply {
            vote: Some(vote_to_wire(&vote)),
            failed: String::new(),
        },
        Err(failed) => SnapshotReply { vote: None, failed },
    };
    writer.send(&context.traffic, 0, &reply).await
}
