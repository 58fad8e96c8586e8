//! A cluster of members: laying it out, starting it, asking it who leads.

use crate::limits::{POLL, READY_TIMEOUT};
use crate::member::Member;
use crate::place::Place;
use crate::program::Program;
use kvorum_proto::etcdserverpb::{MemberListRequest, MoveLeaderRequest};
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

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
    /// Lays out `size` members on loopback addresses without starting them; `flags` are
    /// added to each.
    ///
    /// # Panics
    /// If no directory can be made.
    #[must_use]
    pub fn lay_out(program: &Program, size: u8, flags: &[&str]) -> Self {
        let (a, b) = block();
        let places = (1..=size).map(|i| Place::loopback(&format!("127.{a}.{b}.{i}")));
        Self::lay_out_at(program, places.collect(), flags)
    }

    /// The same, one member at each of these places.
    ///
    /// # Panics
    /// If no directory can be made.
    #[must_use]
    pub fn lay_out_at(program: &Program, places: Vec<Place>, flags: &[&str]) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("kvorum-processes-")
            .tempdir();
        let directory = directory.unwrap_or_else(|e| panic!("no temporary directory: {e}"));
        let all: Vec<String> = (1..)
            .zip(&places)
            .map(|(i, place)| format!("m{i}=http://{}:2380", place.address))
            .collect();
        let member = |(i, place): (usize, Place)| {
            let (name, host) = (format!("m{i}"), place.address.clone());
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
                place,
                data_dir,
                program: program.clone(),
                flags: own,
                variables: Vec::new(),
                child: None,
            }
        };
        Self {
            members: (1..).zip(places).map(member).collect(),
            directory: Some(directory),
        }
    }

    /// Starts a cluster and waits until it serves.
    ///
    /// # Panics
    /// If it does not in time.
    pub async fn start(program: &Program, size: u8, flags: &[&str]) -> Self {
        let mut cluster = Self::lay_out(program, size, flags);
        cluster.start_all().await;
        cluster
    }

    /// Starts the members that do not run and waits until all serve.
    ///
    /// # Panics
    /// If they do not in time.
    pub async fn start_all(&mut self) {
        for member in self.members.iter_mut().filter(|m| !m.runs()) {
            member
                .start()
                .unwrap_or_else(|e| panic!("{} does not start: {e}", member.name));
        }
        self.wait_ready().await;
    }

    /// Lays out one more member on a loopback address, to be added to the running
    /// cluster; returns its place.
    pub fn lay_out_another(&mut self) -> usize {
        let mut member = Self::lay_out(&self.members[0].program, 1, &[])
            .members
            .remove(0);
        member.name = format!("m{}", self.members.len() + 1);
        if let Some(directory) = &self.directory {
            member.data_dir = directory.path().join(&member.name);
            member.log = directory.path().join(format!("{}.log", member.name));
        }
        self.members.push(member);
        let url = |m: &Member| format!("{}={}", m.name, m.peer_url());
        let all: Vec<String> = self.members.iter().map(url).collect();
        let last = self.members.len() - 1;
        let member = &mut self.members[last];
        let (name, data_dir) = (member.name.clone(), member.data_dir.display().to_string());
        member.set_flag("name", &name);
        member.set_flag("data-dir", &data_dir);
        member.set_flag("initial-cluster", &all.join(","));
        member.set_flag("initial-cluster-state", "existing");
        last
    }

    /// Waits until every running member has taken part in a write.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn wait_ready(&self) {
        for member in self.members.iter().filter(|m| m.runs()) {
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
                if !member.runs() {
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

    /// Makes the member at this place in the list lead, and waits until it does.
    ///
    /// # Panics
    /// If it does not in time.
    pub async fn move_leader(&self, to: usize) {
        let target = self.members.get(to).map(Member::client);
        let target = target.unwrap_or_else(|| panic!("there is no member {to}"));
        let until = Instant::now() + READY_TIMEOUT;
        loop {
            let leader = self.leader().await;
            if leader == to {
                return;
            }
            let header = target.status().await.ok().and_then(|s| s.header);
            if let (Some(header), Some(leader)) = (header, self.members.get(leader)) {
                let request = MoveLeaderRequest {
                    target_id: header.member_id,
                };
                // It may lag, or have been replaced meanwhile: ask again.
                let _ = leader.client().maintenance().move_leader(request).await;
            }
            assert!(Instant::now() < until, "m{} does not take over", to + 1);
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
