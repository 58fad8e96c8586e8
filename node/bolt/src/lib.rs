//! The bbolt file format: written once, from sorted input, and read as a whole.
//!
//! What etcd's tools take and give as a snapshot is such a file. This is not a
//! database: there are no updates, no transactions, no free pages. Only top-level
//! buckets are known, as etcd has no others.

mod format;
mod read;
mod write;

pub use read::Reader;
pub use write::{Add, Writer};
