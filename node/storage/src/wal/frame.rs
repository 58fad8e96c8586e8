//! The bytes of the log: records, gathered in frames.
//!
//! A frame is what one group of requests becomes: one write, one fdatasync.
//! ```text
//! magic u32 | body length u32 | sequence u64 | segment u64 | salt u32 | crc32c u32 | body | padding to 8
//! ```
//! The CRC covers all of it but itself and the padding, which is zeros and looked
//! at too: no byte of a frame can change unnoticed. The header names the segment, so that a
//! frame left over in a recycled file is never taken for one of this segment;
//! the salt is drawn anew for each segment, so that no client can write a value
//! that looks like a frame. All integers are little-endian.

use super::{Entry, Position, Vote};
use bytes::Bytes;

/// First bytes of every frame.
pub(super) const MAGIC: u32 = 0x4b56_4c31;
/// Bytes before the body.
pub(super) const HEADER: usize = 32;
/// Frames start at multiples of this.
pub(super) const ALIGN: usize = 8;

const KIND_CHECKPOINT: u8 = 1;
const KIND_VOTE: u8 = 2;
const KIND_APPEND: u8 = 3;
const KIND_TRUNCATE: u8 = 4;
const KIND_PURGE: u8 = 5;
const KIND_COMMITTED: u8 = 6;
const KIND_SEAL: u8 = 7;

/// What stands in the log, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    /// First record of every segment: all that the dropped segments before it said.
    Checkpoint {
        vote: Option<Vote>,
        purged: Option<Position>,
        committed: Option<Position>,
    },
    Vote(Vote),
    Append(Entry),
    /// Entries with this index or a higher one are void.
    Truncate {
        keep_below: u64,
    },
    Purge(Position),
    Committed(Position),
    /// Last record of a full segment.
    Seal,
}

fn put_position(out: &mut Vec<u8>, p: Position) {
    out.extend_from_slice(&p.term.to_le_bytes());
    out.extend_from_slice(&p.index.to_le_bytes());
}

fn put_optional(out: &mut Vec<u8>, p: Option<Position>) {
    out.push(u8::from(p.is_some()));
    put_position(out, p.unwrap_or_default());
}

fn put_vote(out: &mut Vec<u8>, v: Vote) {
    out.extend_from_slice(&v.term.to_le_bytes());
    out.extend_from_slice(&v.node.to_le_bytes());
    out.push(u8::from(v.committed));
}

/// Starts a frame in `out` (cleared), to be filled by [`push`] and closed by [`finish`].
pub(super) fn start(out: &mut Vec<u8>) {
    out.clear();
    out.resize(HEADER, 0);
}

/// Adds a record. For an append, returns where in the frame its payload stands.
pub(super) fn push(out: &mut Vec<u8>, record: &Record) -> usize {
    let at = out.len();
    out.extend_from_slice(&[0; 5]);
    let mut payload_at = 0;
    let kind = match record {
        Record::Checkpoint {
            vote,
            purged,
            committed,
        } => {
            out.push(u8::from(vote.is_some()));
            put_vote(out, vote.unwrap_or_default());
            put_optional(out, *purged);
            put_optional(out, *committed);
            KIND_CHECKPOINT
        }
        Record::Vote(vote) => {
            put_vote(out, *vote);
            KIND_VOTE
        }
        Record::Append(entry) => {
            put_position(out, entry.position);
            payload_at = out.len();
            out.extend_from_slice(&entry.payload);
            KIND_APPEND
        }
        Record::Truncate { keep_below } => {
            out.extend_from_slice(&keep_below.to_le_bytes());
            KIND_TRUNCATE
        }
        Record::Purge(p) => {
            put_position(out, *p);
            KIND_PURGE
        }
        Record::Committed(p) => {
            put_position(out, *p);
            KIND_COMMITTED
        }
        Record::Seal => KIND_SEAL,
    };
    let len = u32::try_from(out.len() - at - 5).unwrap_or(u32::MAX);
    out[at] = kind;
    out[at + 1..at + 5].copy_from_slice(&len.to_le_bytes());
    payload_at
}

/// Closes the frame: header, CRC, padding.
pub(super) fn finish(out: &mut Vec<u8>, sequence: u64, segment: u64, salt: u32) {
    let body = u32::try_from(out.len() - HEADER).unwrap_or(u32::MAX);
    out[0..4].copy_from_slice(&MAGIC.to_le_bytes());
    out[4..8].copy_from_slice(&body.to_le_bytes());
    out[8..16].copy_from_slice(&sequence.to_le_bytes());
    out[16..24].copy_from_slice(&segment.to_le_bytes());
    out[24..28].copy_from_slice(&salt.to_le_bytes());
    let crc = checksum(out);
    out[28..32].copy_from_slice(&crc.to_le_bytes());
    let padded = out.len().next_multiple_of(ALIGN);
    out.resize(padded, 0);
}

fn checksum(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..28]), &frame[HEADER..])
}

/// A frame found by [`parse`].
pub(super) struct Parsed<'a> {
    pub(super) sequence: u64,
    pub(super) salt: u32,
    pub(super) body: &'a [u8],
    /// Bytes it takes, with padding.
    pub(super) size: usize,
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(data.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(data: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(data.get(at..at + 8)?.try_into().ok()?))
}

