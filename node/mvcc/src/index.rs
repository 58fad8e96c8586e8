//! Which keys there are and when each changed: all of it in memory.

use crate::{KeyRange, Revision};
use std::collections::BTreeMap;

/// The newest state of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) revision: Revision,
    /// Revision of the put that created it; 0 after a delete.
    pub(crate) create: i64,
    /// Puts since creation; 0: deleted.
    pub(crate) version: i64,
    pub(crate) lease: i64,
    /// Bytes of key and value, for the quota.
    pub(crate) size: u32,
}

impl Version {
    pub(crate) fn deleted(&self) -> bool {
        self.version == 0
    }
}

/// An older change of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    revision: Revision,
    deleted: bool,
    size: u32,
}

/// One key's history.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    latest: Version,
    /// Ascending.
    older: Vec<Stamp>,
}

/// Where to find a key as it was at some revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// The newest state: all but the value is known.
    Latest(Version),
    /// An older record.
    Older(Revision),
}

impl Found {
    pub(crate) fn revision(&self) -> Revision {
        match self {
            Self::Latest(v) => v.revision,
            Self::Older(revision) => *revision,
        }
    }
}

impl Entry {
    fn at(&self, revision: i64) -> Option<Found> {
        if self.latest.revision.main <= revision {
            return (!self.latest.deleted()).then_some(Found::Latest(self.latest));
        }
        let n = self.older.partition_point(|s| s.revision.main <= revision);
        let stamp = self.older.get(n.checked_sub(1)?)?;
        (!stamp.deleted).then_some(Found::Older(stamp.revision))
    }
}

/// All keys, sorted.
#[derive(Debug, Default)]
pub(crate) struct Index {
    keys: BTreeMap<Box<[u8]>, Entry>,
    live: usize,
}

impl Index {
    /// The newest state of a key, if it is there now.
    pub(crate) fn latest(&self, key: &[u8]) -> Option<Version> {
        let version = self.keys.get(key)?.latest;
        (!version.deleted()).then_some(version)
    }

    /// A key as it was at a revision.
    pub(crate) fn at(&self, key: &[u8], revision: i64) -> Option<Found> {
        self.keys.get(key)?.at(revision)
    }

