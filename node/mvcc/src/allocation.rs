//! IDs for new members: given out once, in rising order, and never again.

use crate::Rejection;
use crate::limits::ALLOCATIONS_KEPT;
use kvorum_proto::log::{AllocateMember, AllocatedMember, StoreMeta};
use std::collections::VecDeque;

/// What was given out so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Allocations {
    highest: u64,
    last: VecDeque<AllocatedMember>,
}

impl Allocations {
    /// As a durable point holds them.
    pub(crate) fn load(meta: &StoreMeta) -> Self {
        Self {
            highest: meta.highest_member,
            last: meta.allocated.iter().cloned().collect(),
        }
    }

    /// For a durable point.
    pub(crate) fn save(&self, meta: &mut StoreMeta) {
        meta.highest_member = self.highest;
        meta.allocated = self.last.iter().cloned().collect();
    }

    /// The ID for a key: the one it got before, or the next above all that `known` and
    /// the command name.
    pub(crate) fn allocate(
        &mut self,
        request: AllocateMember,
        known: u64,
    ) -> Result<u64, Rejection> {
        if let Some(before) = self.last.iter().find(|a| a.key == request.key) {
            return Ok(before.id);
        }
        let taken = self.highest.max(request.above).max(known);
        let id = taken.checked_add(1).ok_or(Rejection::NoMemberId)?;
        self.highest = id;
        self.last.push_back(AllocatedMember {
            key: request.key,
            id,
        });
        if self.last.len() > ALLOCATIONS_KEPT {
            self.last.pop_front();
        }
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(allocations: &mut Allocations, key: &str, above: u64) -> Result<u64, Rejection> {
        let request = AllocateMember {
            key: key.to_owned(),
            above,
        };
        allocations.allocate(request, 0)
    }

    #[test]
    fn ids_rise_and_a_key_keeps_its_own() {
        let mut a = Allocations::default();
        assert_eq!(ask(&mut a, "a", 3), Ok(4));
        assert_eq!(ask(&mut a, "b", 3), Ok(5));
        assert_eq!(ask(&mut a, "a", 90), Ok(4), "the same key again");
        assert_eq!(ask(&mut a, "c", 90), Ok(91));
        assert_eq!(ask(&mut a, "d", 0), Ok(92));
    }

    #[test]
    fn old_keys_are_forgotten_but_never_their_ids() {
        let mut a = Allocations::default();
        for n in 0..=ALLOCATIONS_KEPT {
            assert_eq!(ask(&mut a, &n.to_string(), 0), Ok(n as u64 + 1));
        }
        assert_eq!(ask(&mut a, "1", 0), Ok(2), "still remembered");
        let next = ALLOCATIONS_KEPT as u64 + 2;
        assert_eq!(ask(&mut a, "0", 0), Ok(next), "forgotten: a new one");
    }

    #[test]
    fn the_last_id_is_not_passed() {
        let mut a = Allocations::default();
        assert_eq!(ask(&mut a, "a", u64::MAX), Err(Rejection::NoMemberId));
        assert_eq!(ask(&mut a, "a", 1), Ok(2), "a refusal changes nothing");
    }

    #[test]
    fn a_durable_point_holds_them() {
        let mut a = Allocations::default();
        ask(&mut a, "a", 7).unwrap();
        let mut meta = StoreMeta::default();
        a.save(&mut meta);
        assert_eq!(Allocations::load(&meta), a);
        assert_eq!(
            Allocations::load(&StoreMeta::default()),
            Allocations::default()
        );
    }
}
