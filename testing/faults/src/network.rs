//! One router namespace with a namespace for every station (a member, a zone's clients, an
//! observer) behind it. Nothing of the machine's own network is touched.

use crate::limits::BLOCKS;
use crate::rules::{self, Cut};
use kvorum_processes::{Client, Place};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tokio::runtime::Runtime;

/// The station that reaches every other one, whatever is cut: its name begins with no zone.
pub const OBSERVER: &str = "observer";

/// Where the locks lie that say which networks are in use.
const LOCKS: &str = "/run/kvorum-faults";

/// A network; it is removed when dropped.
pub struct Network {
    block: u8,
    stations: Vec<String>,
    runtimes: BTreeMap<String, Runtime>,
    // Held for as long as the network lives: the next one with this number removes
    // whatever a dead run left.
    _lock: File,
}

impl Network {
    /// A network with these stations; `clients` are those that clients will run at, beside
    /// the observer.
    ///
    /// # Panics
    /// If the machine does not let it be made: Linux and root are needed.
    #[must_use]
    pub fn new(members: &[&str], clients: &[&str]) -> Self {
        let (block, lock) = free_block();
        remove(block);
        let all = members.iter().chain(clients).chain(&[OBSERVER]);
        let stations: Vec<String> = all.map(|name| (*name).to_owned()).collect();
        let mut network = Self {
            block,
            stations,
            runtimes: BTreeMap::new(),
            _lock: lock,
        };
        network.create();
        for name in clients.iter().chain(&[OBSERVER]) {
            let runtime = runtime_in(&network.namespace(name));
            network.runtimes.insert((*name).to_owned(), runtime);
        }
        network
    }

    fn namespace(&self, station: &str) -> String {
        format!("{}{station}", prefix(self.block))
    }

    fn address(&self, station: &str, host: u8) -> String {
        let index = self.stations.iter().position(|name| name == station);
        let index = index.unwrap_or_else(|| panic!("there is no station {station}"));
        // Far above what the testbed of the zones layer uses.
        format!("10.{}.{index}.{host}", 192 + self.block)
    }

    fn create(&self) {
        let router = self.namespace("router");
        let mut global = format!("netns add {router}\n");
        let mut inside = "link set lo up\n".to_owned();
        for name in &self.stations {
            let (namespace, address) = (self.namespace(name), self.address(name, 1));
            global.push_str(&format!(
                "netns add {namespace}\n\
                 link add name {name} netns {router} type veth peer name eth0 netns {namespace}\n"
            ));
            inside.push_str(&format!(
                "addr add {address}/30 dev {name}\nlink set {name} up\n"
            ));
        }
        run(&["ip", "-batch", "-"], &global);
        run(&["ip", "-n", &router, "-batch", "-"], &inside);
        for name in &self.stations {
            let (own, gateway) = (self.address(name, 2), self.address(name, 1));
            let lines = format!(
                "link set lo up\naddr add {own}/30 dev eth0\nlink set eth0 up\n\
                 route add default via {gateway}\n"
            );
            run(&["ip", "-n", &self.namespace(name), "-batch", "-"], &lines);
        }
        let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
        run(&["ip", "netns", "exec", &router, "sh", "-c", forward], "");
        self.rules(rules::base_table());
    }

    fn rules(&self, text: &str) {
        let router = self.namespace("router");
        run(&["ip", "netns", "exec", &router, "nft", "-f", "-"], text);
    }

    /// Cuts exactly these links; all others are whole.
    ///
    /// # Panics
    /// If the rules are refused.
    pub fn cut(&self, cuts: &[Cut]) {
        self.rules(&rules::transaction(cuts));
    }

    /// Makes all links whole.
    ///
    /// # Panics
    /// If the rules are refused.
    pub fn heal(&self) {
        self.cut(&[]);
    }

    /// The place of a member at a station; the observer looks at it.
    ///
    /// # Panics
    /// If there is no such station.
    #[must_use]
    pub fn place(&self, station: &str) -> Place {
        let observer = self.runtimes.get(OBSERVER).map(|r| r.handle().clone());
        Place {
            address: self.address(station, 2),
            namespace: Some(self.namespace(station)),
            observer,
        }
    }

