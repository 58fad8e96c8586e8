//! The state machine as a whole, and what others may ask of it.

use crate::allocation::Allocations;
use crate::auth::{Auth, Flag};
use crate::changes::Recent;
use crate::engine::{Batch, Engine, Row, Table};
use crate::index::Index;
use crate::lease::Leases;
use crate::records::{self, Records};
use crate::{Applier, LeaseTime, LeaseView, Position, Rejection};
use bytes::Bytes;
use kvorum_proto::etcdserverpb::{AlarmMember, AlarmType};
use kvorum_proto::log::{MemberAttributes, StoreMeta};
use parking_lot::{Mutex, RwLock};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

/// Layout version of what this crate writes.
pub(crate) const FORMAT: u32 = 1;

/// Why a read cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request asks for what the state does not have.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The disk failed, or what it holds is damaged.
    #[error("the store failed: {0}")]
    Io(#[from] io::Error),
}

/// Where the store stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Last applied position of the log.
    pub applied: Option<Position>,
    /// Current revision.
    pub revision: i64,
    /// Everything below this revision is gone.
    pub compacted: i64,
    /// Keys that are there now.
    pub keys: usize,
    /// Bytes of all readable records with their overhead: what the quota counts.
    pub live_bytes: i64,
    /// The compaction whose removal is finished.
    pub swept: i64,
    /// Leases.
    pub leases: usize,
}

/// Everything that commands change.
pub(crate) struct State {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) index: Index,
    pub(crate) records: Records,
    pub(crate) leases: Leases,
    pub(crate) members: BTreeMap<u64, MemberAttributes>,
    pub(crate) alarms: BTreeSet<(u64, i32)>,
    /// Target of an announced downgrade; empty: none.
    pub(crate) downgrade: String,
    /// IDs given out to new members.
    pub(crate) allocations: Allocations,
    pub(crate) auth: Auth,
    pub(crate) recent: Recent,
    pub(crate) applied: Option<Position>,
    pub(crate) membership: Bytes,
    pub(crate) revision: i64,
    pub(crate) compacted: i64,
    pub(crate) swept: i64,
    pub(crate) live_bytes: i64,
    /// Rows changed since the last durable point.
    pub(crate) rows: Vec<Row>,
    /// Anything changed since the last durable point.
    pub(crate) dirty: bool,
}

impl State {
    pub(crate) fn meta(&self) -> StoreMeta {
        let applied = self.applied.unwrap_or_default();
        let mut meta = StoreMeta {
            format: FORMAT,
            applied_term: applied.term,
            applied_index: applied.index,
            has_applied: self.applied.is_some(),
            revision: self.revision,
            compacted: self.compacted,
            swept: self.swept,
            membership: self.membership.clone(),
            downgrade: self.downgrade.clone(),
            ..StoreMeta::default()
        };
        self.allocations.save(&mut meta);
        meta
    }

    pub(crate) fn alarms(&self) -> Vec<AlarmMember> {
        let one = |(member_id, alarm): &(u64, i32)| AlarmMember {
            member_id: *member_id,
            alarm: *alarm,
        };
        self.alarms.iter().map(one).collect()
    }

    pub(crate) fn summary(&self) -> Summary {
        Summary {
            applied: self.applied,
            revision: self.revision,
            compacted: self.compacted,
            keys: self.index.live(),
            live_bytes: self.live_bytes,
            swept: self.swept,
            leases: self.leases.len(),
        }
    }
}

/// The store. Shared by reference; readers and the one applier go side by side.
pub struct Store {
    pub(crate) state: RwLock<State>,
    /// What everybody asks of the permissions, without a lock.
    pub(crate) auth: Arc<Flag>,
    /// Held over a durable point: only one at a time.
    flushing: Mutex<()>,
}

impl Store {
    /// Opens the store that an engine holds, or an empty one.
    ///
    /// # Errors
    /// If the engine cannot be read, or was written by a newer program.
    pub fn open(engine: Arc<dyn Engine>) -> io::Result<Self> {
        let state = crate::restore::load(engine)?;
        Ok(Self {
            auth: state.auth.flag(),
            state: RwLock::new(state),
            flushing: Mutex::new(()),
        })
    }

