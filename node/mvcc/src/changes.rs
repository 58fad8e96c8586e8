//! Changes by revision, for watchers: recent ones from memory, older ones from the records.

use crate::limits::{CATCH_UP_BYTES, CATCH_UP_REVISIONS, RECENT_BYTES_MAX, RECENT_CHANGES_MAX};
use crate::records::LazyView;
use crate::store::{Error, Store};
use crate::{Rejection, Revision};
use kvorum_proto::mvccpb::{Event, KeyValue, event::EventType};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

/// All that one revision changed, in order. Events carry no `prev_kv`.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The revision.
    pub revision: i64,
    /// Its events.
    pub events: Vec<Event>,
    /// What the keys were before, in the events' order: looked up once, by the first
    /// watcher that wants it, for all of them.
    before: OnceLock<Vec<Option<KeyValue>>>,
}

impl Change {
    pub(crate) fn new(revision: i64, events: Vec<Event>) -> Self {
        Self {
            revision,
            events,
            before: OnceLock::new(),
        }
    }

    /// What the keys of the events were just before, in the events' order; `None` for
    /// those that were not there or whose past is compacted.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn before(&self, store: &Store) -> Result<&[Option<KeyValue>], Error> {
        if let Some(known) = self.before.get() {
            return Ok(known);
        }
        let before = |event: &Event| {
            let key = event.kv.as_ref().map_or(&[][..], |kv| &kv.key);
            store.before(key, self.revision)
        };
        let found: Vec<_> = self.events.iter().map(before).collect::<Result<_, _>>()?;
        Ok(self.before.get_or_init(|| found))
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
        while self.list.len() > RECENT_CHANGES_MAX || self.bytes > RECENT_BYTES_MAX {
            let Some(oldest) = self.list.pop_front() else {
                return;
            };
            self.bytes -= oldest.bytes();
            self.complete_after = oldest.revision;
        }
    }

    /// Changes from `from` on, if memory has all of them.
    fn since(&self, from: i64) -> Option<Vec<Arc<Change>>> {
        if from <= self.complete_after {
            return None;
        }
        let at = self.list.partition_point(|c| c.revision < from);
        let mut bytes = 0;
        let enough = |change: &&Arc<Change>| {
            let before = bytes;
            bytes += change.bytes();
            before < CATCH_UP_BYTES
        };
        Some(self.list.range(at..).take_while(enough).cloned().collect())
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
