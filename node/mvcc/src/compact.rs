//! Removing what a compaction made unreadable, slice by slice beside everything else.

use crate::limits::{RECORD_OVERHEAD, SWEEP_KEYS};
use crate::store::Store;

/// How far a sweep has come.
#[derive(Debug, Clone, Default)]
pub struct Sweep {
    next: Box<[u8]>,
    target: i64,
}

impl Store {
    /// Does one slice of the outstanding removal. Returns `false` when nothing is left to do.
    pub fn sweep(&self, progress: &mut Sweep) -> bool {
        let mut guard = self.state.write();
        let state = &mut *guard;
        if progress.target == 0 {
            if state.swept >= state.compacted {
                return false;
            }
            *progress = Sweep {
                next: Box::default(),
                target: state.compacted,
            };
        }
        let (records, live_bytes) = (&mut state.records, &mut state.live_bytes);
        let next = state.index.sweep(
            &progress.next,
            progress.target,
            SWEEP_KEYS,
            |revision, size| {
                *live_bytes -= i64::from(size) + RECORD_OVERHEAD;
                records.remove(revision);
            },
        );
        state.dirty = true;
        match next {
            Some(next) => progress.next = next,
            None => {
                state.swept = progress.target;
                *progress = Sweep::default();
            }
        }
        true
    }
}
