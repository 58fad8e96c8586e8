//! Every bound of this crate, in one place.

/// Recent changes kept in memory for watchers: at most this many revisions …
pub const RECENT_CHANGES_MAX: usize = 8192;
/// … and about this many bytes of keys and values.
pub const RECENT_BYTES_MAX: usize = 32 << 20;
/// … and of these, so many newest are kept encoded as well, with what the keys were before.
pub const ENCODED_CHANGES_MAX: usize = 128;

/// Changes read from the engine for one watcher at a time, in bytes (one whole revision at least).
pub const CATCH_UP_BYTES: usize = 1 << 20;
/// … and in revisions.
pub const CATCH_UP_REVISIONS: usize = 1000;

/// Keys looked at in one slice of a compaction's removal, under the lock.
pub const SWEEP_KEYS: usize = 1000;

/// Keys of the index that are counted together: a count walks over no more than two times as many.
pub const DISTRICT_KEYS_MAX: usize = if cfg!(test) { 8 } else { 512 };

/// Keys that one lease may hold are bounded by the quota only; TTLs by this (etcd's bound), in seconds.
pub const LEASE_TTL_MAX: i64 = 9_000_000_000;

/// What a record takes beside its key and value, for the quota: index and row overhead.
pub const RECORD_OVERHEAD: i64 = 128;

/// Keys of member IDs given out that are remembered, so that asking again gives the same ID.
pub const ALLOCATIONS_KEPT: usize = 64;

/// One batch of a copy of the whole engine has about this many bytes …
pub const COPY_BYTES: usize = 4 << 20;
/// … and at most so many records.
pub const COPY_RECORDS: usize = 10_000;
