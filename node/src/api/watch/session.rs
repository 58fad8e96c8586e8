//! The watchers of one stream: what each has seen and what it gets next.
//!
//! Watchers pull: each has a cursor, and changes are read from the store from
//! there on. A slow client only holds its own cursor back; nothing queues up.

use crate::limits::WATCHERS_PER_STREAM_MAX;
use crate::member::RequestLimits;
use kvorum_mvcc::{Change, Error, KeyRange, Rejection, Store};
use kvorum_proto::encoded::{self, EncodedEvent};
use kvorum_proto::etcdserverpb::watch_create_request::FilterType;
use kvorum_proto::etcdserverpb::{WatchCreateRequest, WatchResponse};
use kvorum_proto::mvccpb::{Event, event::EventType};
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// The ID in answers that belong to no watcher.
const NO_WATCHER: i64 = -1;

struct Watcher {
    key: Vec<u8>,
    range_end: Vec<u8>,
    /// First revision not delivered yet.
    next: i64,
    prev_kv: bool,
    no_put: bool,
    no_delete: bool,
    fragment: bool,
    progress_notify: bool,
    last_sent: Instant,
    /// Told of progress at the next occasion.
    progress_due: bool,
}

impl Watcher {
    fn wants(&self, event: &Event) -> bool {
        let filtered = match event.r#type() {
            EventType::Put => self.no_put,
            EventType::Delete => self.no_delete,
        };
        let key = event.kv.as_ref().map(|kv| &kv.key[..]).unwrap_or_default();
        !filtered && self.range().contains(key)
    }

    fn range(&self) -> KeyRange<'_> {
        KeyRange::new(&self.key, &self.range_end)
    }
}

/// What one step gives: responses (each with its header's revision), and whether there is more.
pub(super) struct Step {
    pub(super) responses: Vec<(i64, encoded::WatchResponse)>,
    pub(super) more: bool,
}

/// All watchers of one stream.
pub(super) struct Session {
    watchers: BTreeMap<i64, Watcher>,
    next_id: i64,
    progress_asked: bool,
    limits: RequestLimits,
}

/// The answer to a watcher that cannot be.
pub(super) fn refused(reason: &str) -> WatchResponse {
    WatchResponse {
        watch_id: NO_WATCHER,
        created: true,
        canceled: true,
        cancel_reason: reason.to_owned(),
        ..WatchResponse::default()
    }
}

impl Session {
    pub(super) fn new(limits: RequestLimits) -> Self {
        Self {
            watchers: BTreeMap::new(),
            next_id: 0,
            progress_asked: false,
            limits,
        }
    }

    /// Adds a watcher; the answer goes out before any event of it.
    pub(super) fn create(&mut self, request: &WatchCreateRequest, revision: i64) -> WatchResponse {
        if request.start_revision < 0 {
            return refused("etcdserver: mvcc: required revision has been compacted");
        }
        let key = if request.key.is_empty() {
            vec![0]
        } else {
            request.key.to_vec()
        };
        let range_end = request.range_end.to_vec();
        if !range_end.is_empty() && range_end != [0] && key >= range_end {
            return refused("mvcc: watcher range is empty");
        }
        if self.watchers.len() >= WATCHERS_PER_STREAM_MAX {
            return refused("kvorum: too many watchers on one stream");
        }
        let id = if request.watch_id != 0 {
            if self.watchers.contains_key(&request.watch_id) {
                return refused("mvcc: duplicate watch ID provided on the WatchStream");
            }
            request.watch_id
        } else {
            while self.watchers.contains_key(&self.next_id) {
                self.next_id += 1;
            }
            self.next_id += 1;
            self.next_id - 1
        };
        let filters: Vec<FilterType> = request.filters().collect();
        let watcher = Watcher {
            key,
            range_end,
            next: if request.start_revision == 0 {
                revision + 1
            } else {
                request.start_revision
            },
            prev_kv: request.prev_kv,
            no_put: filters.contains(&FilterType::Noput),
            no_delete: filters.contains(&FilterType::Nodelete),
            fragment: request.fragment,
            progress_notify: request.progress_notify,
            last_sent: Instant::now(),
            progress_due: false,
        };
        self.watchers.insert(id, watcher);
        WatchResponse {
            watch_id: id,
            created: true,
            ..WatchResponse::default()
        }
    }

    /// Removes a watcher; no answer if there is none of that ID.
    pub(super) fn cancel(&mut self, id: i64) -> Option<WatchResponse> {
        self.watchers.remove(&id)?;
        Some(WatchResponse {
            watch_id: id,
            canceled: true,
            ..WatchResponse::default()
        })
    }