    /// A client at a station, of an endpoint `host:port`.
    ///
    /// # Panics
    /// If no clients were announced there.
    #[must_use]
    pub fn client(&self, station: &str, endpoint: &str) -> Client {
        let runtime = self.runtimes.get(station);
        let runtime = runtime.unwrap_or_else(|| panic!("no clients run at {station}"));
        let _inside = runtime.enter();
        Client::new(endpoint)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for (_, runtime) in std::mem::take(&mut self.runtimes) {
            runtime.shutdown_background();
        }
        remove(self.block);
    }
}

fn prefix(block: u8) -> String {
    format!("kvf{block}-")
}

/// A number that no other living process uses, and the lock that says so.
fn free_block() -> (u8, File) {
    std::fs::create_dir_all(LOCKS).unwrap_or_else(|e| panic!("cannot make {LOCKS}: {e}"));
    for block in 0..BLOCKS {
        let path = format!("{LOCKS}/{block}.lock");
        let file = File::create(&path).unwrap_or_else(|e| panic!("cannot make {path}: {e}"));
        if file.try_lock().is_ok() {
            return (block, file);
        }
    }
    panic!("all {BLOCKS} networks are in use");
}

/// Removes what there is of a network, and whoever still runs in it.
fn remove(block: u8) {
    let listed = run(&["ip", "netns", "list"], "");
    let names = listed.lines().filter_map(|l| l.split_whitespace().next());
    for name in names.filter(|name| name.starts_with(&prefix(block))) {
        for pid in run(&["ip", "netns", "pids", name], "").split_whitespace() {
            // Never the test itself, whose threads live here too.
            if let Ok(pid) = pid.parse().map(Pid::from_raw)
                && pid != Pid::this()
            {
                let _ = kill(pid, Signal::SIGKILL);
            }
        }
        run(&["ip", "netns", "del", name], "");
        let _ = std::fs::remove_dir_all(files_of(name));
    }
}

/// Files here are seen as those of `/etc` by what `ip netns exec` starts in the namespace.
pub(crate) fn files_of(namespace: &str) -> PathBuf {
    PathBuf::from("/etc/netns").join(namespace)
}

/// A runtime whose threads live in a namespace.
fn runtime_in(namespace: &str) -> Runtime {
    let path = format!("/run/netns/{namespace}");
    let file = File::open(&path).unwrap_or_else(|e| panic!("cannot open {path}: {e}"));
    let inode = file.metadata().map(|m| m.ino()).ok();
    let enter = move || {
        if let Err(error) = setns(&file, CloneFlags::CLONE_NEWNET) {
            eprintln!("cannot enter a network namespace: {error}");
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(namespace)
        .on_thread_start(enter)
        .enable_all()
        .build()
        .unwrap_or_else(|e| panic!("cannot start a thread in {namespace}: {e}"));
    let (tx, rx) = std::sync::mpsc::channel();
    runtime.spawn(async move {
        let own = std::fs::metadata("/proc/thread-self/ns/net");
        let _ = tx.send(own.map(|m| m.ino()).ok());
    });
    let entered = rx.recv().ok().flatten();
    assert_eq!(entered, inode, "the clients' thread is not in {namespace}");
    runtime
}

/// Runs a program of the system with this input; what it printed.
fn run(words: &[&str], input: &str) -> String {
    let shown = words.join(" ");
    let (program, arguments) = words.split_first().unwrap_or((&"true", &[]));
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.unwrap_or_else(|e| panic!("cannot run `{shown}`: {e}"));
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input.as_bytes());
    }
    let finished = child.wait_with_output();
    let finished = finished.unwrap_or_else(|e| panic!("cannot wait for `{shown}`: {e}"));
    let said = String::from_utf8_lossy(&finished.stderr);
    assert!(
        finished.status.success(),
        "`{shown}` failed (root is needed): {said}"
    );
    String::from_utf8_lossy(&finished.stdout).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_networks_stand_side_by_side_and_leave_nothing() {
        let one = Network::new(&["a1"], &["ax"]);
        let two = Network::new(&["a1"], &[]);
        assert_ne!(one.place("a1").address, two.place("a1").address);
        let blocks = [prefix(one.block), prefix(two.block)];
        drop((one, two));
        let left = run(&["ip", "netns", "list"], "");
        assert!(!blocks.iter().any(|b| left.contains(b.as_str())), "{left}");
    }
}
