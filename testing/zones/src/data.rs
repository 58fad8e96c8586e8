//! A client that writes to whichever member answers, and remembers every write that was acknowledged.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kvorum_processes::Client;

use crate::cluster::Cluster;
use crate::limits::REQUEST;
use crate::world::until;

/// A client of one cluster.
pub struct Writer {
    endpoints: Vec<String>,
    /// Index of the member that answered last.
    current: usize,
    client: Option<Client>,
    written: u32,
    last: Instant,
    /// The longest time between two acknowledged writes.
    pub gap: Duration,
}

impl Writer {
    /// A client that knows all members' own addresses, as they are now.
    ///
    /// # Errors
    /// When there is no testbed to reach them through.
    pub async fn new(cluster: &Cluster<'_>) -> Result<Self> {
        let testbed = cluster
            .space
            .world
            .testbed
            .clone()
            .context("data is reached through a testbed")?;
        let mut endpoints = Vec::new();
        for pod in cluster.pods().await? {
            let address = pod
                .status
                .and_then(|status| status.pod_ip)
                .context("a pod has no address")?;
            let address = SocketAddr::new(address.parse::<IpAddr>()?, 2379);
            endpoints.push(testbed.forward(address)?.to_string());
        }
        Ok(Self {
            endpoints,
            current: 0,
            client: None,
            written: 0,
            last: Instant::now(),
            gap: Duration::ZERO,
        })
    }

    /// Takes over what another client of the same cluster has written.
    pub fn continue_from(&mut self, other: &Self) {
        self.written = other.written;
    }

    /// How many writes were acknowledged.
    #[must_use]
    pub fn written(&self) -> u32 {
        self.written
    }

    /// Writes the next number under its own key, at whichever member acknowledges it.
    ///
    /// # Errors
    /// When none does in time.
    pub async fn write(&mut self, deadline: Duration) -> Result<()> {
        let started = Instant::now();
        let key = format!("number/{:08}", self.written);
        loop {
            let problem = match self.attempt(&key).await {
                Ok(()) => break,
                Err(problem) => problem,
            };
            self.client = None;
            self.current = (self.current + 1) % self.endpoints.len();
            if started.elapsed() > deadline {
                bail!("no write was acknowledged within {deadline:?}: {problem:#}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.written += 1;
        self.gap = self.gap.max(self.last.elapsed());
        self.last = Instant::now();
        Ok(())
    }

    /// Writes this many.
    ///
    /// # Errors
    /// When one is not acknowledged in time.
    pub async fn write_many(&mut self, count: u32, deadline: Duration) -> Result<()> {
        self.last = Instant::now();
        for _ in 0..count {
            self.write(deadline).await?;
        }
        Ok(())
    }

    async fn attempt(&mut self, key: &str) -> Result<()> {
        let value = self.written.to_string();
        let endpoint = &self.endpoints[self.current];
        let client = self.client.get_or_insert_with(|| Client::new(endpoint));
        tokio::time::timeout(REQUEST, client.put(key, &value)).await??;
        Ok(())
    }

    /// Reads everything back through quorum and compares: no acknowledged write may be missing.
    ///
    /// # Errors
    /// When one is, or when nobody answers in time.
    pub async fn check(&mut self, deadline: Duration) -> Result<()> {
        let endpoints = self.endpoints.clone();
        let found = until("a read of everything", deadline, || {
            self.client = None;
            self.current = (self.current + 1) % endpoints.len();
            let endpoint = endpoints[self.current].clone();
            async move {
                Ok(read_all(&endpoint)
                    .await
                    .map_err(|error| format!("{error:#}")))
            }
        })
        .await?;
        for number in 0..self.written {
            let pair = (format!("number/{number:08}"), number.to_string());
            ensure!(
                found.contains(&pair),
                "acknowledged write {number} of {} is lost",
                self.written
            );
        }
        Ok(())
    }
}

async fn read_all(endpoint: &str) -> Result<std::collections::HashSet<(String, String)>> {
    let client = Client::new(endpoint);
    let all = tokio::time::timeout(5 * REQUEST, client.range("number/", "number0")).await??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pairs = all.kvs.iter();
    Ok(pairs.map(|kv| (text(&kv.key), text(&kv.value))).collect())
}