    /// Ends the watchers for whose range there is a reason to; their last answers.
    pub(super) fn end_where(
        &mut self,
        reason: impl Fn(KeyRange<'_>) -> Option<String>,
    ) -> Vec<WatchResponse> {
        let mut ended = Vec::new();
        self.watchers.retain(|id, watcher| {
            let Some(cancel_reason) = reason(watcher.range()) else {
                return true;
            };
            ended.push(WatchResponse {
                watch_id: *id,
                canceled: true,
                cancel_reason,
                ..WatchResponse::default()
            });
            false
        });
        ended
    }

    /// The client wants to hear once that everything up to now was delivered.
    pub(super) fn ask_progress(&mut self) {
        self.progress_asked = true;
    }

    /// Marks the watchers that heard nothing for the progress interval.
    pub(super) fn tick(&mut self, now: Instant) {
        for watcher in self.watchers.values_mut().filter(|w| w.progress_notify) {
            if now.duration_since(watcher.last_sent) >= self.limits.progress_interval {
                watcher.progress_due = true;
            }
        }
    }

    /// Delivers the next changes to the watchers that are furthest behind.
    pub(super) fn step(&mut self, store: &Store) -> Result<Step, Error> {
        let revision = store.revision();
        let behind = self
            .watchers
            .values()
            .map(|w| w.next)
            .filter(|n| *n <= revision)
            .min();
        let Some(from) = behind else {
            return Ok(Step {
                responses: plain(self.progress(revision)),
                more: false,
            });
        };
        let ids: Vec<i64> = self
            .watchers
            .iter()
            .filter(|(_, w)| w.next == from)
            .map(|(id, _)| *id)
            .collect();
        let (changes, upto) = match store.changes(from) {
            Ok(found) => found,
            Err(Error::Rejected(Rejection::Compacted)) => {
                let compacted = store.summary().compacted;
                let responses = ids
                    .into_iter()
                    .map(|id| (revision, self.compacted(id, compacted)));
                return Ok(Step {
                    responses: plain(responses.collect()),
                    more: true,
                });
            }
            Err(error) => return Err(error),
        };
        let mut responses = Vec::new();
        for id in ids {
            self.deliver(id, &changes, upto, store, &mut responses)?;
        }
        Ok(Step {
            responses,
            more: true,
        })
    }

    fn compacted(&mut self, id: i64, compacted: i64) -> WatchResponse {
        self.watchers.remove(&id);
        WatchResponse {
            watch_id: id,
            canceled: true,
            compact_revision: compacted,
            ..WatchResponse::default()
        }
    }

    fn deliver(
        &mut self,
        id: i64,
        changes: &[Arc<Change>],
        upto: i64,
        store: &Store,
        responses: &mut Vec<(i64, encoded::WatchResponse)>,
    ) -> Result<(), Error> {
        let Some(watcher) = self.watchers.get_mut(&id) else {
            return Ok(());
        };
        let mut events = Vec::new();
        for change in changes {
            // Encoded only if one is wanted: most changes are not for most watchers.
            let mut encoded = None;
            let wanted = |(_, event): &(usize, &Event)| watcher.wants(event);
            for (place, _) in change.events.iter().enumerate().filter(wanted) {
                let encoded = match &encoded {
                    Some(encoded) => encoded,
                    None => encoded.insert(change.encoded(store, watcher.prev_kv)?),
                };
                events.extend(encoded.get(place).cloned());
            }
        }
        watcher.next = upto + 1;
        if events.is_empty() {
            return Ok(());
        }
        watcher.last_sent = Instant::now();
        let head = WatchResponse {
            watch_id: id,
            ..WatchResponse::default()
        };
        let whole = encoded::WatchResponse { head, events };
        if watcher.fragment && whole.encoded_len() > self.limits.bytes {
            responses.extend(fragments(whole, self.limits.bytes).map(|part| (upto, part)));
        } else {
            responses.push((upto, whole));
        }
        Ok(())
    }

    /// Progress notes, once every watcher has seen everything up to `revision`.
    fn progress(&mut self, revision: i64) -> Vec<(i64, WatchResponse)> {
        let mut notes = Vec::new();
        for (id, watcher) in &mut self.watchers {
            if std::mem::take(&mut watcher.progress_due) && watcher.next == revision + 1 {
                watcher.last_sent = Instant::now();
                notes.push((revision, progress_note(*id)));
            }
        }
        // A watcher of the future has nothing to be told of yet.
        let all_here = self.watchers.values().all(|w| w.next == revision + 1);
        if self.progress_asked && all_here && !self.watchers.is_empty() {
            self.progress_asked = false;
            notes.push((revision, progress_note(NO_WATCHER)));
        }
        notes
    }
}

fn progress_note(id: i64) -> WatchResponse {
    WatchResponse {
        watch_id: id,
        ..WatchResponse::default()
    }
}

/// Those that are for one watcher only: nothing to share.
fn plain(responses: Vec<(i64, WatchResponse)>) -> Vec<(i64, encoded::WatchResponse)> {
    let encoded = responses.into_iter().map(|(at, plain)| (at, plain.into()));
    encoded.collect()
}

/// Cuts a response into parts of about `max` bytes; all but the last are marked.
fn fragments(
    whole: encoded::WatchResponse,
    max: usize,
) -> impl Iterator<Item = encoded::WatchResponse> {
    let mut parts: Vec<Vec<EncodedEvent>> = vec![Vec::new()];
    let mut bytes = 0;
    for event in whole.events {
        let len = event.encoded_len();
        if bytes + len > max
            && let Some(part) = parts.last()
            && !part.is_empty()
        {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += len;
        if let Some(part) = parts.last_mut() {
            part.push(event);
        }
    }
    let last = parts.len() - 1;
    let part = move |(i, events)| encoded::WatchResponse {
        head: WatchResponse {
            fragment: i < last,
            ..whole.head.clone()
        },
        events,
    };
    parts.into_iter().enumerate().map(part)
}
