//! Clients that write without pause through everything that is done to a cluster, and remember every write
//! that was acknowledged. They know the members' own addresses and learn new ones, as clients are told to.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kvorum_processes::Client;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cluster::Cluster;
use crate::limits::{ATTEMPT, ENDPOINTS_REFRESH, FAILOVER, POLL, REQUEST, WRITE_PAUSE, WRITERS};
use crate::served::Served;
use crate::world::until;

/// Writers under way.
pub struct Load {
    /// Tells its keys from those of an earlier load.
    run: u32,
    stop: watch::Sender<bool>,
    writers: Vec<JoinHandle<u32>>,
    refresher: JoinHandle<()>,
    served: Served,
    seen: Arc<Mutex<Seen>>,
}

type Endpoints = Arc<Mutex<Vec<String>>>;

struct Seen {
    acknowledged: u64,
    last: Instant,
    gap: Duration,
}

impl Seen {
    fn acknowledge(&mut self) {
        self.acknowledged += 1;
        self.gap = self.gap.max(self.last.elapsed());
        self.last = Instant::now();
    }
}

impl Load {
    /// Starts writing, and returns once writes are acknowledged.
    ///
    /// # Errors
    /// When none is in time, or there is no testbed to reach members through.
    pub async fn start(cluster: &Cluster<'_>) -> Result<Self> {
        Self::on(cluster.served()).await
    }

    /// The same for whatever serves the etcd API.
    ///
    /// # Errors
    /// When no write is acknowledged in time, or there is no testbed to reach members through.
    pub async fn on(served: Served) -> Result<Self> {
        let found = served.endpoints().await?;
        let endpoints: Endpoints = Arc::new(Mutex::new(found));
        let (kept, known) = (Arc::clone(&endpoints), served.clone());
        let refresher = tokio::spawn(async move {
            loop {
                tokio::time::sleep(ENDPOINTS_REFRESH).await;
                // The API server may be down: what is known stays.
                if let Ok(found) = known.endpoints().await {
                    *kept.lock() = found;
                }
            }
        });
        let seen = Arc::new(Mutex::new(Seen {
            acknowledged: 0,
            last: Instant::now(),
            gap: Duration::ZERO,
        }));
        let (stop, stopped) = watch::channel(false);
        let run = rand::random();
        let writers = (0..WRITERS)
            .map(|number| {
                let writer = Writer {
                    run,
                    number,
                    endpoints: Arc::clone(&endpoints),
                    seen: Arc::clone(&seen),
                    stopped: stopped.clone(),
                };
                tokio::spawn(writer.run())
            })
            .collect();
        let load = Self {
            run,
            stop,
            writers,
            refresher,
            served,
            seen,
        };
        load.more(100).await?;
        Ok(load)
    }

    /// Waits for so many more acknowledged writes.
    ///
    /// # Errors
    /// When they do not come in time.
    pub async fn more(&self, writes: u64) -> Result<()> {
        let goal = self.seen.lock().acknowledged + writes;
        until("more acknowledged writes", FAILOVER, || async {
            let done = self.seen.lock().acknowledged;
            Ok(if done >= goal {
                Ok(())
            } else {
                Err(format!("{done} of {goal}"))
            })
        })
        .await
    }

    /// The longest time without an acknowledged write since it was asked for last.
    #[must_use]
    pub fn gap(&self) -> Duration {
        let mut seen = self.seen.lock();
        let gap = seen.gap.max(seen.last.elapsed());
        seen.gap = Duration::ZERO;
        drop(seen);
        gap
    }

    /// Ends, and gives what was written, to be read back now or later.
    ///
    /// # Errors
    /// When a writer has panicked.
    pub async fn stop(self) -> Result<Written> {
        self.stop.send_replace(true);
        let mut counts = Vec::new();
        for writer in self.writers {
            counts.push(writer.await.context("a writer has panicked")?);
        }
        self.refresher.abort();
        Ok(Written {
            run: self.run,
            counts,
            served: self.served,
        })
    }

    /// Ends, reads everything back through quorum, and compares; gives the number of acknowledged writes.
    ///
    /// # Errors
    /// When an acknowledged write is missing, or nobody answers in time.
    pub async fn check(self) -> Result<u64> {
        self.stop().await?.check().await
    }
}

/// The acknowledged writes of a load that has ended.
pub struct Written {
    run: u32,
    /// How many each writer has.
    counts: Vec<u32>,
    served: Served,
}

impl Written {
    /// Reads everything back through quorum, and compares; gives the number of acknowledged writes.
    ///
    /// # Errors
    /// When one is missing, or nobody answers in time.
    pub async fn check(&self) -> Result<u64> {
        let tally = self.read_back().await?;
        ensure!(
            tally.lost.is_empty(),
            "{} of {} acknowledged writes are lost: {:?}",
            tally.lost.len(),
            tally.acknowledged,
            tally.lost
        );
        Ok(tally.acknowledged)
    }

    /// Reads everything back through quorum, and says what is missing.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub async fn read_back(&self) -> Result<Tally> {
        let prefix = format!("load/{:08x}", self.run);
        let turn = AtomicUsize::new(0);
        let found = until("a read of everything", FAILOVER, || async {
            let endpoints = self.served.endpoints().await?;
            let turn = turn.fetch_add(1, Ordering::Relaxed);
            let client = Client::new(&endpoints[turn % endpoints.len()]);
            let (first, end) = (format!("{prefix}/"), format!("{prefix}0"));
            let all = tokio::time::timeout(5 * REQUEST, client.range(&first, &end));
            Ok(all.await?.map_err(|status| status.to_string()))
        })
        .await?;
        // Each was written with its key as its value.
        let whole = found.kvs.into_iter().filter(|kv| kv.key == kv.value);
        let found: HashSet<Vec<u8>> = whole.map(|kv| kv.key.to_vec()).collect();
        let mut tally = Tally::default();
        for (number, count) in self.counts.iter().enumerate() {
            for key in (0..*count).map(|write| key(self.run, number, write)) {
                tally.acknowledged += 1;
                if !found.contains(key.as_bytes()) {
                    tally.lost.push(key);
                }
            }
        }
        Ok(tally)
    }
}

/// What a load wrote, and what of it was found again.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many writes were acknowledged.
    pub acknowledged: u64,
    /// The keys of those that cannot be read any more.
    pub lost: Vec<String>,
}

fn key(run: u32, writer: usize, write: u32) -> String {
    format!("load/{run:08x}/{writer}/{write:08}")
}

struct Writer {
    run: u32,
    number: usize,
    endpoints: Endpoints,
    seen: Arc<Mutex<Seen>>,
    stopped: watch::Receiver<bool>,
}

impl Writer {
    /// Writes number after number, each until it is acknowledged; gives how many were.
    async fn run(self) -> u32 {
        let mut clients: BTreeMap<String, Client> = BTreeMap::new();
        let (mut done, mut turn) = (0, self.number);
        while !*self.stopped.borrow() {
            let endpoint = {
                let endpoints = self.endpoints.lock();
                endpoints[turn % endpoints.len()].clone()
            };
            let client = clients
                .entry(endpoint.clone())
                .or_insert_with(|| Client::new(&endpoint));
            let key = key(self.run, self.number, done);
            let put = client.put(&key, &key);
            if matches!(tokio::time::timeout(ATTEMPT, put).await, Ok(Ok(_))) {
                done += 1;
                self.seen.lock().acknowledge();
                tokio::time::sleep(WRITE_PAUSE).await;
            } else {
                clients.remove(&endpoint);
                turn += 1;
                tokio::time::sleep(POLL / 10).await;
            }
        }
        done
    }
}
