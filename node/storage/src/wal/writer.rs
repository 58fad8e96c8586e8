//! The one thread that writes the log.

use super::frame::{self, Record};
use super::index::{Index, Place};
use super::recovery::Tail;
use super::segment::{self, Segment};
use super::{Done, Entry, Error, Options, Position, State, Vote};
use crate::disk::Disk;
use crate::limits::{GROUP_BYTES_MAX, QUEUE_OPS_MAX, SPARE_SEGMENTS};
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

/// A request to the writer.
pub(super) enum Op {
    Append(Vec<Entry>, Done),
    Vote(Vote, Done),
    Truncate { keep_below: u64 },
    Purge(Position),
}

/// The other threads' side.
pub(super) struct Handle {
    sender: Option<SyncSender<Op>>,
    committed: Arc<Mutex<Option<Position>>>,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    pub(super) fn start(
        disk: Arc<dyn Disk>,
        options: Options,
        index: Arc<RwLock<Index>>,
        tail: Tail,
    ) -> Result<Self, Error> {
        let committed = Arc::new(Mutex::new(None));
        let written = index.read().state();
        let mut writer = Writer {
            disk,
            options,
            written,
            index,
            committed: committed.clone(),
            segments: tail.segments,
            offset: tail.offset,
            sequence: tail.sequence,
            spares: Arc::new(Mutex::new(tail.spares)),
            preparing: None,
            buffer: Vec::new(),
        };
        if tail.sealed {
            writer.next_segment()?;
        } else if tail.offset == 0 {
            writer.put_checkpoint()?;
        }
        let (sender, receiver) = sync_channel(QUEUE_OPS_MAX);
        let thread = std::thread::Builder::new()
            .name("wal".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(segment::io("start its thread"))?;
        Ok(Self {
            sender: Some(sender),
            committed,
            thread: Some(thread),
        })
    }

    pub(super) fn send(&self, op: Op) -> Result<(), Error> {
        let sender = self.sender.as_ref().ok_or(Error::Stopped)?;
        sender.send(op).map_err(|_| Error::Stopped)
    }

    pub(super) fn note_committed(&self, position: Position) {
        *self.committed.lock() = Some(position);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Closing the queue lets the thread finish what is in it.
        self.sender = None;
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

struct Writer {
    disk: Arc<dyn Disk>,
    options: Options,
    index: Arc<RwLock<Index>>,
    committed: Arc<Mutex<Option<Position>>>,
    /// Each with the highest entry index that it holds.
    segments: Vec<(Arc<Segment>, Option<u64>)>,
    offset: u64,
    sequence: u64,
    /// What the frames written so far say: ahead of the disk by one frame at most,
    /// and behind the index by what waits in the queue.
    written: State,
    spares: Arc<Mutex<Vec<String>>>,
    preparing: Option<JoinHandle<()>>,
    buffer: Vec<u8>,
}

/// What one frame will have done once it is durable.
#[derive(Default)]
struct Group {
    done: Vec<Done>,
    placed: Vec<(Position, u32, usize)>,
    purge: bool,
    state: State,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Op>) {
        while let Ok(first) = queue.recv() {
            let group = self.gather(first, queue);
            if let Err(error) = self.write(group) {
                (self.options.on_failure)(&error);
                fail_rest(queue, &error);
                return;
            }
        }
    }

    /// Takes what waits in the queue, up to the bound, into the buffer.
    fn gather(&mut self, first: Op, queue: &Receiver<Op>) -> Group {
        let mut group = Group {
            state: self.written,
            ..Group::default()
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        frame::start(&mut buffer);
        if let Some(committed) = self.committed.lock().take() {
            frame::push(&mut buffer, &Record::Committed(committed));
            group.state.committed = Some(committed);
        }
        let mut op = Some(first);
        while let Some(next) = op {
            match next {
                Op::Append(entries, done) => {
                    for entry in entries {
                        let position = entry.position;
                        let crc = crc32c::crc32c(&entry.payload);
                        let at = frame::push(&mut buffer, &Record::Append(entry));
                        group.placed.push((position, crc, at));
                    }
                    group.done.push(done);
                }
                Op::Vote(vote, done) => {
                    frame::push(&mut buffer, &Record::Vote(vote));
                    group.state.vote = Some(vote);
                    group.done.push(done);
                }
                Op::Truncate { keep_below } => {
                    frame::push(&mut buffer, &Record::Truncate { keep_below });
                }
                Op::Purge(upto) => {
                    frame::push(&mut buffer, &Record::Purge(upto));
                    group.state.purged = group.state.purged.max(Some(upto));
                    group.purge = true;
                }
            }
            op = if buffer.len() < GROUP_BYTES_MAX {
                queue.try_recv().ok()
            } else {
                None
            };
        }
        self.buffer = buffer;
        group
    }

    fn write(&mut self, group: Group) -> Result<(), Error> {
        let outcome = self.write_frame(&group);
        let answer = outcome.as_ref().map(|_| ()).map_err(Clone::clone);
        for done in group.done {
            done(answer.clone());
        }
        outcome?;
        if group.purge {
            self.drop_purged()?;
        }
        self.prepare_spare()
    }

    fn write_frame(&mut self, group: &Group) -> Result<(), Error> {
        let seal_room = 2 * frame::HEADER as u64;
        let size = self.buffer.len().next_multiple_of(frame::ALIGN) as u64;
        if self.offset + size + seal_room > self.options.segment_bytes {
            self.rotate()?;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let start = self.offset;
        let written = self.put(&mut buffer);
        self.buffer = buffer;
        written?;
        self.sync()?;
        self.written = group.state;
        let mut index = self.index.write();
        if let Some((segment, highest)) = self.segments.last_mut() {
            for &(position, crc, at) in &group.placed {
                *highest = (*highest).max(Some(position.index));
                let place = Place {
                    segment: segment.clone(),
                    offset: start + at as u64,
                };
                index.placed(position, crc, place);
            }
        }
        index.shrink();
        Ok(())
    }

    /// Writes a frame at the end, without syncing.
    fn put(&mut self, buffer: &mut Vec<u8>) -> Result<(), Error> {
        let Some((segment, _)) = self.segments.last() else {
            return Err(Error::Stopped);
        };
        frame::finish(buffer, self.sequence, segment.number, segment.salt);
        segment
            .file
            .write_at(buffer, self.offset)
            .map_err(segment::io("write"))?;
        self.sequence += 1;
        self.offset += buffer.len() as u64;
        Ok(())
    }

    fn sync(&self) -> Result<(), Error> {
        let Some((segment, _)) = self.segments.last() else {
            return Err(Error::Stopped);
        };
        let started = Instant::now();
        segment
            .file
            .sync_data()
            .map_err(segment::io("sync (fdatasync)"))?;
        (self.options.on_sync)(started.elapsed().as_secs_f64());
        Ok(())
    }

    /// Seals the full segment and starts another one.
    fn rotate(&mut self) -> Result<(), Error> {
        let mut buffer = Vec::new();
        frame::start(&mut buffer);
        frame::push(&mut buffer, &Record::Seal);
        self.put(&mut buffer)?;
        self.sync()?;
        self.next_segment()
    }

    fn next_segment(&mut self) -> Result<(), Error> {
        if let Some(preparing) = self.preparing.take() {
            let _ = preparing.join();
        }
        let number = self.segments.last().map_or(1, |(s, _)| s.number + 1);
        let spare = self.spares.lock().pop();
        let segment = Segment::make(
            self.disk.as_ref(),
            &self.options.dir,
            number,
            self.options.segment_bytes,
            spare,
        )?;
        self.segments.push((segment, None));
        self.offset = 0;
        self.put_checkpoint()
    }

    fn put_checkpoint(&mut self) -> Result<(), Error> {
        let mut buffer = Vec::new();
        frame::start(&mut buffer);
        frame::push(
            &mut buffer,
            &Record::Checkpoint {
                vote: self.written.vote,
                purged: self.written.purged,
                committed: self.written.committed,
            },
        );
        self.put(&mut buffer)?;
        self.sync()
    }

    /// Removes or recycles segments that hold nothing but purged entries. Each
    /// removal is synced alone: a crash must not leave a gap between segments.
    fn drop_purged(&mut self) -> Result<(), Error> {
        let Some(purged) = self.written.purged else {
            return Ok(());
        };
        while self.segments.len() > 1
            && self.segments[0]
                .1
                .is_none_or(|highest| highest <= purged.index)
        {
            let (segment, _) = self.segments.remove(0);
            self.drop_segment(&segment)?;
            self.disk
                .sync_dir(&self.options.dir)
                .map_err(segment::io("sync the log directory"))?;
        }
        Ok(())
    }

    fn drop_segment(&mut self, segment: &Arc<Segment>) -> Result<(), Error> {
        let path = self.options.dir.join(&segment.name);
        let usual = segment
            .file
            .size()
            .is_ok_and(|n| n == self.options.segment_bytes);
        // A reader may still hold it: then its bytes must stay as they are.
        let unread = Arc::strong_count(segment) == 1;
        let mut spares = self.spares.lock();
        if usual && unread && self.preparing.is_none() && spares.len() < SPARE_SEGMENTS {
            let spare = segment::spare_name(segment.number);
            self.disk
                .rename(&path, &self.options.dir.join(&spare))
                .map_err(segment::io("recycle a segment"))?;
            spares.push(spare);
            Ok(())
        } else {
            self.disk
                .remove(&path)
                .map_err(segment::io("remove a purged segment"))
        }
    }

    /// Has the next file made ready beside the writing, once half of this one is
    /// used. If that fails (a full disk, say), rotation tries again and reports it.
    fn prepare_spare(&mut self) -> Result<(), Error> {
        let early = self.offset < self.options.segment_bytes / 2;
        if early || self.preparing.is_some() || !self.spares.lock().is_empty() {
            return Ok(());
        }
        let (disk, spares) = (self.disk.clone(), self.spares.clone());
        let (dir, bytes) = (self.options.dir.clone(), self.options.segment_bytes);
        let number = self.segments.last().map_or(0, |(s, _)| s.number + 1);
        let thread = std::thread::Builder::new()
            .name("wal-prepare".to_owned())
            .spawn(
                move || match segment::prepare(disk.as_ref(), &dir, number, bytes) {
                    Ok(name) => spares.lock().push(name),
                    Err(error) => tracing::warn!(%error, "Preparing the next log segment failed"),
                },
            )
            .map_err(segment::io("start a thread"))?;
        self.preparing = Some(thread);
        Ok(())
    }
}

fn fail_rest(queue: &Receiver<Op>, error: &Error) {
    while let Ok(op) = queue.recv() {
        match op {
            Op::Append(_, done) | Op::Vote(_, done) => done(Err(error.clone())),
            Op::Truncate { .. } | Op::Purge(_) => {}
        }
    }
}
