//! What watchers were told, and what etcd promises of it. Pure, but for the watcher itself.

use super::{Entry, KEYS, key};
use crate::limits::{LIMIT, POLL, WATCH_SILENCE};
use kvorum_processes::Client;
use kvorum_proto::etcdserverpb::watch_request::RequestUnion;
use kvorum_proto::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use kvorum_proto::mvccpb;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tonic::Status;

/// One change of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// At which revision.
    pub revision: i64,
    /// Of which key.
    pub key: usize,
    /// To which value; `None`: deleted.
    pub value: Option<String>,
    /// The key as it is now; of a deleted one nothing but the revision counts.
    pub entry: Entry,
    /// The key as it was before.
    pub previous: Option<Entry>,
}

/// The events of each response, in order.
pub type Batches = Vec<Vec<Event>>;

fn entry(kv: &mvccpb::KeyValue) -> Entry {
    Entry {
        value: String::from_utf8_lossy(&kv.value).into_owned(),
        create: kv.create_revision,
        modified: kv.mod_revision,
        version: kv.version,
    }
}

fn event(event: &mvccpb::Event) -> Option<Event> {
    let kv = event.kv.as_ref()?;
    let name = String::from_utf8_lossy(&kv.key).into_owned();
    let put = event.r#type() == mvccpb::event::EventType::Put;
    Some(Event {
        revision: kv.mod_revision,
        key: (0..KEYS).find(|n| key(*n) == name)?,
        value: put.then(|| entry(kv).value),
        entry: entry(kv),
        previous: event.prev_kv.as_ref().map(entry),
    })
}

/// Watches all keys from revision 1, going on at the next member whenever one is silent or
/// fails, until it has seen revision `last` of `upto`, or is told to stop without one.
pub struct Watcher {
    /// Members, tried in turn.
    pub clients: Vec<Client>,
    /// Which first.
    pub first: usize,
    /// What was told so far.
    pub batches: Batches,
    /// How often it had to go on elsewhere.
    pub resumed: u64,
}

impl Watcher {
    /// With nothing seen yet.
    #[must_use]
    pub fn new(clients: Vec<Client>, first: usize) -> Self {
        Self {
            clients,
            first,
            batches: Vec::new(),
            resumed: 0,
        }
    }

    /// Last revision seen.
    #[must_use]
    pub fn seen(&self) -> i64 {
        let last = self.batches.last().and_then(|batch| batch.last());
        last.map_or(1, |event| event.revision)
    }

    /// Watches until told to stop.
    pub async fn until_told(mut self, stop: Arc<AtomicBool>) -> Self {
        while !stop.load(Ordering::SeqCst) {
            let told = || stop.load(Ordering::SeqCst);
            let _ = self.watch(&told).await;
            self.resumed += 1;
            tokio::time::sleep(POLL).await;
        }
        self
    }

    /// Watches until it has seen this revision.
    ///
    /// # Panics
    /// If it does not in time.
    pub async fn up_to(mut self, revision: i64) -> Self {
        let end = Instant::now() + LIMIT;
        while self.seen() < revision {
            let seen = self.seen();
            assert!(Instant::now() < end, "watched only to {seen} of {revision}");
            let _ = self.watch(&|| false).await;
            self.resumed += 1;
            tokio::time::sleep(POLL).await;
        }
        self
    }

    /// One stream, from behind what was seen, until it fails, is silent or is not wanted.
    async fn watch(&mut self, unwanted: &(dyn Fn() -> bool + Sync)) -> Result<(), Status> {
        let at = self.first + usize::try_from(self.resumed).unwrap_or(0);
        let Some(client) = self.clients.get(at % self.clients.len()) else {
            return Ok(());
        };
        let create = WatchCreateRequest {
            key: "k/".into(),
            range_end: "k0".into(),
            start_revision: self.seen() + 1,
            prev_kv: true,
            ..WatchCreateRequest::default()
        };
        let request = WatchRequest {
            request_union: Some(RequestUnion::CreateRequest(create)),
        };
        let silent = |_| Status::deadline_exceeded("silent");
        // Never ends: the stream lives until it is dropped.
        let requests =
            futures::StreamExt::chain(futures::stream::iter([request]), futures::stream::pending());
        let mut watch = client.watch();
        let opening = tokio::time::timeout(WATCH_SILENCE, watch.watch(requests));
        let mut responses = opening.await.map_err(silent)??.into_inner();
        while !unwanted() {
            let next = tokio::time::timeout(WATCH_SILENCE, responses.message());
            let Some(response) = next.await.map_err(silent)?? else {
                return Ok(());
            };
            if response.canceled {
                return Ok(());
            }
            self.take(&response);
        }
        Ok(())
    }

    fn take(&mut self, response: &WatchResponse) {
        let events: Vec<Event> = response.events.iter().filter_map(event).collect();
        if !events.is_empty() {
            self.batches.push(events);
        }
    }
}

