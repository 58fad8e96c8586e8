//! Goal: programs that use etcd's clients need not know what serves them, in three languages.
//! Method: a scripted session of each client on three etcd members and on three kvorum-nodes, the leader killed on
//! the way; what both saw is compared line by line, and with what was reviewed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use kvorum_processes::{Cluster, Program};
use tokio::sync::Mutex;

/// A cluster whose leader a session can have killed.
struct Stage(Mutex<(Cluster, usize)>);

impl Stage {
    async fn new(program: &Program) -> Self {
        let cluster = Cluster::start(program, 3, &["--unsafe-no-fsync"]).await;
        cluster.wait_registered().await;
        let leader = cluster.leader().await;
        Self(Mutex::new((cluster, leader)))
    }

    /// Where members serve; a follower is first, for those clients that take no more.
    async fn endpoints(&self) -> Vec<String> {
        let (cluster, leader) = &*self.0.lock().await;
        let mut endpoints = cluster.endpoints();
        let follower = (leader + 1) % endpoints.len();
        endpoints.rotate_left(follower);
        endpoints
    }

    /// Does what a session asks for.
    async fn act(&self, what: &str) {
        let (cluster, leader) = &mut *self.0.lock().await;
        match what {
            "kill the leader" => {
                *leader = cluster.leader().await;
                cluster.members[*leader].kill();
            }
            "start it again" => cluster.start_all().await,
            _ => panic!("a session asks for {what:?}"),
        }
    }
}

fn named(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable).map(PathBuf::from);
    path.filter(|path| path.exists()).unwrap_or_else(|| {
        panic!("{variable} names no program; run `cargo xtask test --layer conformance`")
    })
}

/// Plays a session that is a program of its own.
fn play(mut program: Command, stage: &Stage) -> String {
    let handle = tokio::runtime::Handle::current();
    let endpoints = handle.block_on(stage.endpoints()).join(",");
    // Clients log each refusal; it is of interest only when a session fails.
    let mut errors = tempfile::tempfile().unwrap();
    let mut child = program
        .arg(endpoints)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(errors.try_clone().unwrap())
        .spawn()
        .unwrap();
    let mut answers = child.stdin.take().unwrap();
    let mut transcript = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        transcript.push_str(&line);
        transcript.push('\n');
        if let Some(what) = line.strip_prefix("? ") {
            handle.block_on(stage.act(what));
            writeln!(answers, "done").unwrap();
        }
    }
    let status = child.wait().unwrap();
    if !status.success() {
        let mut said = String::new();
        errors.rewind().unwrap();
        errors.read_to_string(&mut said).unwrap();
        panic!("{status}\n{transcript}\n{said}");
    }
    transcript
}

async fn played(program: Program, client: fn() -> Command) -> String {
    let stage = Stage::new(&program).await;
    tokio::task::spawn_blocking(move || play(client(), &stage))
        .await
        .unwrap()
}

/// Six members beside a client are enough for two cores.
async fn turn() -> tokio::sync::MutexGuard<'static, ()> {
    static TURN: OnceLock<Mutex<()>> = OnceLock::new();
    TURN.get_or_init(Mutex::default).lock().await
}

/// A client's session on both, compared, and with what was reviewed.
async fn sees_no_difference(name: &str, client: fn() -> Command) {
    let _turn = turn().await;
    let etcd = played(Program::etcd(), client).await;
    assert_eq!(played(Program::kvorum(), client).await, etcd);
    insta::assert_snapshot!(name, etcd);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_go_client_and_its_concurrency_package_see_no_difference() {
    sees_no_difference("go", || Command::new(named("KVORUM_GO_CLIENT_BIN"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_sees_no_difference() {
    let client = || {
        let mut command = Command::new(named("KVORUM_PYTHON_BIN"));
        command.arg("-u").arg(named("KVORUM_PYTHON_SESSION"));
        command
    };
    sees_no_difference("python", client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_client_sees_no_difference() {
    sees_no_difference("rust", || Command::new(named("KVORUM_RUST_CLIENT_BIN"))).await;
}
