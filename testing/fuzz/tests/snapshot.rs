//! Goal: whatever stands in a directory that etcdutl restored, taking it over ends, with a member or with an error.
//! Method: a real snapshot, restored by etcdutl; its database and its log are changed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::Path;

use kvorum_fuzz::fuzz;
use kvorum_node::exchange::import;
use kvorum_processes::{Cluster, Program};

/// A restored directory's database and log.
async fn restored(directory: &Path) -> (Vec<u8>, String, Vec<u8>) {
    let etcd = Cluster::start(&Program::etcd(), 1, &["--unsafe-no-fsync"]).await;
    let client = etcd.members[0].client();
    for n in 0..40 {
        let key = format!("k/{n}");
        client.put(&key, &"v".repeat(n)).await.unwrap();
    }
    client.delete("k/7").await.unwrap();
    let saved = directory.join("saved.db");
    let to = directory.join("restored");
    let done = Program::etcd_tool("etcdctl")
        .args(["--endpoints", &etcd.members[0].endpoint()])
        .args(["snapshot", "save"])
        .arg(&saved)
        .output();
    assert!(done.unwrap().status.success());
    let done = Program::etcd_tool("etcdutl")
        .args(["snapshot", "restore"])
        .arg(&saved)
        .arg("--data-dir")
        .arg(&to)
        .output();
    assert!(done.unwrap().status.success());
    let log = std::fs::read_dir(to.join("member/wal")).unwrap();
    let mut logs = log.map(|entry| entry.unwrap().path());
    let log = logs.find(|path| path.extension().is_some_and(|is| is == "wal"));
    let log = log.unwrap();
    let name = log.file_name().unwrap().to_string_lossy().into_owned();
    let database = std::fs::read(to.join("member/snap/db")).unwrap();
    (database, name, std::fs::read(log).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_ends_in_an_error_or_a_member() {
    let directory = tempfile::tempdir().unwrap();
    let (database, name, log) = restored(directory.path()).await;
    let log_end = log.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let take = |database: &[u8], log: &[u8]| {
        let fresh = tempfile::tempdir().unwrap();
        let (snap, wal) = (
            fresh.path().join("member/snap"),
            fresh.path().join("member/wal"),
        );
        std::fs::create_dir_all(&snap).unwrap();
        std::fs::create_dir_all(&wal).unwrap();
        std::fs::write(snap.join("db"), database).unwrap();
        std::fs::write(wal.join(&name), log).unwrap();
        import(fresh.path(), false).map(|_| ())
    };
    take(&database, &log).unwrap();
    let mut refused = 0;
    fuzz(
        "snapshot-database",
        100,
        std::slice::from_ref(&database),
        |input| {
            refused += u32::from(take(input, &log).is_err());
            Ok(())
        },
    );
    fuzz("snapshot-log", 300, &[log[..log_end].to_vec()], |input| {
        refused += u32::from(take(&database, input).is_err());
        Ok(())
    });
    assert!(refused > 0, "damage is seen");
}
