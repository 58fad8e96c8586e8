//! Key ranges merged into a few that do not touch.

use crate::KeyRange;

/// From a key to before another; `None`: no end.
type Span = (Vec<u8>, Option<Vec<u8>>);

/// What several ranges cover together. Sorted, with gaps between.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Spans {
    spans: Vec<Span>,
}

impl Spans {
    /// Merges ranges, given as requests give them.
    pub(super) fn new<'a>(ranges: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut all: Vec<Span> = ranges
            .map(|(key, end)| ends(KeyRange::new(key, end)))
            .collect();
        all.sort();
        let mut spans: Vec<Span> = Vec::with_capacity(all.len());
        for (from, end) in all {
            if end.as_ref().is_some_and(|end| *end <= from) {
                continue;
            }
            match spans.last_mut() {
                Some((_, last)) if last.as_ref().is_none_or(|last| from <= *last) => {
                    // No end is the greatest.
                    if let Some(known) = last
                        && end.as_ref().is_none_or(|end| end > known)
                    {
                        *last = end;
                    }
                }
                _ => spans.push((from, end)),
            }
        }
        Self { spans }
    }

    /// Whether every key of the range is covered; of a range without keys, where it begins.
    pub(super) fn cover(&self, range: KeyRange<'_>) -> bool {
        let (from, end) = ends(range);
        let after = self.spans.partition_point(|(start, _)| *start <= from);
        let Some((_, last)) = after.checked_sub(1).and_then(|i| self.spans.get(i)) else {
            return false;
        };
        match (last, end) {
            (None, _) => true,
            (Some(last), Some(end)) => from < *last && end <= *last,
            (Some(_), None) => false,
        }
    }
}

/// First key and exclusive end.
fn ends(range: KeyRange<'_>) -> Span {
    match range {
        KeyRange::One(key) => {
            let mut end = key.to_vec();
            end.push(0);
            (key.to_vec(), Some(end))
        }
        KeyRange::Span(from, end) => (from.to_vec(), Some(end.to_vec())),
        KeyRange::From(from) => (from.to_vec(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(list: &[(&str, &str)]) -> Spans {
        Spans::new(list.iter().map(|(k, e)| (k.as_bytes(), e.as_bytes())))
    }

    #[test]
    fn touching_ranges_are_one() {
        let merged = spans(&[
            ("c", "f"),
            ("a", "c"),
            ("b", "d"),
            ("x", ""),
            ("x\0", "z"),
            ("q", "p"),
        ]);
        assert_eq!(merged, spans(&[("a", "f"), ("x", "z")]));
        assert_eq!(merged.spans.len(), 2);
        assert!(merged.cover(KeyRange::Span(b"a", b"f")));
        assert!(!merged.cover(KeyRange::Span(b"a", b"g")));
        assert!(!merged.cover(KeyRange::Span(b"e", b"y")));
        assert!(merged.cover(KeyRange::One(b"x")) && !merged.cover(KeyRange::One(b"z")));
        assert!(!merged.cover(KeyRange::From(b"x")));
    }

    #[test]
    fn no_end_is_the_greatest() {
        let merged = spans(&[("b", "\0"), ("c", "d"), ("a", "")]);
        assert_eq!(merged.spans.len(), 2);
        assert!(merged.cover(KeyRange::From(b"c")) && merged.cover(KeyRange::Span(b"b", b"z")));
        assert!(!merged.cover(KeyRange::Span(b"a", b"z")));
        assert!(!Spans::default().cover(KeyRange::One(b"a")));
    }

    #[test]
    fn a_range_without_keys_is_judged_by_its_beginning() {
        let merged = spans(&[("b", "d")]);
        assert!(merged.cover(KeyRange::Span(b"c", b"b")));
        assert!(!merged.cover(KeyRange::Span(b"d", b"c")));
        assert!(!merged.cover(KeyRange::Span(b"z", b"y")));
    }
}
