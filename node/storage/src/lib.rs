//! What a member keeps on its disk: the write-ahead log, the engine under the
//! state machine, and the member's identity.
//!
//! Everything goes through the small file-system trait in [`disk`], so that
//! tests can cut the power between any two writes.

pub mod disk;
pub mod engine;
pub mod identity;
pub mod limits;
pub mod wal;
