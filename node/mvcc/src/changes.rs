//! Changes by revision, for watchers: recent ones from memory, older ones from the records.

use crate::limits::{
    CATCH_UP_BYTES, CATCH_UP_REVISIONS, ENCODED_CHANGES_MAX, RECENT_BYTES_MAX, RECENT_CHANGES_MAX,
};
use crate::records::LazyView;
use crate::store::{Error, Store};
use crate::{Rejection, Revision};
use kvorum_proto::encoded::EncodedEvent;
use kvorum_proto::mvccpb::{Event, KeyValue, event::EventType};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

/// All that one revision changed, in order. Events carry no `prev_kv`.
#[derive(Debug)]
pub struct Change {
    /// The revision.
    pub revision: i64,
    /// Its events.
    pub events: Vec<Event>,
    /// Encoded by the first watcher that wants them, for all of them: without and with `prev_kv`.
    /// `None`: among the older ones, which are encoded for each who is behind and not kept.
    encoded: Mutex<Option<Encoded>>,
}

type Encoded = [Option<Arc<[EncodedEvent]>>; 2];

impl Change {
    pub(crate) fn new(revision: i64, events: Vec<Event>) -> Self {
        Self {
            revision,
            events,
            encoded: Mutex::new(Some(Encoded::default())),
        }
    }

    /// The events as they go to watchers. `with_prev_kv`: each with its key as it was just before, if it was
    /// there and its past is not compacted.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn encoded(&self, store: &Store, with_prev_kv: bool) -> Result<Arc<[EncodedEvent]>, Error> {
        let which = usize::from(with_prev_kv);
        let known = self.encoded.lock().as_ref().and_then(|e| e[which].clone());
        if let Some(known) = known {
            return Ok(known);
        }
        let encode = |event: &Event| {
            if !with_prev_kv {
                return Ok(EncodedEvent::new(event));
            }
            let key = event.kv.as_ref().map_or(&[][..], |kv| &kv.key);
            let prev_kv = store.before(key, self.revision)?;
            let event = event.clone();
            Ok(EncodedEvent::new(&Event { prev_kv, ..event }))
        };
        // Without the lock: two watchers may both do it, and neither keeps the other waiting for the disk.
        let made = self.events.iter().map(encode);
        let made: Arc<[EncodedEvent]> = made.collect::<Result<_, Error>>()?;
        if let Some(kept) = self.encoded.lock().as_mut() {
            kept[which] = Some(made.clone());
        }
        Ok(made)
    }

    /// Gives the memory back, for good; who wants them again encodes again.
    fn forget_encoded(&self) {
        *self.encoded.lock() = None;
    }

    #[cfg(test)]
    fn is_encoded(&self) -> bool {
        self.encoded.lock().iter().flatten().any(Option::is_some)
    }

    fn bytes(&self) -> usize {
        let kv = |e: &Event| {
            e.kv.as_ref()
                .map_or(0, |kv| kv.key.len() + kv.value.len() + 64)
        };
        self.events.iter().map(kv).sum()
    }
}

/// The event that a record stands for.
pub(crate) fn event(record: KeyValue) -> Event {
    let kind = if record.version == 0 {
        EventType::Delete
    } else {
        EventType::Put
    };
    Event {
        r#type: kind.into(),
        kv: Some(record),
        prev_kv: None,
    }
}

/// The newest changes without holes.
pub(crate) struct Recent {
    list: VecDeque<Arc<Change>>,
    bytes: usize,
    /// Changes of all later revisions are in the list.
    complete_after: i64,
}

impl Recent {
    pub(crate) fn new(revision: i64) -> Self {
        Self {
            list: VecDeque::new(),
            bytes: 0,
            complete_after: revision,
        }
    }

    pub(crate) fn push(&mut self, change: Change) {
        self.bytes += change.bytes();
        self.list.push_back(Arc::new(change));
        let old = self.list.len().checked_sub(ENCODED_CHANGES_MAX + 1);
        if let Some(old) = old.and_then(|place| self.list.get(place)) {
            old.forget_encoded();
        }
        while self.list.len() > RECENT_CHANGES_MAX || self.bytes > RECENT_BYTES_MAX {
            let Some(oldest) = self.list.pop_front() else {
                return;
            };
            self.bytes -= oldest.bytes();
            self.complete_after = oldest.revision;
        }
    }

