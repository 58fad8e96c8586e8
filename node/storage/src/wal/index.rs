//! Which entries the log holds and where each can be read.

use super::segment::Segment;
use super::{Entry, Error, Position, State, Vote};
use bytes::Bytes;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Where the payload of an entry stands on disk.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) segment: Arc<Segment>,
    pub(super) offset: u64,
}

/// One entry: in memory, on disk, or both.
#[derive(Clone)]
pub(super) struct Slot {
    position: Position,
    len: u32,
    payload: Option<Bytes>,
    place: Option<Place>,
    crc: u32,
}

impl Slot {
    /// The entry, read back from disk if it is no longer in memory.
    pub(super) fn load(self) -> Result<Entry, Error> {
        if let Some(payload) = self.payload {
            return Ok(Entry {
                position: self.position,
                payload,
            });
        }
        let Some(place) = self.place else {
            return Err(Error::Stopped);
        };
        let mut data = vec![0; self.len as usize];
        let n = place
            .segment
            .file
            .read_at(&mut data, place.offset)
            .map_err(|e| Error::Io {
                action: "read an entry back",
                reason: e.to_string(),
            })?;
        if n != data.len() || crc32c::crc32c(&data) != self.crc {
            return Err(Error::Damaged {
                segment: place.segment.name.clone(),
                offset: place.offset,
                reason: format!("entry {} does not match its checksum", self.position.index),
            });
        }
        Ok(Entry {
            position: self.position,
            payload: data.into(),
        })
    }
}

/// The index of the whole log.
pub(super) struct Index {
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<Position>,
    pub(super) bytes: u64,
    purged: Option<Position>,
    /// Entries from `first()` on, without holes.
    slots: VecDeque<Slot>,
    /// Slots before this one hold no payload in memory.
    cached_from: usize,
    cached_bytes: usize,
    cache_limit: usize,
}

impl Index {
    pub(super) fn new(cache_limit: usize) -> Self {
        Self {
            vote: None,
            committed: None,
            bytes: 0,
            purged: None,
            slots: VecDeque::new(),
            cached_from: 0,
            cached_bytes: 0,
            cache_limit,
        }
    }

    fn first(&self) -> u64 {
        self.slots.front().map_or_else(
            || self.purged.map_or(0, |p| p.index + 1),
            |s| s.position.index,
        )
    }

    fn next(&self) -> u64 {
        self.first() + self.slots.len() as u64
    }

    pub(super) fn range(&self) -> Range<u64> {
        self.first()..self.next()
    }

    pub(super) fn state(&self) -> State {
        State {
            vote: self.vote,
            purged: self.purged,
            last: self.slots.back().map(|s| s.position).or(self.purged),
            committed: self.committed,
        }
    }

    /// Adds entries behind the last one; an entry that is already there is
    /// replaced together with all behind it.
    pub(super) fn append(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.truncate(entry.position.index);
            self.push(Slot {
                position: entry.position,
                len: u32::try_from(entry.payload.len()).unwrap_or(u32::MAX),
                crc: 0,
                payload: Some(entry.payload.clone()),
                place: None,
            });
        }
    }

    /// Adds an entry that recovery found on disk.
    pub(super) fn recovered(&mut self, entry: &Entry, place: Place) {
        if self.purged.is_some_and(|p| entry.position.index <= p.index) {
            return;
        }
        self.truncate(entry.position.index);
        self.push(Slot {
            position: entry.position,
            len: u32::try_from(entry.payload.len()).unwrap_or(u32::MAX),
            crc: crc32c::crc32c(&entry.payload),
            payload: Some(entry.payload.clone()),
            place: Some(place),
        });
    }

    fn push(&mut self, slot: Slot) {
        self.bytes += u64::from(slot.len);
        self.cached_bytes += slot.len as usize;
        self.slots.push_back(slot);
        self.shrink();
    }

    /// Notes where an entry was written, unless it has been replaced meanwhile.
    pub(super) fn placed(&mut self, position: Position, crc: u32, place: Place) {
        let first = self.first();
        let Some(at) = position.index.checked_sub(first) else {
            return;
        };
        let Some(slot) = usize::try_from(at)
            .ok()
            .and_then(|at| self.slots.get_mut(at))
        else {
            return;
        };
        if slot.position == position {
            slot.place = Some(place);
            slot.crc = crc;
        }
    }

    /// Drops payloads from memory, oldest first, while over the limit; only of
    /// entries that are on disk.
    pub(super) fn shrink(&mut self) {
        while self.cached_bytes > self.cache_limit {
            let Some(slot) = self.slots.get_mut(self.cached_from) else {
                return;
            };
            if slot.place.is_none() {
                return;
            }
            if slot.payload.take().is_some() {
                self.cached_bytes -= slot.len as usize;
            }
            self.cached_from += 1;
        }
    }

    fn forget(&mut self, slot: &Slot) {
        self.bytes -= u64::from(slot.len);
        if slot.payload.is_some() {
            self.cached_bytes -= slot.len as usize;
        }
    }

    pub(super) fn truncate(&mut self, keep_below: u64) {
        while self
            .slots
            .back()
            .is_some_and(|s| s.position.index >= keep_below)
        {
            if let Some(slot) = self.slots.pop_back() {
                self.forget(&slot);
            }
        }
        self.cached_from = self.cached_from.min(self.slots.len());
    }

    pub(super) fn purge(&mut self, upto: Position) {
        while self
            .slots
            .front()
            .is_some_and(|s| s.position.index <= upto.index)
        {
            if let Some(slot) = self.slots.pop_front() {
                self.forget(&slot);
            }
            self.cached_from = self.cached_from.saturating_sub(1);
        }
        if self.purged < Some(upto) {
            self.purged = Some(upto);
        }
    }

    pub(super) fn plan_read(
        &self,
        range: Range<u64>,
        max_bytes: usize,
    ) -> Result<Vec<Slot>, Error> {
        let (first, next) = (self.first(), self.next());
        if range.is_empty() {
            return Ok(Vec::new());
        }
        if range.start < first || range.end > next {
            return Err(Error::OutOfRange {
                from: range.start,
                to: range.end,
                first,
                next,
            });
        }
        let from = usize::try_from(range.start - first).unwrap_or(usize::MAX);
        let to = usize::try_from(range.end - first).unwrap_or(usize::MAX);
        let mut found: Vec<Slot> = Vec::with_capacity(to - from);
        let mut bytes = 0;
        for slot in self.slots.range(from..to) {
            bytes += slot.len as usize;
            if bytes > max_bytes && !found.is_empty() {
                break;
            }
            found.push(slot.clone());
        }
        Ok(found)
    }

    pub(super) fn positions(&self, range: Range<u64>) -> Vec<Position> {
        let first = self.first();
        let (from, to) = (range.start.max(first), range.end.min(self.next()));
        if from >= to {
            return Vec::new();
        }
        let from = usize::try_from(from - first).unwrap_or(usize::MAX);
        let to = usize::try_from(to - first).unwrap_or(usize::MAX);
        self.slots.range(from..to).map(|s| s.position).collect()
    }
}
