//! How many keys of a range are there, without a walk over all of them.
//!
//! Neighbouring keys of the index form districts, and of each it is known how many of its keys
//! are there. A range is the sum of the districts inside it and a walk over what is left at
//! its two ends: a page of a list says how many keys the whole list has, and must not go
//! through it for that.

use crate::limits::DISTRICT_KEYS_MAX;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Neighbouring keys, counted together.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct District {
    /// In the index, deleted ones too: what a walk over it goes through.
    keys: usize,
    /// Of them, those that are there.
    live: usize,
}

/// The districts inside a range.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Inside<'a> {
    /// Where the first of them begins.
    pub(crate) first: &'a [u8],
    /// Where the last of them ends; `None`: with the last key.
    pub(crate) end: Option<&'a [u8]>,
    /// Keys that are there, in all of them.
    pub(crate) live: usize,
}

/// All districts.
#[derive(Debug)]
pub(crate) struct Census {
    /// By their first possible key; the first one begins with the empty key.
    districts: BTreeMap<Box<[u8]>, District>,
    /// Keys that are there, in all districts.
    live: usize,
}

impl Default for Census {
    fn default() -> Self {
        Self {
            districts: BTreeMap::from([(Box::default(), District::default())]),
            live: 0,
        }
    }
}

impl Census {
    /// A key came into the index, and is not there yet.
    /// Returns where its district begins if that has become too large: it wants to be divided.
    pub(crate) fn add(&mut self, key: &[u8]) -> Option<Box<[u8]>> {
        let (start, district) = self.of(key)?;
        district.keys += 1;
        (district.keys > DISTRICT_KEYS_MAX).then(|| start.into())
    }

    /// A key of the index is there from now on.
    pub(crate) fn revive(&mut self, key: &[u8]) {
        self.live += 1;
        if let Some((_, district)) = self.of(key) {
            district.live += 1;
        }
    }

    /// A key is there no more, but still in the index.
    pub(crate) fn bury(&mut self, key: &[u8]) {
        self.live -= 1;
        if let Some((_, district)) = self.of(key) {
            district.live -= 1;
        }
    }

    /// A buried key leaves the index.
    pub(crate) fn remove(&mut self, key: &[u8]) {
        let Some((start, district)) = self.of(key) else {
            return;
        };
        district.keys -= 1;
        if start.is_empty() || district.keys > DISTRICT_KEYS_MAX / 4 {
            return;
        }
        let (start, small): (Box<[u8]>, District) = (start.into(), *district);
        let before = (Bound::Unbounded, Bound::Excluded(&*start));
        if let Some((_, before)) = self.districts.range_mut::<[u8], _>(before).next_back()
            && before.keys + small.keys <= DISTRICT_KEYS_MAX / 2
        {
            before.keys += small.keys;
            before.live += small.live;
            self.districts.remove(&start);
        }
    }

    /// Divides the district that begins at `start`: its first `keys` keys, of which `live` are
    /// there, stay; the others form one that begins at `middle`.
    pub(crate) fn divide(&mut self, start: &[u8], keys: usize, live: usize, middle: &[u8]) {
        let Some(district) = self.districts.get_mut(start) else {
            return;
        };
        let upper = District {
            keys: district.keys - keys,
            live: district.live - live,
        };
        *district = District { keys, live };
        self.districts.insert(middle.into(), upper);
    }

    /// The districts that lie inside a range as a whole; `None`: not one.
    pub(crate) fn inside<'a>(&'a self, from: &[u8], end: Option<&'a [u8]>) -> Option<Inside<'a>> {
        let from = (Bound::Included(from), Bound::Unbounded);
        let (first, _) = self.districts.range::<[u8], _>(from).next()?;
        let end = match end {
            None => None,
            Some(end) => {
                let upto = (Bound::Unbounded, Bound::Included(end));
                Some(&**self.districts.range::<[u8], _>(upto).next_back()?.0)
            }
        };
        if end.is_some_and(|end| end <= &**first) {
            return None;
        }
        let whole = (
            Bound::Included(&**first),
            end.map_or(Bound::Unbounded, Bound::Excluded),
        );
        let live = self
            .districts
            .range::<[u8], _>(whole)
            .map(|(_, d)| d.live)
            .sum();
        Some(Inside { first, end, live })
    }

    /// Keys that are there.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    fn of(&mut self, key: &[u8]) -> Option<(&[u8], &mut District)> {
        let upto = (Bound::Unbounded, Bound::Included(key));
        let (start, district) = self.districts.range_mut::<[u8], _>(upto).next_back()?;
        Some((start, district))
    }

    #[cfg(test)]
    pub(crate) fn districts(&self) -> usize {
        self.districts.len()
    }
}