    /// All changes of later revisions, if memory has them.
    pub(crate) fn after(
        &self,
        revision: i64,
    ) -> Option<impl ExactSizeIterator<Item = &Arc<Change>>> {
        if revision < self.complete_after {
            return None;
        }
        let at = self.list.partition_point(|c| c.revision <= revision);
        Some(self.list.range(at..))
    }

    /// Changes from `from` on, if memory has all of them.
    fn since(&self, from: i64) -> Option<Vec<Arc<Change>>> {
        let later = self.after(from - 1)?;
        let mut bytes = 0;
        let enough = |change: &&Arc<Change>| {
            let before = bytes;
            bytes += change.bytes();
            before < CATCH_UP_BYTES
        };
        Some(later.take_while(enough).cloned().collect())
    }
}

impl Store {
    /// Changes from revision `from` on, oldest first: some of them, at least one
    /// if there is any. Also the revision up to which nothing else happened:
    /// go on from the one after it.
    ///
    /// # Errors
    /// [`Rejection::Compacted`] if `from` lies below the compacted revision.
    pub fn changes(&self, from: i64) -> Result<(Vec<Arc<Change>>, i64), Error> {
        let state = self.state.read();
        let from = from.max(1);
        if from < state.compacted {
            return Err(Rejection::Compacted.into());
        }
        if from > state.revision {
            return Ok((Vec::new(), state.revision));
        }
        if let Some(list) = state.recent.since(from) {
            let upto = list.last().map_or(state.revision, |last| last.revision);
            return Ok((list, upto));
        }
        let mut view = LazyView::new(state.engine.clone());
        let mut list: Vec<Change> = Vec::new();
        let mut bytes = 0;
        let mut cut = false;
        let start = Revision { main: from, sub: 0 };
        state
            .records
            .scan(view.get()?, start, &mut |revision, record| {
                bytes += record.key.len() + record.value.len() + 64;
                let n = list.len();
                match list.last_mut() {
                    Some(last) if last.revision == revision.main => last.events.push(event(record)),
                    Some(_) if n >= CATCH_UP_REVISIONS || bytes > CATCH_UP_BYTES => {
                        cut = true;
                        return ControlFlow::Break(());
                    }
                    _ => list.push(Change::new(revision.main, vec![event(record)])),
                }
                ControlFlow::Continue(())
            })?;
        let upto = match list.last() {
            Some(last) if cut => last.revision,
            _ => state.revision,
        };
        Ok((list.into_iter().map(Arc::new).collect(), upto))
    }

    /// A key as it was just before `revision`; `None` if it was not there or that is compacted.
    ///
    /// # Errors
    /// If the disk fails.
    fn before(&self, key: &[u8], revision: i64) -> Result<Option<KeyValue>, Error> {
        let state = self.state.read();
        if revision - 1 < state.compacted {
            return Ok(None);
        }
        let Some(found) = state.index.at(key, revision - 1) else {
            return Ok(None);
        };
        let mut view = LazyView::new(state.engine.clone());
        Ok(Some(view.record(&state.records, found.revision())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::MemoryEngine;

    #[test]
    fn only_the_newest_changes_stay_encoded() {
        let store = Store::open(Arc::new(MemoryEngine::default())).unwrap();
        let mut recent = Recent::new(0);
        let newest = i64::try_from(ENCODED_CHANGES_MAX).unwrap() + 1;
        for revision in 1..=newest {
            recent.push(Change::new(revision, vec![event(KeyValue::default())]));
            for change in &recent.list {
                change.encoded(&store, false).unwrap();
            }
        }
        // The oldest one was wanted again after it was forgotten, as by a watcher that is behind.
        let kept = recent.list.iter().filter(|change| change.is_encoded());
        assert_eq!(kept.count(), ENCODED_CHANGES_MAX);
    }
}
