//! Which keys there are and when each changed: all of it in memory.

use crate::census::Census;
use crate::limits::DISTRICT_KEYS_MAX;
use crate::{KeyRange, Revision};
use std::collections::BTreeMap;
use std::ops::Bound;

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
    census: Census,
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
        let mut grown = None;
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
                grown = self.census.add(key);
                false
            }
        };
        match (was_live, !version.deleted()) {
            (false, true) => self.census.revive(key),
            (true, false) => self.census.bury(key),
            _ => {}
        }
        if let Some(start) = grown {
            self.divide(&start);
        }
    }

    /// Divides a district that has become too large.
    fn divide(&mut self, start: &[u8]) {
        let half = DISTRICT_KEYS_MAX / 2;
        let mut live = 0;
        let from = (Bound::Included(start), Bound::Unbounded);
        for (n, (key, entry)) in self.keys.range::<[u8], _>(from).enumerate() {
            if n == half {
                self.census.divide(start, half, live, key);
                return;
            }
            live += usize::from(!entry.latest.deleted());
        }
    }

    /// How many keys of a range are there now.
    pub(crate) fn count(&self, range: KeyRange<'_>) -> usize {
        let (from, end) = match range {
            KeyRange::One(key) => return usize::from(self.latest(key).is_some()),
            KeyRange::Span(from, end) => (from, Some(end)),
            KeyRange::From(from) => (from, None),
        };
        let Some(inside) = self.census.inside(from, end) else {
            return self.walk(from, end);
        };
        let rest = inside.end.map_or(0, |last| self.walk(last, end));
        self.walk(from, Some(inside.first)) + inside.live + rest
    }

    fn walk(&self, from: &[u8], end: Option<&[u8]>) -> usize {
        let range = end.map_or(KeyRange::From(from), |end| KeyRange::Span(from, end));
        self.range(range, i64::MAX).count()
    }

    /// Keys that are there now.
    pub(crate) fn live(&self) -> usize {
        self.census.live()
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
            self.census.remove(&key);
        }
        next
    }
}

#[cfg(test)]
mod tests;