/// What etcd promises of every stream: in order, each change once, and all changes of one
/// revision together.
///
/// # Errors
/// The first broken promise.
pub fn ordered_unique_atomic(batches: &Batches) -> Result<(), String> {
    let mut last = 0;
    for batch in batches {
        let first = batch.first().map_or(0, |event| event.revision);
        if first <= last {
            return Err(format!("revision {first} came after {last} had been told"));
        }
        for pair in batch.windows(2) {
            let [one, two] = pair else { continue };
            if two.revision < one.revision {
                return Err(format!("{} came after {}", two.revision, one.revision));
            }
        }
        for (i, event) in batch.iter().enumerate() {
            let again = |e: &Event| (e.revision, e.key) == (event.revision, event.key);
            if batch.iter().skip(i + 1).any(again) {
                return Err(format!("{event:?} came twice"));
            }
        }
        last = batch.last().map_or(last, |event| event.revision);
    }
    Ok(())
}

/// Whether the changes are a whole history: no revision is missing from 2 on, and each event's
/// previous state is what the one before left.
///
/// # Errors
/// What is missing or wrong.
pub fn whole(changes: &[Event], last: i64) -> Result<(), String> {
    let mut state: BTreeMap<usize, Entry> = BTreeMap::new();
    let mut reached = 1;
    for event in changes {
        if event.revision != reached && event.revision != reached + 1 {
            return Err(format!("revision {} follows {reached}", event.revision));
        }
        reached = event.revision;
        let before = state.remove(&event.key);
        if event.previous != before {
            return Err(format!("before {event:?} there was {before:?}"));
        }
        if event.value.is_some() {
            let (create, version) = before.map_or((reached, 1), |b| (b.create, b.version + 1));
            let entry = &event.entry;
            if (entry.create, entry.modified, entry.version) != (create, reached, version) {
                return Err(format!(
                    "{event:?} should be version {version} since {create}"
                ));
            }
            state.insert(event.key, entry.clone());
        }
    }
    if reached < last {
        return Err(format!(
            "the changes end at {reached}, the store is at {last}"
        ));
    }
    Ok(())
}

/// Whether a watcher was told everything up to where it came, as it was.
///
/// # Errors
/// The first difference.
pub fn complete(batches: &Batches, changes: &[Event]) -> Result<(), String> {
    let told = batches.iter().flatten();
    for (i, (told, change)) in told.zip(changes).enumerate() {
        if told != change {
            return Err(format!("event {i} was {change:?}, told was {told:?}"));
        }
    }
    if batches.iter().flatten().count() > changes.len() {
        return Err("more was told than there was".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(revision: i64, key: usize, create: i64, version: i64, previous: Option<Entry>) -> Event {
        let value = format!("v{revision}-{key}");
        Event {
            revision,
            key,
            value: Some(value.clone()),
            entry: Entry {
                value,
                create,
                modified: revision,
                version,
            },
            previous,
        }
    }

    fn history() -> Vec<Event> {
        let one = put(2, 0, 2, 1, None);
        let two = put(3, 0, 2, 2, Some(one.entry.clone()));
        let other = put(3, 1, 3, 1, None);
        let gone = Event {
            revision: 4,
            key: 0,
            previous: Some(two.entry.clone()),
            ..Event::default()
        };
        vec![one, two, other, gone]
    }

    #[test]
    fn a_good_history_keeps_all_promises() {
        let all = history();
        let batches = vec![all[..1].to_vec(), all[1..3].to_vec(), all[3..].to_vec()];
        assert_eq!(ordered_unique_atomic(&batches), Ok(()));
        assert_eq!(whole(&all, 4), Ok(()));
        assert_eq!(complete(&batches, &all), Ok(()));
    }

    #[test]
    fn every_broken_promise_is_found() {
        let all = history();
        let split = vec![all[..2].to_vec(), all[2..].to_vec()];
        let twice = vec![vec![all[0].clone(), all[0].clone()]];
        let backwards = vec![vec![all[1].clone(), all[0].clone()]];
        let streams = [split, twice, backwards].map(|b| ordered_unique_atomic(&b).is_err());
        assert_eq!(streams, [true; 3]);
        let mut wrong_before = history();
        wrong_before[1].previous = None;
        let mut wrong_version = history();
        wrong_version[1].entry.version = 1;
        let gap = [&history()[..1], &history()[3..]].concat();
        let histories = [wrong_before, wrong_version, gap, history()[..3].to_vec()];
        assert_eq!(histories.map(|h| whole(&h, 4).is_err()), [true; 4]);
        let missing = vec![all[..1].to_vec(), all[3..].to_vec()];
        assert!(complete(&missing, &all).is_err());
        assert!(complete(&vec![all.clone()], &all[..3]).is_err());
    }
}
