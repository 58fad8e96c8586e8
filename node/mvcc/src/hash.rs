//! A number that says whether two members hold the same.

use crate::engine::{TABLES, Table, View};
use crate::records::{Records, encode};
use crate::store::{Error, Store};
use crate::{Rejection, Revision};
use bytes::Bytes;
use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;

/// The hash of all readable records up to a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySpaceHash {
    /// The same on every member whose records are the same.
    pub hash: u32,
    /// Records up to this revision are in it.
    pub revision: i64,
    /// The compaction in force: only members with the same one can be compared.
    pub compacted: i64,
    /// Current revision.
    pub current: i64,
}

/// One moment of the records, readable without the store's lock.
struct Moment {
    records: Records,
    view: Box<dyn View>,
}

fn of_record(revision: Revision, data: &[u8]) -> u32 {
    let main = crc32c::crc32c(&revision.main.to_be_bytes());
    let position = crc32c::crc32c_append(main, &revision.sub.to_be_bytes());
    crc32c::crc32c_append(position, data)
}

impl Store {
    /// Hashes the readable records up to `wanted` (0: all there are). Reads everything:
    /// call it where blocking is fine. Does not depend on how far a compaction's removal is.
    ///
    /// # Errors
    /// A revision that is compacted or in the future; I/O errors of the engine.
    pub fn hash_kv(&self, wanted: i64) -> Result<KeySpaceHash, Error> {
        let (moment, revision, compacted, current) = {
            let state = self.state.read();
            let revision = crate::range::check_revision(&state, wanted, state.revision)?;
            let moment = Moment {
                records: state.records.frozen(),
                view: state.engine.view()?,
            };
            (moment, revision, state.compacted, state.revision)
        };
        if wanted > 0 && wanted < compacted {
            return Err(Rejection::Compacted.into());
        }
        let mut sum = 0_u32;
        // Of what stands before the compaction, each key's last state counts, unless deleted.
        let mut last: HashMap<Bytes, Option<u32>> = HashMap::new();
        moment.records.scan(
            moment.view.as_ref(),
            Revision::default(),
            &mut |at, record| {
                if at.main > revision {
                    return ControlFlow::Break(());
                }
                let hash = of_record(at, &encode(&record));
                if at.main <= compacted {
                    let there = record.version != 0;
                    last.insert(record.key, there.then_some(hash));
                } else {
                    sum = sum.wrapping_add(hash);
                }
                ControlFlow::Continue(())
            },
        )?;
        let kept = last.into_values().flatten();
        Ok(KeySpaceHash {
            hash: kept.fold(sum, u32::wrapping_add),
            revision,
            compacted,
            current,
        })
    }

    /// Hashes everything at the last durable point: a number of this member alone.
    ///
    /// # Errors
    /// I/O errors of the engine.
    pub fn hash_all(&self) -> io::Result<u32> {
        let view = self.engine().view()?;
        let mut hash = 0;
        view.scan(Revision::default(), &mut |at, data| {
            hash = crc32c::crc32c_append(hash, &of_record(at, data).to_be_bytes());
            ControlFlow::Continue(())
        })?;
        for table in TABLES.into_iter().filter(|t| *t != Table::Meta) {
            for (key, value) in view.rows(table)? {
                hash = crc32c::crc32c_append(hash, &key);
                hash = crc32c::crc32c_append(hash, &value);
            }
        }
        Ok(hash)
    }
}
