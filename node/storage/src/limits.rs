//! Every bound of this crate, in one place. Sizes in bytes.

/// Size of one write-ahead log segment; zero-filled when made, recycled after purge.
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// The writer thread gathers at most this much into one frame (one write, one fdatasync).
pub const GROUP_BYTES_MAX: usize = 4 << 20;

/// Requests that may wait for the writer thread; more block the caller.
pub const QUEUE_OPS_MAX: usize = 16 * 1024;

/// Payload bytes of recent entries kept in memory; older ones are read back from disk.
pub const TAIL_CACHE_BYTES: usize = 128 << 20;

/// Prepared empty segments kept ready, so that rotation never waits for zero-filling.
pub const SPARE_SEGMENTS: usize = 1;

/// Page cache of the engine.
pub const ENGINE_CACHE_BYTES: usize = 256 << 20;

/// Rewriting the engine leaves the disk to others for as long as each batch took, at most this.
pub const REWRITE_REST_MAX: std::time::Duration = std::time::Duration::from_millis(200);
