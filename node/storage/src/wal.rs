//! The write-ahead log: votes, entries, truncations and purges in one ordered stream.
//!
//! Rules it keeps (each has a test):
//! - one write and one fdatasync a group; a request is answered only when its
//!   group and every earlier one is durable;
//! - a failed write or fdatasync is final: everything after it fails too, and
//!   the owner is told to end the process;
//! - on opening, a torn tail is cut; damage with valid frames behind it is an error;
//! - what was purged may lose its segments only after the purge itself is durable.

mod frame;
mod index;
mod recovery;
mod segment;
mod writer;

use crate::disk::Disk;
use bytes::Bytes;
use index::Index;
use parking_lot::{Mutex, RwLock};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// A position in the log: the term of the leader that made the entry, and its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Raft term.
    pub term: u64,
    /// Raft index.
    pub index: u64,
}

/// A vote: whom this member supports in a term, and whether that one leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vote {
    /// Raft term.
    pub term: u64,
    /// Member voted for.
    pub node: u64,
    /// A quorum granted it.
    pub committed: bool,
}

/// One log entry; the payload is the caller's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands.
    pub position: Position,
    /// What it says.
    pub payload: Bytes,
}

/// What the log knows beside its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct State {
    /// Last vote saved.
    pub vote: Option<Vote>,
    /// Everything up to here was purged.
    pub purged: Option<Position>,
    /// Last entry (or, with none left, the purged position).
    pub last: Option<Position>,
    /// A position known to be committed, possibly an old one.
    pub committed: Option<Position>,
}

/// Why the log cannot go on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The file system failed. Final: what is durable is unknown from here on.
    #[error("the write-ahead log failed to {action}: {reason}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the file system said.
        reason: String,
    },
    /// Bytes in the middle of the log are not what was written.
    #[error(
        "the write-ahead log is damaged at {segment} offset {offset}: {reason}. This member must \
         not vote with a log that has lost acknowledged entries: remove it from the cluster and \
         add a new member with an empty directory"
    )]
    Damaged {
        /// File name.
        segment: String,
        /// Byte offset of the damage.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// The caller asked for entries that are not there.
    #[error("log entries {from}..{to} were asked for, but the log holds {first}..{next}")]
    OutOfRange {
        /// First asked for.
        from: u64,
        /// One past the last asked for.
        to: u64,
        /// First there.
        first: u64,
        /// One past the last there.
        next: u64,
    },
    /// The log failed before, or was closed.
    #[error("the write-ahead log has stopped")]
    Stopped,
}

/// Called once with the outcome, from the writer thread.
pub type Done = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// How to open a log.
#[derive(Clone)]
pub struct Options {
    /// Its directory; made if missing.
    pub dir: PathBuf,
    /// Bytes of one segment.
    pub segment_bytes: u64,
    /// Bytes of recent payloads kept in memory.
    pub cache_bytes: usize,
    /// Called once, from the writer thread, when a write or fdatasync failed.
    /// The process must end: nothing more will become durable.
    pub on_failure: Arc<dyn Fn(&Error) + Send + Sync>,
    /// Called after each fdatasync with how long it took, in seconds.
    pub on_sync: Arc<dyn Fn(f64) + Send + Sync>,
}

impl Options {
    /// The usual sizes, for a directory.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            segment_bytes: crate::limits::SEGMENT_BYTES,
            cache_bytes: crate::limits::TAIL_CACHE_BYTES,
            on_failure: Arc::new(|_| {}),
            on_sync: Arc::new(|_| {}),
        }
    }
}

/// The open log. Clones share it; the writer thread ends with the last of them.
#[derive(Clone)]
pub struct Wal {
    shared: Arc<RwLock<Index>>,
    writer: Arc<writer::Handle>,
    /// Held while a change goes into the index and the queue: both keep one order.
    order: Arc<Mutex<()>>,
}

impl Wal {
    /// Opens or makes the log of a directory.
    ///
    /// # Errors
    /// [`Error::Damaged`] if acknowledged data is not readable, [`Error::Io`] if the file system fails.
    pub fn open(disk: Arc<dyn Disk>, options: Options) -> Result<Self, Error> {
        let recovered = recovery::recover(disk.as_ref(), &options)?;
        let shared = Arc::new(RwLock::new(recovered.index));
        let writer = writer::Handle::start(disk, options, shared.clone(), recovered.tail)?;
        Ok(Self {
            shared,
            writer: Arc::new(writer),
            order: Arc::default(),
        })
    }

    /// What the log knows now (including what is not yet durable).
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.read().state()
    }

    /// Adds entries behind the last one. They can be read when this returns;
    /// `done` is called when they are durable.
    ///
    /// # Errors
    /// [`Error::Stopped`] after a failure. `done` is then not called.
    pub fn append(&self, entries: Vec<Entry>, done: Done) -> Result<(), Error> {
        let _order = self.order.lock();
        self.shared.write().append(&entries);
        self.writer.send(writer::Op::Append(entries, done))
    }

    /// Saves a vote; `done` is called when it is durable.
    ///
    /// # Errors
    /// As for [`Wal::append`].
    pub fn save_vote(&self, vote: Vote, done: Done) -> Result<(), Error> {
        let _order = self.order.lock();
        self.shared.write().vote = Some(vote);
        self.writer.send(writer::Op::Vote(vote, done))
    }

    /// Voids all entries with an index of `keep_below` or more.
    ///
    /// # Errors
    /// As for [`Wal::append`].
    pub fn truncate(&self, keep_below: u64) -> Result<(), Error> {
        let _order = self.order.lock();
        self.shared.write().truncate(keep_below);
        self.writer.send(writer::Op::Truncate { keep_below })
    }

    /// Drops entries up to and including `upto`, which may lie beyond the last
    /// entry (a snapshot was installed). Segments go once the purge is durable.
    ///
    /// # Errors
    /// As for [`Wal::append`].
    pub fn purge(&self, upto: Position) -> Result<(), Error> {
        let _order = self.order.lock();
        self.shared.write().purge(upto);
        self.writer.send(writer::Op::Purge(upto))
    }

    /// Notes a committed position. It becomes durable with the next group, whenever that is.
    pub fn save_committed(&self, committed: Position) {
        self.shared.write().committed = Some(committed);
        self.writer.note_committed(committed);
    }

    /// The entries of `range`, all of them; at most about `max_bytes` of payload,
    /// but always at least one. The caller's range must lie within the log.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], or [`Error::Io`]/[`Error::Damaged`] if old entries cannot be read back.
    pub fn read(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, Error> {
        let planned = self.shared.read().plan_read(range, max_bytes)?;
        planned.into_iter().map(index::Slot::load).collect()
    }

    /// Indexes of the entries that are there.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.shared.read().range()
    }

    /// The positions of the entries from `range` that are there.
    #[must_use]
    pub fn positions(&self, range: Range<u64>) -> Vec<Position> {
        self.shared.read().positions(range)
    }

    /// Payload bytes between the purged position and the end.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.read().bytes
    }

    /// Waits until everything requested so far is durable.
    ///
    /// # Errors
    /// What made the log stop.
    pub fn flush(&self) -> Result<(), Error> {
        let (tx, rx) = std::sync::mpsc::channel();
        let done: Done = Box::new(move |result| {
            let _ = tx.send(result);
        });
        self.writer.send(writer::Op::Append(Vec::new(), done))?;
        rx.recv().map_err(|_| Error::Stopped)?
    }
}