    /// The keys of a range as they were at a revision, in order.
    pub(crate) fn range<'a>(
        &'a self,
        range: KeyRange<'a>,
        revision: i64,
    ) -> impl Iterator<Item = (&'a [u8], Found)> + 'a {
        let entries = range
            .bounds()
            .map(|bounds| self.keys.range::<[u8], _>(bounds));
        entries
            .into_iter()
            .flatten()
            .filter_map(move |(key, entry)| Some((&**key, entry.at(revision)?)))
    }

    /// Notes a change of a key.
    pub(crate) fn set(&mut self, key: &[u8], version: Version) {
        let was_live = match self.keys.get_mut(key) {
            Some(entry) => {
                let live = !entry.latest.deleted();
                entry.older.push(Stamp {
                    revision: entry.latest.revision,
                    deleted: entry.latest.deleted(),
                    size: entry.latest.size,
                });
                entry.latest = version;
                live
            }
            None => {
                let entry = Entry {
                    latest: version,
                    older: Vec::new(),
                };
                self.keys.insert(key.into(), entry);
                false
            }
        };
        match (was_live, !version.deleted()) {
            (false, true) => self.live += 1,
            (true, false) => self.live -= 1,
            _ => {}
        }
    }

    /// Keys that are there now.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Forgets what a compaction at `revision` makes unreadable, for at most
    /// `max` keys from `from` on. Calls `drop` for each record that goes; returns
    /// the key to go on with, `None` at the end.
    ///
    /// Kept: everything newer, and the last change at or before the revision -
    /// a deletion only if it happened at the very revision, for watchers that start there.
    pub(crate) fn sweep(
        &mut self,
        from: &[u8],
        revision: i64,
        max: usize,
        mut drop: impl FnMut(Revision, u32),
    ) -> Option<Box<[u8]>> {
        let mut gone: Vec<Box<[u8]>> = Vec::new();
        let bounds = (std::ops::Bound::Included(from), std::ops::Bound::Unbounded);
        let mut entries = self.keys.range_mut::<[u8], _>(bounds);
        for (key, entry) in entries.by_ref().take(max) {
            let latest_old = entry.latest.revision.main <= revision;
            let n = entry.older.partition_point(|s| s.revision.main <= revision);
            let removable = |s: &Stamp| s.deleted && s.revision.main < revision;
            let keep_from = if latest_old {
                n
            } else {
                match n.checked_sub(1).and_then(|last| entry.older.get(last)) {
                    Some(last) if !removable(last) => n - 1,
                    _ => n,
                }
            };
            for stamp in entry.older.drain(..keep_from) {
                drop(stamp.revision, stamp.size);
            }
            if latest_old && entry.latest.deleted() && entry.latest.revision.main < revision {
                drop(entry.latest.revision, entry.latest.size);
                gone.push(key.clone());
            }
        }
        let next = entries.next().map(|(key, _)| key.clone());
        for key in gone {
            self.keys.remove(&key);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(index: &mut Index, key: &[u8], main: i64) {
        let before = index.latest(key);
        let version = Version {
            revision: Revision { main, sub: 0 },
            create: before.map_or(main, |v| v.create),
            version: before.map_or(0, |v| v.version) + 1,
            lease: 0,
            size: 0,
        };
        index.set(key, version);
    }

    fn delete(index: &mut Index, key: &[u8], main: i64) {
        let version = Version {
            revision: Revision { main, sub: 0 },
            create: 0,
            version: 0,
            lease: 0,
            size: 0,
        };
        index.set(key, version);
    }

    fn seen(index: &Index, revision: i64) -> Option<i64> {
        index.at(b"k", revision).map(|f| f.revision().main)
    }

    fn history() -> Index {
        let mut index = Index::default();
        put(&mut index, b"k", 2);
        put(&mut index, b"k", 4);
        delete(&mut index, b"k", 6);
        put(&mut index, b"k", 8);
        index
    }

    #[test]
    fn every_past_revision_is_seen_as_it_was() {
        let index = history();
        let all: Vec<_> = (1..10).map(|r| seen(&index, r)).collect();
        assert_eq!(
            all,
            [
                None,
                Some(2),
                Some(2),
                Some(4),
                Some(4),
                None,
                None,
                Some(8),
                Some(8)
            ]
        );
        assert_eq!(index.live(), 1);
    }

    #[test]
    fn sweeping_keeps_what_is_readable_from_the_revision_on() {
        // compacted at -> records dropped
        let cases: &[(i64, &[i64])] = &[
            (1, &[]),
            (2, &[]),
            (3, &[]),
            (4, &[2]),
            (5, &[2]),
            (6, &[2, 4]),
            (7, &[2, 4, 6]),
            (8, &[2, 4, 6]),
            (9, &[2, 4, 6]),
        ];
        for (at, expected) in cases {
            let mut index = history();
            let before: Vec<_> = (*at..10).map(|r| seen(&index, r)).collect();
            let mut dropped = Vec::new();
            assert!(
                index
                    .sweep(b"", *at, 10, |r, _| dropped.push(r.main))
                    .is_none()
            );
            assert_eq!(dropped, *expected, "at {at}");
            assert_eq!(
                (*at..10).map(|r| seen(&index, r)).collect::<Vec<_>>(),
                before
            );
        }
    }

    #[test]
    fn a_deleted_key_disappears_only_after_its_deletion_is_compacted() {
        let mut index = Index::default();
        put(&mut index, b"k", 2);
        delete(&mut index, b"k", 3);
        let mut dropped = Vec::new();
        index.sweep(b"", 3, 10, |r, _| dropped.push(r.main));
        assert_eq!(dropped, [2]);
        index.sweep(b"", 4, 10, |r, _| dropped.push(r.main));
        assert_eq!(dropped, [2, 3]);
        assert!(index.keys.is_empty());
    }

    #[test]
    fn a_sweep_goes_on_where_it_stopped() {
        let mut index = Index::default();
        for key in [b"a", b"b", b"c"] {
            put(&mut index, key, 2);
            put(&mut index, key, 3);
        }
        let mut from: Box<[u8]> = Box::default();
        let mut dropped = 0;
        let mut slices = 0;
        while let Some(next) = index.sweep(&from, 3, 1, |_, _| dropped += 1) {
            (from, slices) = (next, slices + 1);
        }
        assert_eq!((dropped, slices), (3, 2));
    }
}
