//! Reading the log back when it is opened.
//!
//! Segments are read in order. In every one but the last, frames must follow
//! each other up to a seal. In the last one, the first place without a valid
//! frame is the end: a torn tail if no valid later frame stands anywhere behind
//! it, damage otherwise (a frame is only written once the one before is durable).

use super::frame::{self, Record};
use super::index::{Index, Place};
use super::segment::{self, Segment};
use super::{Error, Options};
use crate::disk::Disk;
use std::sync::Arc;

/// Where the writer goes on.
pub(super) struct Tail {
    /// Open segments, oldest first; the last one is written to. Empty: a new log.
    pub(super) segments: Vec<(Arc<Segment>, Option<u64>)>,
    /// Offset of the next frame in the last segment.
    pub(super) offset: u64,
    /// Sequence number of the next frame.
    pub(super) sequence: u64,
    /// The last segment was sealed: start another.
    pub(super) sealed: bool,
    /// Prepared files found.
    pub(super) spares: Vec<String>,
}

pub(super) struct Recovered {
    pub(super) index: Index,
    pub(super) tail: Tail,
}

pub(super) fn recover(disk: &dyn Disk, options: &Options) -> Result<Recovered, Error> {
    let dir = &options.dir;
    disk.create_dir_all(dir)
        .map_err(segment::io("make its directory"))?;
    let names = disk.list(dir).map_err(segment::io("list its directory"))?;
    let numbers: Vec<u64> = names.iter().filter_map(|n| segment::number_of(n)).collect();
    for pair in numbers.windows(2) {
        if pair[1] != pair[0] + 1 {
            return Err(Error::Damaged {
                segment: segment::name_of(pair[0] + 1),
                offset: 0,
                reason: "the file is missing".to_owned(),
            });
        }
    }
    let mut recovered = Recovered {
        index: Index::new(options.cache_bytes),
        tail: Tail {
            segments: Vec::new(),
            offset: 0,
            sequence: 1,
            sealed: true,
            spares: spares(disk, options, &names)?,
        },
    };
    for (i, &number) in numbers.iter().enumerate() {
        let segment = Segment::open(disk, dir, number)?;
        let last = i + 1 == numbers.len();
        read_segment(&mut recovered, &segment, last)?;
    }
    Ok(recovered)
}

/// Prepared files of full size are kept; a half-made one is removed.
fn spares(disk: &dyn Disk, options: &Options, names: &[String]) -> Result<Vec<String>, Error> {
    let mut kept = Vec::new();
    for name in names.iter().filter(|n| n.starts_with(segment::SPARE)) {
        let path = options.dir.join(name);
        let len = disk
            .open(&path)
            .and_then(|f| f.size())
            .map_err(segment::io("look at a prepared segment"))?;
        if len == options.segment_bytes && kept.len() < crate::limits::SPARE_SEGMENTS {
            kept.push(name.clone());
        } else {
            disk.remove(&path)
                .map_err(segment::io("remove a half-made segment"))?;
        }
    }
    Ok(kept)
}

fn read_segment(into: &mut Recovered, segment: &Arc<Segment>, last: bool) -> Result<(), Error> {
    let len = segment
        .file
        .size()
        .map_err(segment::io("measure a segment"))?;
    let mut data = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    segment
        .file
        .read_at(&mut data, 0)
        .map_err(segment::io("read a segment"))?;
    let damaged = |offset: usize, reason: String| Error::Damaged {
        segment: segment.name.clone(),
        offset: offset as u64,
        reason,
    };
    let mut at = 0;
    let mut sealed = false;
    let mut last_index = None;
    let salt = frame::parse(&data, segment.number, None).map(|first| first.salt);
    let segment = &salt.map_or_else(|| segment.clone(), |salt| segment.with_salt(salt));
    while !sealed {
        let rest = data.get(at..).unwrap_or_default();
        let Some(parsed) = frame::parse(rest, segment.number, salt) else {
            break;
        };
        // The first frame of the oldest segment sets the count; from there it has no gaps.
        let first_ever = into.tail.segments.is_empty() && at == 0;
        if !first_ever && parsed.sequence != into.tail.sequence {
            let reason = format!(
                "frame {} stands where {} belongs",
                parsed.sequence, into.tail.sequence
            );
            return Err(damaged(at, reason));
        }
        let records = frame::records(parsed.body)
            .ok_or_else(|| damaged(at, "a record makes no sense".to_owned()))?;
        for (record, payload_at) in records {
            let offset = (at + frame::HEADER + payload_at) as u64;
            sealed |= record == Record::Seal;
            if let Record::Append(entry) = &record {
                last_index = last_index.max(Some(entry.position.index));
            }
            apply(&mut into.index, record, segment, offset);
        }
        into.tail.sequence = parsed.sequence + 1;
        at += parsed.size;
    }
    if !sealed {
        if !last {
            return Err(damaged(at, "the segment ends before its seal".to_owned()));
        }
        if let Some(later) = later_frame(&data, at, segment, into.tail.sequence) {
            let reason = format!("a valid frame stands behind it, at {later}");
            return Err(damaged(at, reason));
        }
    }
    into.tail.segments.push((segment.clone(), last_index));
    into.tail.offset = at as u64;
    into.tail.sealed = sealed;
    Ok(())
}

fn apply(index: &mut Index, record: Record, segment: &Arc<Segment>, offset: u64) {
    match record {
        Record::Checkpoint {
            vote,
            purged,
            committed,
        } => {
            index.vote = vote.or(index.vote);
            index.committed = committed.max(index.committed);
            if let Some(purged) = purged {
                index.purge(purged);
            }
        }
        Record::Vote(vote) => index.vote = Some(vote),
        Record::Append(entry) => {
            let place = Place {
                segment: segment.clone(),
                offset,
            };
            index.recovered(&entry, place);
        }
        Record::Truncate { keep_below } => index.truncate(keep_below),
        Record::Purge(upto) => index.purge(upto),
        Record::Committed(position) => index.committed = index.committed.max(Some(position)),
        Record::Seal => {}
    }
}

/// Offset of a valid frame of this segment behind `from` with a sequence number
/// that can only have been written after what is missing at `from`.
fn later_frame(data: &[u8], from: usize, segment: &Segment, expected: u64) -> Option<usize> {
    let magic = frame::MAGIC.to_le_bytes();
    let salt = (from > 0).then_some(segment.salt);
    let mut at = from + frame::ALIGN;
    while at + frame::HEADER <= data.len() {
        if data[at..at + 4] == magic
            && frame::parse(&data[at..], segment.number, salt)
                .is_some_and(|p| p.sequence > expected)
        {
            return Some(at);
        }
        at += frame::ALIGN;
    }
    None
}
