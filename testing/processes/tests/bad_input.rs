//! Goal: wrong flags, foreign or damaged directories and strangers on the peer
//! port get a clear refusal, and nothing is changed or lost.
//! Method: real processes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_processes::limits::READY_TIMEOUT;
use kvorum_processes::{Cluster, Program};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn run(flags: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(Program::kvorum().path())
        .args(flags)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), text)
}

#[test]
fn a_wrong_flag_exits_with_2_and_names_it() {
    for (flags, word) in [
        (&["--no-such-flag"][..], "--no-such-flag"),
        (&["--election-timeout=5"], "election-timeout"),
        (&["--listen-client-urls=ftp://x:1"], "http://host:port"),
        (
            &["--initial-cluster=a=http://127.0.0.1:1"],
            "must list this member",
        ),
    ] {
        let (code, text) = run(flags);
        assert_eq!(code, Some(2), "{flags:?}: {text}");
        assert!(text.contains(word), "{flags:?}: {text}");
    }
}

#[test]
fn an_unusable_directory_exits_with_1_and_names_it() {
    let (code, text) = run(&[
        "--data-dir=/proc/no/such",
        "--name=a",
        "--initial-advertise-peer-urls=http://127.0.0.1:1",
    ]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("/proc/no/such"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn as_with_etcd_a_directory_in_use_outweighs_the_founding_flags() {
    let mut cluster = Cluster::start(&Program::kvorum(), 1, &[]).await;
    cluster.members[0].client().put("k", "v").await.unwrap();
    cluster.members[0].kill();
    cluster.members[0].set_flag("initial-cluster-token", "another");
    cluster.members[0].start().unwrap();
    cluster.wait_ready().await;
    assert_eq!(
        cluster.members[0]
            .client()
            .get("k")
            .await
            .unwrap()
            .as_deref(),
        Some("v")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_lost_its_disk_does_not_start_again_under_its_id() {
    let mut cluster = Cluster::start(&Program::kvorum(), 3, &[]).await;
    cluster.wait_registered().await;
    cluster.members[1].kill();
    std::fs::remove_dir_all(&cluster.members[1].data_dir).unwrap();
    cluster.members[1].start().unwrap();
    let status = cluster.members[1].exited(READY_TIMEOUT).await;
    assert_eq!(status.code(), Some(1));
    let printed = cluster.members[1].printed();
    assert!(
        printed.contains("has already been bootstrapped"),
        "{printed}"
    );
    cluster.members[0]
        .client()
        .put_until("k", "v", READY_TIMEOUT)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_another_cluster_are_refused() {
    let ours = Cluster::start(&Program::kvorum(), 1, &[]).await;
    let mut theirs = Cluster::lay_out(&Program::kvorum(), 1, &[]);
    // They believe that our member is one of them.
    let them = format!(
        "m1=http://{},m2=http://{}",
        theirs.members[0].peer_endpoint(),
        ours.members[0].peer_endpoint()
    );
    theirs.members[0].set_flag("initial-cluster", &them);
    theirs.members[0].start().unwrap();
    ours.members[0].prints("cluster ID mismatch").await;
    ours.members[0].client().put("k", "v").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_peer_port_is_refused_and_named() {
    let cluster = Cluster::start(&Program::kvorum(), 1, &[]).await;
    let peer = cluster.members[0].peer_endpoint();
    for (garbage, reason) in [
        (&b"KVP1\xff\xff\xff\xff garbage"[..], Some("frame size")),
        (b"KVP1\0\0\0\x04abcd", Some("a peer sent a short frame")),
        (
            b"KVP1\0\0\0\x10abcdefghijklmnop",
            Some("a peer sent a damaged frame"),
        ),
        // Whoever speaks HTTP gets HTTP's own answers.
        (b"GET / HTTP/1.1\r\n\r\n", None),
        (b"\0\0\0\0\0\0", None),
        (b"K", None),
    ] {
        let mut socket = std::net::TcpStream::connect(&peer).unwrap();
        socket.write_all(garbage).unwrap();
        if let Some(reason) = reason {
            cluster.members[0].prints(reason).await;
        }
    }
    cluster.members[0].client().put("k", "v").await.unwrap();
}

fn newest_segment(data_dir: &Path) -> PathBuf {
    let mut names: Vec<_> = std::fs::read_dir(data_dir.join("wal"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|x| x == "wal"))
        .collect();
    names.sort();
    names.pop().unwrap()
}

fn used(path: &Path) -> u64 {
    let data = std::fs::read(path).unwrap();
    data.iter().rposition(|b| *b != 0).unwrap() as u64 + 1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_log_tail_is_cut_and_damage_in_the_middle_stops_the_member() {
    let mut cluster = Cluster::start(&Program::kvorum(), 1, &[]).await;
    let client = cluster.members[0].client();
    for i in 0..50 {
        client.put(&format!("k{i}"), "v").await.unwrap();
    }
    cluster.members[0].kill();
    let segment = newest_segment(&cluster.members[0].data_dir);
    let file = std::fs::File::options().write(true).open(&segment).unwrap();
    // Half a frame that was never acknowledged: what a power cut leaves.
    let end = used(&segment).next_multiple_of(8);
    file.write_all_at(&[0x31, 0x4c, 0x56, 0x4b, 0xff, 0, 0, 0, 1, 2, 3], end)
        .unwrap();
    cluster.members[0].start().unwrap();
    cluster.wait_ready().await;
    assert_eq!(client.get("k49").await.unwrap().as_deref(), Some("v"));
    cluster.members[0].kill();
    // One flipped byte among acknowledged entries.
    let middle = used(&segment) / 2;
    let mut byte = [0];
    let readable = std::fs::File::open(&segment).unwrap();
    readable.read_exact_at(&mut byte, middle).unwrap();
    file.write_all_at(&[byte[0] ^ 0x55], middle).unwrap();
    cluster.members[0].start().unwrap();
    let status = cluster.members[0].exited(READY_TIMEOUT).await;
    assert_eq!(status.code(), Some(1));
    let printed = cluster.members[0].printed();
    assert!(printed.contains("log is damaged"), "{printed}");
    // Mended, everything is there: nothing was changed by the refusal.
    file.write_all_at(&byte, middle).unwrap();
    cluster.members[0].start().unwrap();
    cluster.wait_ready().await;
    assert_eq!(client.range("k", "l").await.unwrap().count, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quota_refuses_growth_and_clears_itself() {
    let cluster = Cluster::start(&Program::kvorum(), 1, &["--quota-backend-bytes=100000"]).await;
    let client = cluster.members[0].client();
    let value = "x".repeat(10_000);
    let mut written = 0;
    let refused = loop {
        match client.put(&format!("k{written:03}"), &value).await {
            Ok(_) => written += 1,
            Err(status) => break status,
        }
        assert!(written < 50, "the quota does not hold");
    };
    assert_eq!(
        refused.message(),
        "etcdserver: mvcc: database space exceeded"
    );
    for i in 0..written {
        client.delete(&format!("k{i:03}")).await.unwrap();
    }
    let revision = client
        .get("none")
        .await
        .map(|_| ())
        .and(client.range("k", "l").await);
    let revision = revision.unwrap().header.unwrap().revision;
    let compact = kvorum_proto::etcdserverpb::CompactionRequest {
        revision,
        physical: true,
    };
    client.kv().compact(compact).await.unwrap();
    client.put("again", &value).await.unwrap();
}
