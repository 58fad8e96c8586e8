//! Goal: a full disk stops a member with a clear message and loses nothing acknowledged.
//! Method: a real process on a small file system of its own, which is then enlarged.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_processes::limits::READY_TIMEOUT;
use kvorum_processes::{Cluster, Program};
use std::path::PathBuf;
use std::process::Command;

/// A mounted tmpfs; unmounted with it.
struct Small(PathBuf);

fn mount(arguments: &[&str]) {
    let status = Command::new("mount").args(arguments).status().unwrap();
    assert!(status.success(), "mount {arguments:?} needs root");
}

impl Small {
    fn new(path: PathBuf, megabytes: u32) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let size = format!("size={megabytes}m");
        mount(&[
            "-t",
            "tmpfs",
            "-o",
            &size,
            "kvorum-test",
            path.to_str().unwrap(),
        ]);
        Self(path)
    }

    fn grow(&self, megabytes: u32) {
        let size = format!("remount,size={megabytes}m");
        mount(&["-o", &size, self.0.to_str().unwrap()]);
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_member_and_loses_nothing() {
    let mut cluster = Cluster::lay_out(&Program::kvorum(), 1, &[]);
    // Room for one log segment and a little more.
    let disk = Small::new(cluster.members[0].data_dir.clone(), 100);
    cluster.members[0].start().unwrap();
    cluster.wait_ready().await;
    let client = cluster.members[0].client();
    let value = "x".repeat(200_000);
    let mut acknowledged = 0;
    while client
        .put(&format!("k{acknowledged:05}"), &value)
        .await
        .is_ok()
    {
        acknowledged += 1;
        assert!(acknowledged < 2000, "the disk never ran full");
    }
    let status = cluster.members[0].exited(READY_TIMEOUT).await;
    assert_eq!(status.code(), Some(1));
    let printed = cluster.members[0].printed();
    assert!(printed.contains("No space left on device"), "{printed}");
    disk.grow(1000);
    cluster.members[0].start().unwrap();
    cluster.wait_ready().await;
    let found = client.range("k", "l").await.unwrap().count;
    assert!(found >= acknowledged, "{found} of {acknowledged} are left");
    client.put("after", "1").await.unwrap();
    cluster.members[0].kill();
}