    /// Takes the lock for applying commands, one after the other.
    pub fn applier(&self) -> Applier<'_> {
        Applier::new(self.state.write())
    }

    /// Puts the state of another engine in the place of this one's, as after
    /// receiving a snapshot. Readers see the old state or the new one.
    ///
    /// # Errors
    /// If the engine cannot be read; the old state then stays.
    pub fn replace(&self, engine: Arc<dyn Engine>) -> io::Result<()> {
        let _no_flush = self.flushing.lock();
        let mut state = crate::restore::load(engine)?;
        let mut present = self.state.write();
        state.auth.succeed(&mut present.auth);
        *present = state;
        Ok(())
    }

    /// Makes everything applied so far durable; returns the position that is.
    /// Readers and the applier go on meanwhile.
    ///
    /// # Errors
    /// If the disk fails: the process must then end, since what is durable is unknown.
    pub fn flush(&self) -> io::Result<Option<Position>> {
        let _one = self.flushing.lock();
        let (engine, layer, batch, applied) = {
            let mut state = self.state.write();
            if !state.dirty {
                return Ok(state.applied);
            }
            state.dirty = false;
            let mut rows = std::mem::take(&mut state.rows);
            let meta = state.meta().encode_to_vec();
            rows.push((Table::Meta, Vec::new(), Some(meta)));
            let batch = Batch {
                records: Vec::new(),
                rows,
            };
            let engine = state.engine.clone();
            (engine, state.records.seal(), batch, state.applied)
        };
        let encoded = layer
            .iter()
            .map(|(r, v)| (*r, v.as_ref().map(records::encode)));
        engine.commit(Batch {
            records: encoded.collect(),
            ..batch
        })?;
        self.state.write().records.unseal();
        Ok(applied)
    }

    /// Bytes that wait for the next durable point.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.state.read().records.pending_bytes()
    }

    /// Where the store stands.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.state.read().summary()
    }

    /// Current revision.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.state.read().revision
    }

    /// Last applied position and the membership noted with it.
    #[must_use]
    pub fn applied(&self) -> (Option<Position>, Bytes) {
        let state = self.state.read();
        (state.applied, state.membership.clone())
    }

    /// Position and membership of the last durable point.
    ///
    /// # Errors
    /// If the disk fails or what it holds is damaged.
    pub fn durable(&self) -> io::Result<(Option<Position>, Bytes)> {
        crate::position_of(self.engine().view()?.as_ref())
    }

    /// Bytes that the engine takes on disk.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.state.read().engine.size()
    }

    /// The engine, for a snapshot: its present view is the last durable point.
    #[must_use]
    pub fn engine(&self) -> Arc<dyn Engine> {
        self.state.read().engine.clone()
    }

    /// A lease; with its keys if asked.
    #[must_use]
    pub fn lease(&self, id: i64, with_keys: bool) -> Option<LeaseView> {
        self.state.read().leases.view(id, with_keys)
    }

    /// All leases, by ID.
    #[must_use]
    pub fn leases(&self) -> Vec<LeaseTime> {
        self.state.read().leases.list()
    }

    /// What members said of themselves, by ID; without those that were removed.
    #[must_use]
    pub fn members(&self) -> Vec<MemberAttributes> {
        let state = self.state.read();
        let there = state.members.values().filter(|m| !m.removed);
        there.cloned().collect()
    }

    /// Alarms that were raised: member and kind.
    #[must_use]
    pub fn alarms(&self) -> Vec<AlarmMember> {
        self.state.read().alarms()
    }

    /// Whether an alarm of this kind was raised, by any member.
    #[must_use]
    pub fn has_alarm(&self, kind: AlarmType) -> bool {
        let state = self.state.read();
        state
            .alarms
            .iter()
            .any(|(_, raised)| *raised == i32::from(kind))
    }

    /// Target version of an announced downgrade.
    #[must_use]
    pub fn downgrade(&self) -> Option<String> {
        let target = self.state.read().downgrade.clone();
        (!target.is_empty()).then_some(target)
    }

    /// Puts a rewritten engine in the place of the present one. `rewrite` gets the old
    /// engine and returns one that holds the same; no durable point is made meanwhile,
    /// and readers and the applier go on.
    ///
    /// # Errors
    /// Those of `rewrite`; the old engine then stays.
    pub fn rewrite(
        &self,
        rewrite: impl FnOnce(&dyn Engine) -> io::Result<Arc<dyn Engine>>,
    ) -> io::Result<()> {
        let _no_flush = self.flushing.lock();
        let old = self.engine();
        let new = rewrite(old.as_ref())?;
        self.state.write().engine = new;
        Ok(())
    }

    /// IDs of the members that were removed.
    #[must_use]
    pub fn removed(&self) -> Vec<u64> {
        let state = self.state.read();
        let removed = state.members.values().filter(|m| m.removed);
        removed.map(|m| m.id).collect()
    }

    /// Whether a member was removed from the cluster: its ID is never used again.
    #[must_use]
    pub fn is_removed(&self, id: u64) -> bool {
        self.state
            .read()
            .members
            .get(&id)
            .is_some_and(|m| m.removed)
    }
}
