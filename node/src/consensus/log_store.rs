//! openraft's log storage on the write-ahead log.

use super::types::{self, Entry, LogId, Types, Vote};
use crate::faultpoint;
use crate::limits::APPEND_BYTES_MAX;
use kvorum_storage::wal::{self, Position, Wal};
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::type_config::alias::VoteOf;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};

/// Reader and writer of the log; clones share it.
#[derive(Clone)]
pub struct LogStore {
    wal: Wal,
}

impl LogStore {
    /// Wraps an open log.
    #[must_use]
    pub fn new(wal: Wal) -> Self {
        Self { wal }
    }

    fn entries(&self, range: std::ops::Range<u64>, max_bytes: usize) -> io::Result<Vec<Entry>> {
        let found = self.wal.read(range, max_bytes).map_err(io::Error::other)?;
        found
            .into_iter()
            .map(|e| types::decode_entry(to_id(e.position), e.payload))
            .collect()
    }
}

fn to_id(p: Position) -> LogId {
    types::log_id(p.term, p.index)
}

fn position(id: &LogId) -> Position {
    Position {
        term: id.leader_id.term,
        index: id.index,
    }
}

fn to_vote(v: wal::Vote) -> Vote {
    types::vote_from_wire(Some(kvorum_proto::peer::Vote {
        term: v.term,
        node: v.node,
        committed: v.committed,
    }))
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        let there = self.wal.range();
        let from = match range.start_bound() {
            Bound::Included(&n) => n,
            Bound::Excluded(&n) => n + 1,
            Bound::Unbounded => there.start,
        };
        let to = match range.end_bound() {
            Bound::Included(&n) => n + 1,
            Bound::Excluded(&n) => n,
            Bound::Unbounded => there.end,
        };
        // The caller may ask beyond the end; what is there must come whole.
        self.entries(from.max(there.start)..to.min(there.end), usize::MAX)
    }

    async fn read_vote(&mut self) -> Result<Option<VoteOf<Types>>, io::Error> {
        Ok(self.wal.state().vote.map(to_vote))
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, io::Error> {
        self.entries(start..end, APPEND_BYTES_MAX)
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let state = self.wal.state();
        Ok(LogState {
            last_purged_log_id: state.purged.map(to_id),
            last_log_id: state.last.map(to_id),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<Types>) -> Result<(), io::Error> {
        let (tx, rx) = tokio::sync::oneshot::channel();
        let vote = wal::Vote {
            term: vote.leader_id.term,
            node: vote.leader_id.voted_for,
            committed: vote.committed,
        };
        let done: wal::Done = Box::new(move |result| {
            let _ = tx.send(result);
        });
        self.wal.save_vote(vote, done).map_err(io::Error::other)?;
        rx.await
            .map_err(|_| io::Error::other(wal::Error::Stopped))?
            .map_err(io::Error::other)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        if let Some(id) = committed {
            self.wal.save_committed(position(&id));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.wal.state().committed.map(to_id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries: Vec<wal::Entry> = entries
            .into_iter()
            .inspect(faultpoint::appending)
            .map(|entry| wal::Entry {
                position: position(&entry.log_id()),
                payload: types::encode_payload(&entry),
            })
            .collect();
        let last = entries.last().map_or(0, |e| e.position.index);
        let done: wal::Done = Box::new(move |result| {
            faultpoint::flushed(last);
            callback.io_completed(result.map_err(io::Error::other));
        });
        self.wal.append(entries, done).map_err(io::Error::other)
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let keep_below = last.map_or(0, |id| id.index + 1);
        self.wal.truncate(keep_below).map_err(io::Error::other)
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.wal.purge(position(&upto)).map_err(io::Error::other)
    }
}