/// The frame that starts `data`, if a whole and valid one of `segment` does.
/// `salt` is that of the segment's first frame, where it is known.
pub(super) fn parse(data: &[u8], segment: u64, salt: Option<u32>) -> Option<Parsed<'_>> {
    if u32_at(data, 0)? != MAGIC || u64_at(data, 16)? != segment {
        return None;
    }
    let found = u32_at(data, 24)?;
    if salt.is_some_and(|salt| salt != found) {
        return None;
    }
    let body_len = usize::try_from(u32_at(data, 4)?).ok()?;
    let frame = data.get(..HEADER.checked_add(body_len)?)?;
    let size = frame.len().next_multiple_of(ALIGN);
    let padding = data.get(frame.len()..size)?;
    if checksum(frame) != u32_at(frame, 28)? || padding.iter().any(|byte| *byte != 0) {
        return None;
    }
    Some(Parsed {
        sequence: u64_at(frame, 8)?,
        salt: found,
        body: &frame[HEADER..],
        size,
    })
}

struct Reader<'a> {
    data: &'a [u8],
}

impl Reader<'_> {
    fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.data.split_first()?;
        self.data = rest;
        Some(*first)
    }

    fn u64(&mut self) -> Option<u64> {
        let value = u64_at(self.data, 0)?;
        self.data = &self.data[8..];
        Some(value)
    }

    fn position(&mut self) -> Option<Position> {
        Some(Position {
            term: self.u64()?,
            index: self.u64()?,
        })
    }

    fn optional(&mut self) -> Option<Option<Position>> {
        let there = self.u8()? != 0;
        let p = self.position()?;
        Some(there.then_some(p))
    }

    fn vote(&mut self) -> Option<Vote> {
        Some(Vote {
            term: self.u64()?,
            node: self.u64()?,
            committed: self.u8()? != 0,
        })
    }
}

/// The records of a frame's body, each with the offset of an append's payload
/// within the body. `None` where the bytes make no sense although the CRC holds.
pub(super) fn records(body: &[u8]) -> Option<Vec<(Record, usize)>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let kind = *body.get(at)?;
        let len = usize::try_from(u32_at(body, at + 1)?).ok()?;
        let start = at + 5;
        let data = body.get(start..start.checked_add(len)?)?;
        let mut r = Reader { data };
        let mut payload_at = 0;
        let record = match kind {
            KIND_CHECKPOINT => {
                let there = r.u8()? != 0;
                let vote = r.vote()?;
                Record::Checkpoint {
                    vote: there.then_some(vote),
                    purged: r.optional()?,
                    committed: r.optional()?,
                }
            }
            KIND_VOTE => Record::Vote(r.vote()?),
            KIND_APPEND => {
                let position = r.position()?;
                payload_at = start + 16;
                let payload = Bytes::copy_from_slice(r.data);
                Record::Append(Entry { position, payload })
            }
            KIND_TRUNCATE => Record::Truncate {
                keep_below: r.u64()?,
            },
            KIND_PURGE => Record::Purge(r.position()?),
            KIND_COMMITTED => Record::Committed(r.position()?),
            KIND_SEAL => Record::Seal,
            _ => return None,
        };
        found.push((record, payload_at));
        at = start + len;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Record> {
        let p = Position { term: 3, index: 9 };
        let vote = Vote {
            term: 3,
            node: 2,
            committed: true,
        };
        vec![
            Record::Checkpoint {
                vote: Some(vote),
                purged: None,
                committed: Some(p),
            },
            Record::Vote(vote),
            Record::Append(Entry {
                position: p,
                payload: Bytes::from_static(b"payload"),
            }),
            Record::Truncate { keep_below: 4 },
            Record::Purge(p),
            Record::Committed(p),
            Record::Seal,
        ]
    }

    fn frame(sequence: u64, segment: u64) -> Vec<u8> {
        let mut out = Vec::new();
        start(&mut out);
        for record in sample() {
            push(&mut out, &record);
        }
        finish(&mut out, sequence, segment, 77);
        out
    }

    #[test]
    fn what_is_written_is_read_back() {
        let bytes = frame(5, 8);
        let parsed = parse(&bytes, 8, Some(77)).unwrap();
        assert_eq!((parsed.sequence, parsed.size), (5, bytes.len()));
        let found = records(parsed.body).unwrap();
        assert_eq!(
            found.iter().map(|(r, _)| r.clone()).collect::<Vec<_>>(),
            sample()
        );
        let at = found[2].1;
        assert_eq!(&parsed.body[at..at + 7], b"payload");
    }

    #[test]
    fn every_flipped_bit_and_every_other_segment_is_noticed() {
        let good = frame(5, 8);
        assert!(parse(&good, 9, None).is_none());
        assert!(parse(&good, 8, Some(78)).is_none());
        let body_end = HEADER + u32_at(&good, 4).unwrap() as usize;
        assert!(body_end < good.len(), "the sample should have padding");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&bad, 8, None).is_none(), "bit {bit}");
        }
    }

    #[test]
    fn the_layout_on_disk_does_not_change_unnoticed() {
        assert_eq!(crc32c::crc32c(&frame(5, 8)), 774_648_001);
    }
}
