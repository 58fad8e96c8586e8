//! Writers that remember what was acknowledged, to be compared with what is read back.

use crate::client::Client;
use crate::limits::WRITE_TIMEOUT;
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
    prefix: String,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// What the keys begin with.
    prefix: String,
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
        let clients = || endpoints.iter().map(|e| Client::new(e)).collect();
        Self::start_with(
            (0..writers).map(|_| clients()).collect(),
            "load/",
            Duration::ZERO,
        )
    }

    /// Starts one writer for each set of clients. Its keys begin with `prefix`, and it
    /// pauses between writes.
    #[must_use]
    pub fn start_with(writers: Vec<Vec<Client>>, prefix: &str, pause: Duration) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let spawn = |(w, clients): (usize, Vec<Client>)| {
            let writer = Writer {
                at: w,
                clients,
                prefix: format!("{prefix}{w:03}/"),
                pause,
                seen: seen.clone(),
                stop: stop.clone(),
            };
            tokio::spawn(writer.run())
        };
        Self {
            writers: writers.into_iter().enumerate().map(spawn).collect(),
            prefix: prefix.to_owned(),
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
            prefix: self.prefix,
            acknowledged: std::mem::take(&mut seen.acknowledged),
            failed: seen.failed,
            longest_gap: seen.longest_gap,
        }
    }
}

struct Writer {
    at: usize,
    clients: Vec<Client>,
    prefix: String,
    pause: Duration,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
}

impl Writer {
    async fn run(mut self) {
        let mut n = 0_u64;
        while !self.stop.load(Ordering::SeqCst) {
            let Some(client) = self.clients.get(self.at % self.clients.len()) else {
                return;
            };
            let (key, value) = (format!("{}{n:08}", self.prefix), format!("value-{n}"));
            n += 1;
            let attempt = tokio::time::timeout(WRITE_TIMEOUT, client.put(&key, &value)).await;
            let worked = matches!(attempt, Ok(Ok(_)));
            note(&self.seen, worked, key, value);
            if !worked {
                self.at += 1;
            }
            let least = Duration::from_millis(if worked { 0 } else { 10 });
            let pause = self.pause.max(least);
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
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
        // The prefixes end with '/', and '0' is the character behind that.
        let end = format!("{}0", self.prefix.trim_end_matches('/'));
        let response = client.range(&self.prefix, &end).await;
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
