//! Starting, stopping and hurting members.

use crate::client::Client;
use crate::limits::{EXIT_TIMEOUT, POLL, READY_TIMEOUT};
use crate::program::Program;
use kvorum_proto::etcdserverpb::MemberListRequest;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// One member: its flags, its directory, and its process while it runs.
pub struct Member {
    /// Its name, m1, m2, …
    pub name: String,
    /// Its loopback address.
    pub address: String,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// What it printed.
    pub log: PathBuf,
    program: Program,
    flags: Vec<String>,
    child: Option<Child>,
}

impl Member {
    /// `host:port` for clients.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}:2379", self.address)
    }

    /// `host:port` for peers and the admin API.
    #[must_use]
    pub fn peer_endpoint(&self) -> String {
        format!("{}:2380", self.address)
    }

    /// A client of this member.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&self.endpoint())
    }

    /// Starts its process.
    ///
    /// # Errors
    /// If the program cannot be run.
    pub fn start(&mut self) -> io::Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let child = Command::new(self.program.path())
            .args(&self.flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// Replaces a flag, for the next start.
    pub fn set_flag(&mut self, name: &str, value: &str) {
        let prefix = format!("--{name}=");
        self.flags.retain(|f| !f.starts_with(&prefix));
        self.flags.push(format!("{prefix}{value}"));
    }

    /// Removes a flag, for the next start.
    pub fn drop_flag(&mut self, name: &str) {
        let (bare, prefix) = (format!("--{name}"), format!("--{name}="));
        self.flags.retain(|f| *f != bare && !f.starts_with(&prefix));
    }

    fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            let id = i32::try_from(child.id()).unwrap_or(0);
            if id > 0 {
                let _ = kill(Pid::from_raw(id), signal);
            }
        }
    }

    /// kill -9, and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM; how it ended and how long that took.
    ///
    /// # Panics
    /// If it does not end in time.
    pub async fn terminate(&mut self) -> (ExitStatus, Duration) {
        let started = Instant::now();
        self.signal(Signal::SIGTERM);
        let status = self.exited(EXIT_TIMEOUT).await;
        (status, started.elapsed())
    }

    /// Stops its threads where they are.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets a paused one go on.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Waits until its process has ended by itself.
    ///
    /// # Panics
    /// If it has not within `limit`, or does not run.
    pub async fn exited(&mut self, limit: Duration) -> ExitStatus {
        let until = Instant::now() + limit;
        loop {
            let child = self.child.as_mut();
            let ended = child.and_then(|c| c.try_wait().ok().flatten());
            if let Some(status) = ended {
                self.child = None;
                return status;
            }
            assert!(
                Instant::now() < until,
                "{} still runs; it printed:\n{}",
                self.name,
                self.printed()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until it has printed these words.
    ///
    /// # Panics
    /// If it has not in time.
    pub async fn prints(&self, words: &str) {
        let until = Instant::now() + READY_TIMEOUT;
        while !self.printed().contains(words) {
            assert!(
                Instant::now() < until,
                "{} did not print {words:?}, but:\n{}",
                self.name,
                self.printed()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Everything it printed so far.
    #[must_use]
    pub fn printed(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A cluster; its processes end with it.
pub struct Cluster {
    /// The members, in order.
    pub members: Vec<Member>,
    directory: Option<tempfile::TempDir>,
}

static NEXT: AtomicU16 = AtomicU16::new(0);

/// An address block that no other cluster of this machine uses now: by process and count.
fn block() -> (u8, u8) {
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let mixed = (std::process::id() as u16).wrapping_mul(31).wrapping_add(n);
    let [a, b] = mixed.to_be_bytes();
    // 127.0 is left to everybody else.
    (a.max(1), b)
}

impl Cluster {
    /// Lays out `size` members without starting them; `flags` are added to each.
    ///
    /// # Panics
    /// If no directory can be made.
    #[must_use]
    pub fn lay_out(program: &Program, size: u8, flags: &[&str]) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("kvorum-processes-")
            .tempdir();
        let directory = directory.unwrap_or_else(|e| panic!("no temporary directory: {e}"));
        let (a, b) = block();
        let address = |i: u8| format!("127.{a}.{b}.{i}");
        let all: Vec<String> = (1..=size)
            .map(|i| format!("m{i}=http://{}:2380", address(i)))
            .collect();
        let member = |i: u8| {
            let (name, host) = (format!("m{i}"), address(i));
            let data_dir = directory.path().join(&name);
            let mut own = vec![
                format!("--name={name}"),
                format!("--data-dir={}", data_dir.display()),
                format!("--listen-client-urls=http://{host}:2379"),
                format!("--advertise-client-urls=http://{host}:2379"),
                format!("--listen-peer-urls=http://{host}:2380"),
                format!("--initial-advertise-peer-urls=http://{host}:2380"),
                format!("--listen-metrics-urls=http://{host}:2381"),
                format!("--initial-cluster={}", all.join(",")),
                "--initial-cluster-state=new".to_owned(),
            ];
            own.extend(flags.iter().map(|f| (*f).to_owned()));
            Member {
                log: directory.path().join(format!("{name}.log")),
                name,
                address: host,
                data_dir,
                program: program.clone(),
                flags: own,
                child: None,
            }
        };
        Self {
            members: (1..=size).map(member).collect(),
            directory: Some(directory),
        }
    }

    /// Starts a cluster and waits until it serves.
    ///
    /// # Panics
    /// If it does not in time.
    pub async fn start(program: &Program, size: u8, flags: &[&str]) -> Self {
        let mut cluster = Self::lay_out(program, size, flags);
        for member in &mut cluster.members {
            member
                .start()
                .unwrap_or_else(|e| panic!("{} does not start: {e}", program.name()));
        }
        cluster.wait_ready().await;
        cluster
    }

    /// Waits until every running member has taken part in a write.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn wait_ready(&self) {
        for member in self.members.iter().filter(|m| m.child.is_some()) {
            let client = member.client();
            let until = Instant::now() + READY_TIMEOUT;
            while let Err(status) = client.get("ready").await {
                assert!(
                    Instant::now() < until,
                    "{} does not serve: {status}; it printed:\n{}",
                    member.name,
                    member.printed()
                );
                tokio::time::sleep(POLL).await;
            }
        }
    }

    /// Waits until every member has said its name to the cluster: from then on it is
    /// known by its data directory.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn wait_registered(&self) {
        let until = Instant::now() + READY_TIMEOUT;
        let Some(first) = self.members.first() else {
            return;
        };
        loop {
            let request = MemberListRequest { linearizable: true };
            let listed = first.client().cluster().member_list(request).await;
            if listed.is_ok_and(|l| l.into_inner().members.iter().all(|m| !m.name.is_empty())) {
                return;
            }
            assert!(
                Instant::now() < until,
                "members do not register: {}",
                self.printed()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// `host:port` of every member.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(Member::endpoint).collect()
    }

    /// Waits for a leader among the running members; its place in the list.
    ///
    /// # Panics
    /// If there is none in time.
    pub async fn leader(&self) -> usize {
        let until = Instant::now() + READY_TIMEOUT;
        loop {
            for (i, member) in self.members.iter().enumerate() {
                if member.child.is_none() {
                    continue;
                }
                let status = member.client().status().await;
                if let Ok(status) = status
                    && status.leader != 0
                    && status.header.is_some_and(|h| h.member_id == status.leader)
                {
                    return i;
                }
            }
            assert!(Instant::now() < until, "no leader");
            tokio::time::sleep(POLL).await;
        }
    }

    /// CPU time that the running members have used so far.
    ///
    /// # Errors
    /// If the kernel's account of a process cannot be read.
    pub fn cpu(&self) -> io::Result<Duration> {
        let mut ticks = 0;
        for child in self.members.iter().filter_map(|m| m.child.as_ref()) {
            let text = std::fs::read_to_string(format!("/proc/{}/stat", child.id()))?;
            // The name in parentheses may hold spaces; the numbers follow it.
            let numbers = text.rsplit_once(')').map_or("", |(_, rest)| rest);
            let fields: Vec<u64> = numbers
                .split_whitespace()
                .skip(11)
                .take(2)
                .filter_map(|n| n.parse().ok())
                .collect();
            ticks += fields.iter().sum::<u64>();
        }
        // Linux counts in hundredths of a second for every program.
        Ok(Duration::from_millis(ticks * 10))
    }

    /// What every member printed, for a failure message.
    #[must_use]
    pub fn printed(&self) -> String {
        let one = |m: &Member| format!("--- {}\n{}", m.name, m.printed());
        self.members.iter().map(one).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(directory) = self.directory.take()
        {
            let kept = directory.keep();
            eprintln!(
                "the members' directories and logs are kept in {}",
                kept.display()
            );
        }
    }
}
