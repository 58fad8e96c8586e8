//! Writers that remember what was acknowledged, to be compared with what is read back.

use crate::client::Client;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// What the writers saw.
#[derive(Debug, Default)]
struct Seen {
    acknowledged: BTreeMap<String, String>,
    failed: u64,
    last: Option<Instant>,
    longest_gap: Duration,
}

/// Writers at work.
pub struct Load {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<()>>,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Every acknowledged key with its value.
    pub acknowledged: BTreeMap<String, String>,
    /// Requests that failed (their effect is unknown).
    pub failed: u64,
    /// Longest time between two acknowledged writes.
    pub longest_gap: Duration,
}

impl Load {
    /// Starts `writers` writers, each with its own keys, each trying the endpoints in turn.
    #[must_use]
    pub fn start(endpoints: &[String], writers: usize) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let spawn = |w: usize| {
            let (endpoints, seen, stop) = (endpoints.to_vec(), seen.clone(), stop.clone());
            tokio::spawn(write(w, endpoints, seen, stop))
        };
        Self {
            writers: (0..writers).map(spawn).collect(),
            seen,
            stop,
        }
    }

    /// How many writes were acknowledged so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.seen.lock().map_or(0, |s| s.acknowledged.len())
    }

    /// Waits until `n` more writes were acknowledged.
    ///
    /// # Panics
    /// If that takes longer than `limit`.
    pub async fn more(&self, n: usize, limit: Duration) {
        let (goal, until) = (self.count() + n, Instant::now() + limit);
        while self.count() < goal {
            assert!(
                Instant::now() < until,
                "only {} of {goal} writes",
                self.count()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends the writers.
    pub async fn stop(self) -> Outcome {
        self.stop.store(true, Ordering::SeqCst);
        for writer in self.writers {
            let _ = writer.await;
        }
        let mut seen = self
            .seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        Outcome {
            acknowledged: std::mem::take(&mut seen.acknowledged),
            failed: seen.failed,
            longest_gap: seen.longest_gap,
        }
    }
}

async fn write(w: usize, endpoints: Vec<String>, seen: Arc<Mutex<Seen>>, stop: Arc<AtomicBool>) {
    let clients: Vec<Client> = endpoints.iter().map(|e| Client::new(e)).collect();
    let mut at = w;
    let mut n = 0_u64;
    while !stop.load(Ordering::SeqCst) {
        let Some(client) = clients.get(at % clients.len()) else {
            return;
        };
        let (key, value) = (format!("load/{w:03}/{n:08}"), format!("value-{w}-{n}"));
        n += 1;
        let attempt = tokio::time::timeout(Duration::from_secs(2), client.put(&key, &value)).await;
        let worked = matches!(attempt, Ok(Ok(_)));
        note(&seen, worked, key, value);
        if !worked {
            at += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn note(seen: &Mutex<Seen>, worked: bool, key: String, value: String) {
    let mut seen = seen
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if !worked {
        seen.failed += 1;
        return;
    }
    let now = Instant::now();
    let gap = seen.last.map_or(Duration::ZERO, |last| now - last);
    seen.longest_gap = seen.longest_gap.max(gap);
    seen.last = Some(now);
    seen.acknowledged.insert(key, value);
}

impl Outcome {
    /// Reads every acknowledged write back through the quorum.
    ///
    /// # Panics
    /// If one is missing or different.
    pub async fn verify(&self, client: &Client) {
        let mut found = BTreeMap::new();
        let response = client.range("load/", "load0").await;
        let response = response.unwrap_or_else(|e| panic!("reading back failed: {e}"));
        for kv in response.kvs {
            let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
            found.insert(text(&kv.key), text(&kv.value));
        }
        let lost: Vec<_> = self
            .acknowledged
            .iter()
            .filter(|(key, value)| found.get(*key) != Some(value))
            .map(|(key, _)| key)
            .collect();
        assert!(
            lost.is_empty(),
            "{} of {} acknowledged writes are lost: {:?}",
            lost.len(),
            self.acknowledged.len(),
            &lost[..lost.len().min(10)]
        );
    }
}
