//! Rows of the small tables: where each stands and what it holds. One place, so that
//! what is written while running and what is taken over from elsewhere is alike.

use crate::engine::{Row, Table};
use kvorum_proto::log::{AlarmRow, LeaseRow};
use prost::Message;

fn lease_key(id: i64) -> Vec<u8> {
    id.to_be_bytes().to_vec()
}

/// A lease.
#[must_use]
pub fn lease(id: i64, ttl: i64, renewals: u64) -> Row {
    let row = LeaseRow { id, ttl, renewals };
    (Table::Lease, lease_key(id), Some(row.encode_to_vec()))
}

/// A lease that is gone.
pub(crate) fn no_lease(id: i64) -> Row {
    (Table::Lease, lease_key(id), None)
}

/// An alarm, raised or cleared.
#[must_use]
pub fn alarm(member_id: u64, alarm: i32, raised: bool) -> Row {
    let row = AlarmRow { member_id, alarm };
    let mut key = member_id.to_be_bytes().to_vec();
    key.extend(alarm.to_be_bytes());
    (Table::Alarm, key, raised.then(|| row.encode_to_vec()))
}
