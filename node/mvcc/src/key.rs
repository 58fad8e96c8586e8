//! Positions, revisions and key ranges.

use std::ops::Bound;

/// A position in the replicated log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// Raft term.
    pub term: u64,
    /// Raft index.
    pub index: u64,
}

/// When a key changed: the revision, and the place within its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Revision {
    /// etcd's revision.
    pub main: i64,
    /// Place among the changes of one revision, from 0.
    pub sub: i64,
}

impl Revision {
    /// Sorts as the revisions do.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        let mut out = [0; 16];
        out[..8].copy_from_slice(&self.main.to_be_bytes());
        out[8..].copy_from_slice(&self.sub.to_be_bytes());
        out
    }

    /// The inverse of [`Revision::to_bytes`]; `None` for any other length.
    #[must_use]
    pub fn from_bytes(data: &[u8]) -> Option<Self> {
        let (main, sub) = data.split_at_checked(8)?;
        Some(Self {
            main: i64::from_be_bytes(main.try_into().ok()?),
            sub: i64::from_be_bytes(sub.try_into().ok()?),
        })
    }
}

/// Both ends, as sorted maps take them.
type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// Which keys a request means, in etcd's notation made explicit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRange<'a> {
    /// The one key.
    One(&'a [u8]),
    /// From the first to just before the second.
    Span(&'a [u8], &'a [u8]),
    /// All keys from this one on.
    From(&'a [u8]),
}

impl<'a> KeyRange<'a> {
    /// From a request's `key` and `range_end`.
    #[must_use]
    pub fn new(key: &'a [u8], range_end: &'a [u8]) -> Self {
        match range_end {
            [] => Self::One(key),
            [0] => Self::From(key),
            end => Self::Span(key, end),
        }
    }

    /// Whether the key lies in the range.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        match *self {
            Self::One(one) => key == one,
            Self::Span(from, end) => from <= key && key < end,
            Self::From(from) => from <= key,
        }
    }

    /// Bounds for a sorted map; `None` for a range that holds nothing.
    pub(crate) fn bounds(&self) -> Option<Bounds<'a>> {
        match *self {
            Self::One(one) => Some((Bound::Included(one), Bound::Included(one))),
            Self::Span(from, end) if from < end => {
                Some((Bound::Included(from), Bound::Excluded(end)))
            }
            Self::Span(..) => None,
            Self::From(from) => Some((Bound::Included(from), Bound::Unbounded)),
        }
    }

    /// Whether two ranges share a key.
    pub(crate) fn overlaps(&self, other: &KeyRange<'_>) -> bool {
        let (a_from, a_end) = self.ends();
        let (b_from, b_end) = other.ends();
        let starts_before =
            |from: &[u8], end: &Option<Vec<u8>>| end.as_deref().is_none_or(|end| from < end);
        starts_before(a_from, &b_end) && starts_before(b_from, &a_end)
    }

    /// First key, and the exclusive end (`None`: no end).
    fn ends(&self) -> (&'a [u8], Option<Vec<u8>>) {
        match *self {
            Self::One(one) => {
                let mut end = one.to_vec();
                end.push(0);
                (one, Some(end))
            }
            Self::Span(from, end) => (from, Some(end.to_vec())),
            Self::From(from) => (from, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_etcds_notation() {
        assert_eq!(KeyRange::new(b"a", b""), KeyRange::One(b"a"));
        assert_eq!(KeyRange::new(b"a", b"\0"), KeyRange::From(b"a"));
        assert_eq!(KeyRange::new(b"a", b"c"), KeyRange::Span(b"a", b"c"));
        assert!(
            KeyRange::new(b"a", b"c").contains(b"b") && !KeyRange::new(b"a", b"c").contains(b"c")
        );
        assert!(KeyRange::new(b"c", b"a").bounds().is_none());
    }

    #[test]
    fn overlap_is_symmetric_and_exact() {
        let cases: &[(KeyRange<'_>, KeyRange<'_>, bool)] = &[
            (KeyRange::One(b"a"), KeyRange::One(b"a"), true),
            (KeyRange::One(b"a"), KeyRange::One(b"b"), false),
            (KeyRange::One(b"b"), KeyRange::Span(b"a", b"b"), false),
            (KeyRange::One(b"b"), KeyRange::Span(b"a", b"c"), true),
            (KeyRange::From(b"b"), KeyRange::Span(b"a", b"b"), false),
            (KeyRange::From(b"b"), KeyRange::One(b"z"), true),
            (KeyRange::Span(b"a", b"c"), KeyRange::Span(b"b", b"d"), true),
        ];
        for (a, b, expected) in cases {
            assert_eq!(a.overlaps(b), *expected, "{a:?} {b:?}");
            assert_eq!(b.overlaps(a), *expected, "{b:?} {a:?}");
        }
    }

    #[test]
    fn revisions_sort_as_bytes() {
        let list = [(1, 0), (1, 1), (2, 0), (256, 3)].map(|(main, sub)| Revision { main, sub });
        assert!(list.windows(2).all(|w| w[0].to_bytes() < w[1].to_bytes()));
        assert_eq!(Revision::from_bytes(&list[3].to_bytes()), Some(list[3]));
        assert_eq!(Revision::from_bytes(b"short"), None);
    }
}
