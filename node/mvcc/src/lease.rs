//! Leases: which keys each one holds. Deadlines are the leader's business, not the state's.

use std::collections::{BTreeMap, BTreeSet};

/// One lease.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) ttl: i64,
    /// How often its time began again.
    pub(crate) renewals: u64,
    pub(crate) keys: BTreeSet<Box<[u8]>>,
}

/// A lease as others may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseView {
    /// Lease ID.
    pub id: i64,
    /// Granted time to live, in seconds.
    pub ttl: i64,
    /// Keys attached to it, sorted.
    pub keys: Vec<Vec<u8>>,
}

/// What the clock needs to know of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTime {
    /// Lease ID.
    pub id: i64,
    /// Granted time to live, in seconds.
    pub ttl: i64,
    /// How often its time began again.
    pub renewals: u64,
}

/// All leases.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    by_id: BTreeMap<i64, Lease>,
}

impl Leases {
    pub(crate) fn contains(&self, id: i64) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(crate) fn grant(&mut self, id: i64, ttl: i64, renewals: u64) {
        let lease = self.by_id.entry(id).or_default();
        lease.ttl = ttl;
        lease.renewals = renewals;
    }

    /// Lets its time begin again; its TTL and how often that was.
    pub(crate) fn renew(&mut self, id: i64) -> Option<(i64, u64)> {
        let lease = self.by_id.get_mut(&id)?;
        lease.renewals += 1;
        Some((lease.ttl, lease.renewals))
    }

    pub(crate) fn renewals(&self, id: i64) -> Option<u64> {
        self.by_id.get(&id).map(|lease| lease.renewals)
    }

    pub(crate) fn revoke(&mut self, id: i64) -> Option<Lease> {
        self.by_id.remove(&id)
    }

    /// Moves a key from one lease to another; 0 is none.
    pub(crate) fn attach(&mut self, key: &[u8], from: i64, to: i64) {
        if from == to {
            return;
        }
        if let Some(lease) = self.by_id.get_mut(&from) {
            lease.keys.remove(key);
        }
        if let Some(lease) = self.by_id.get_mut(&to) {
            lease.keys.insert(key.into());
        }
    }

    pub(crate) fn view(&self, id: i64, with_keys: bool) -> Option<LeaseView> {
        let lease = self.by_id.get(&id)?;
        let keys = if with_keys {
            lease.keys.iter().map(|k| k.to_vec()).collect()
        } else {
            Vec::new()
        };
        Some(LeaseView {
            id,
            ttl: lease.ttl,
            keys,
        })
    }

    /// Keys of a lease; none if it is not there.
    pub(crate) fn keys(&self, id: i64) -> impl Iterator<Item = &[u8]> {
        let lease = self.by_id.get(&id);
        lease.into_iter().flat_map(|l| &l.keys).map(|k| &**k)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// All of them, by ID.
    pub(crate) fn list(&self) -> Vec<LeaseTime> {
        let one = |(id, lease): (&i64, &Lease)| LeaseTime {
            id: *id,
            ttl: lease.ttl,
            renewals: lease.renewals,
        };
        self.by_id.iter().map(one).collect()
    }
}
