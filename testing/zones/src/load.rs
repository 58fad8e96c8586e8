//! Clients that write without pause through everything that is done to a cluster, and remember every write
//! that was acknowledged. They know the members' own addresses and learn new ones, as clients are told to.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kvorum_processes::Client;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cluster::Cluster;
use crate::limits::{ATTEMPT, ENDPOINTS_REFRESH, FAILOVER, POLL, REQUEST, WRITE_PAUSE, WRITERS};
use crate::world::{World, until};

/// Writers under way.
pub struct Load {
    stop: watch::Sender<bool>,
    writers: Vec<JoinHandle<u32>>,
    refresher: JoinHandle<()>,
    endpoints: Endpoints,
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
        let world = cluster.space.world.clone();
        let place = (cluster.space.name.clone(), cluster.name.clone());
        let mut forwards = Forwards::default();
        let found = forwards.refresh(&world, &place).await?;
        let endpoints: Endpoints = Arc::new(Mutex::new(found));
        let kept = Arc::clone(&endpoints);
        let refresher = tokio::spawn(async move {
            loop {
                tokio::time::sleep(ENDPOINTS_REFRESH).await;
                // The API server may be down: what is known stays.
                if let Ok(found) = forwards.refresh(&world, &place).await {
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
        let writers = (0..WRITERS)
            .map(|number| {
                let writer = Writer {
                    number,
                    endpoints: Arc::clone(&endpoints),
                    seen: Arc::clone(&seen),
                    stopped: stopped.clone(),
                };
                tokio::spawn(writer.run())
            })
            .collect();
        let load = Self {
            stop,
            writers,
            refresher,
            endpoints,
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

    /// Ends, reads everything back through quorum, and compares; gives the number of acknowledged writes.
    ///
    /// # Errors
    /// When an acknowledged write is missing, or nobody answers in time.
    pub async fn check(self) -> Result<u64> {
        self.stop.send_replace(true);
        let mut acknowledged = Vec::new();
        for writer in self.writers {
            acknowledged.push(writer.await.context("a writer has panicked")?);
        }
        self.refresher.abort();
        let endpoints = self.endpoints.lock().clone();
        let mut turn = 0;
        let found = until("a read of everything", FAILOVER, || {
            turn = (turn + 1) % endpoints.len();
            let client = Client::new(&endpoints[turn]);
            async move {
                let all = tokio::time::timeout(5 * REQUEST, client.range("load/", "load0"));
                Ok(match all.await {
                    Ok(Ok(all)) => Ok(all),
                    other => Err(format!("{other:?}")),
                })
            }
        })
        .await?;
        let found: HashSet<Vec<u8>> = found.kvs.into_iter().map(|kv| kv.key.to_vec()).collect();
        let mut total = 0;
        for (number, count) in acknowledged.into_iter().enumerate() {
            for write in 0..count {
                let key = key(number, write);
                ensure!(
                    found.contains(key.as_bytes()),
                    "acknowledged write {key} is lost"
                );
            }
            total += u64::from(count);
        }
        Ok(total)
    }
}

fn key(writer: usize, write: u32) -> String {
    format!("load/{writer}/{write:08}")
}

/// Ways to the members from this process: one for each address, for as long as the process lives.
#[derive(Default)]
struct Forwards(BTreeMap<SocketAddr, String>);

impl Forwards {
    async fn refresh(&mut self, world: &World, place: &(String, String)) -> Result<Vec<String>> {
        let testbed = world
            .testbed
            .clone()
            .context("members are reached through a testbed")?;
        let pods = kube::Api::<k8s_openapi::api::core::v1::Pod>::namespaced(
            world.client.clone(),
            &place.0,
        );
        let selected =
            kube::api::ListParams::default().labels(&format!("kvorum.dev/cluster={}", place.1));
        let listed = tokio::time::timeout(REQUEST, pods.list(&selected)).await??;
        let mut endpoints = Vec::new();
        for pod in listed.items {
            let going = pod.metadata.deletion_timestamp.is_some();
            let address = pod.status.and_then(|status| status.pod_ip);
            let Some(address) = address.filter(|_| !going) else {
                continue;
            };
            let address = SocketAddr::new(address.parse::<IpAddr>()?, 2379);
            let forward = match self.0.entry(address) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(new) => new.insert(testbed.forward(address)?.to_string()).clone(),
            };
            endpoints.push(forward);
        }
        ensure!(!endpoints.is_empty(), "no pod has an address");
        Ok(endpoints)
    }
}

struct Writer {
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
            let key = key(self.number, done);
            let put = client.put(&key, "written");
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
