//! openraft's state machine on the MVCC store.
//!
//! A snapshot is not a copy: the engine at its last durable point *is* the
//! snapshot, and is streamed from a consistent view when a follower needs it
//! (see `peer/snapshot.rs`). So making one costs one flush.

use super::types::{self, Applied, Entry, LogId, StoredMembership, Types};
use crate::faultpoint;
use crate::limits::{APPLY_BATCH, UNFLUSHED_BYTES_MAX};
use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt};
use kvorum_mvcc::engine::Engine;
use kvorum_mvcc::{Position, Store};
use kvorum_proto::log::{Command, command};
use kvorum_storage::engine::{self, DiskEngine};
use openraft::EntryPayload;
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::type_config::alias::{SnapshotMetaOf, SnapshotOf};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// What a snapshot is: a moment of our own engine, or an engine filled by another member.
pub enum SnapshotData {
    /// Our own durable state: the engine itself.
    Own(Arc<dyn Engine>),
    /// A received one, durable, not yet adopted.
    Received(DiskEngine),
}

/// How far the store is applied: watched by everything that waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Index of the last applied entry.
    pub index: u64,
    /// Revision of the key space.
    pub revision: i64,
}

/// The state machine; clones share it.
#[derive(Clone)]
pub struct Machine {
    store: Arc<Store>,
    engine_dir: PathBuf,
    sync: bool,
    progress: watch::Sender<Progress>,
}

impl Machine {
    /// Wraps an open store.
    #[must_use]
    pub fn new(store: Arc<Store>, engine_dir: PathBuf, sync: bool) -> Self {
        let machine = Self {
            store,
            engine_dir,
            sync,
            progress: watch::Sender::default(),
        };
        machine.publish();
        machine
    }

    /// Watches how far the store is applied.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    fn publish(&self) {
        let summary = self.store.summary();
        self.progress.send_replace(Progress {
            index: summary.applied.map_or(0, |p| p.index),
            revision: summary.revision,
        });
    }

    /// Flushes and says what the durable point holds.
    async fn durable_point(&self) -> io::Result<SnapshotMetaOf<Types>> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || {
            store.flush()?;
            meta_of(&store)
        })
        .await
        .map_err(io::Error::other)?
    }
}

/// Position and membership of the last durable point.
fn meta_of(store: &Store) -> io::Result<SnapshotMetaOf<Types>> {
    let (applied, membership) = store.durable()?;
    Ok(SnapshotMetaOf::<Types> {
        last_log_id: applied.map(to_id),
        last_membership: types::decode_stored(membership)?,
    })
}

/// The state machine does not read memberships: whom an ID must differ from is told it.
fn know_members(command: &mut Command, membership: &Bytes) -> io::Result<()> {
    if let Some(command::Op::Allocate(allocate)) = &mut command.op {
        let stored = types::decode_stored(membership.clone())?;
        let highest = stored.nodes().map(|(id, _)| *id).max();
        allocate.above = highest.unwrap_or(0);
    }
    Ok(())
}

fn to_id(p: Position) -> LogId {
    types::log_id(p.term, p.index)
}

fn position(entry: &Entry) -> Position {
    let id = entry.log_id();
    Position {
        term: id.leader_id.term,
        index: id.index,
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let (applied, membership) = self.store.applied();
        Ok((applied.map(to_id), types::decode_stored(membership)?))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + Send,
    {
        while let Some(first) = entries.next().await {
            let mut batch = vec![first?];
            while batch.len() < APPLY_BATCH
                && let Some(Some(next)) = entries.next().now_or_never()
            {
                batch.push(next?);
            }
            while self.store.pending_bytes() > UNFLUSHED_BYTES_MAX {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            let mut answers = Vec::with_capacity(batch.len());
            let progress = {
                let mut applier = self.store.applier();
                let mut last = 0;
                for (entry, responder) in batch {
                    let at = position(&entry);
                    last = at.index;
                    faultpoint::applying(at.index);
                    let reply = match entry.payload {
                        EntryPayload::Blank => {
                            applier.advance(at);
                            Applied::default()
                        }
                        EntryPayload::Normal(proposal) => {
                            let mut command = proposal.command();
                            know_members(&mut command, &applier.membership())?;
                            Applied(applier.apply(at, command)?)
                        }
                        EntryPayload::Membership(membership) => {
                            let before = types::decode_stored(applier.membership())?;
                            let gone: Vec<u64> = before
                                .membership()
                                .nodes()
                                .map(|(id, _)| *id)
                                .filter(|id| membership.get_node(id).is_none())
                                .collect();
                            let stored = StoredMembership::new(Some(to_id(at)), membership);
                            applier.set_membership(at, types::encode_stored(&stored), &gone);
                            Applied::default()
                        }
                    };
                    answers.extend(responder.map(|r| (r, reply)));
                }
                Progress {
                    index: last,
                    revision: applier.revision(),
                }
            };
            self.progress.send_replace(progress);
            faultpoint::answering(progress.index).await;
            for (responder, reply) in answers {
                responder.send(reply);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        _meta: &SnapshotMetaOf<Types>,
        snapshot: SnapshotData,
    ) -> Result<(), io::Error> {
        let (store, dir, sync) = (self.store.clone(), self.engine_dir.clone(), self.sync);
        tokio::task::spawn_blocking(move || {
            let engine = match snapshot {
                SnapshotData::Received(engine) => engine,
                SnapshotData::Own(other) => {
                    let engine = engine::prepare(&dir, sync)?;
                    kvorum_mvcc::engine::copy(other.as_ref(), &engine, &mut || ())?;
                    engine
                }
            };
            engine::adopt(&dir, &engine)?;
            store.replace(Arc::new(engine))
        })
        .await
        .map_err(io::Error::other)??;
        self.publish();
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<SnapshotOf<Types, SnapshotData>>, io::Error> {
        let meta = meta_of(&self.store)?;
        Ok(meta
            .last_log_id
            .is_some()
            .then_some(SnapshotOf::<Types, _> {
                meta,
                snapshot: SnapshotData::Own(self.store.engine()),
            }))
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, SnapshotData>, io::Error> {
        Ok(SnapshotOf::<Types, _> {
            meta: self.durable_point().await?,
            snapshot: SnapshotData::Own(self.store.engine()),
        })
    }
}
