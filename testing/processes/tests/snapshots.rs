//! Snapshots out to etcd's tools and in from them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_processes::limits::READY_TIMEOUT;
use kvorum_processes::{Client, Cluster, Member, Program};
use kvorum_proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, LeaseGrantRequest, LeaseTimeToLiveRequest, PutRequest,
    RangeRequest, RangeResponse,
};
use std::path::Path;

async fn fill(client: &Client) {
    for i in 0..3000 {
        let value = format!("{i}-").repeat(1 + i % 97);
        client
            .put(&format!("key-{:04}", i % 1500), &value)
            .await
            .unwrap();
    }
    client
        .lease()
        .lease_grant(LeaseGrantRequest { ttl: 4000, id: 77 })
        .await
        .unwrap();
    let leased = PutRequest {
        key: b"leased".as_slice().into(),
        value: b"1".as_slice().into(),
        lease: 77,
        ..PutRequest::default()
    };
    client.kv().put(leased).await.unwrap();
    let gone = DeleteRangeRequest {
        key: b"key-0000".as_slice().into(),
        range_end: b"key-0010".as_slice().into(),
        ..DeleteRangeRequest::default()
    };
    client.kv().delete_range(gone).await.unwrap();
    let compaction = CompactionRequest {
        revision: 1000,
        physical: false,
    };
    client.kv().compact(compaction).await.unwrap();
}

async fn everything(client: &Client, revision: i64) -> RangeResponse {
    let request = RangeRequest {
        key: b"\0".as_slice().into(),
        range_end: b"\0".as_slice().into(),
        revision,
        ..RangeRequest::default()
    };
    let mut answer = client.kv().range(request).await.unwrap().into_inner();
    answer.header.as_mut().unwrap().member_id = 0;
    answer.header.as_mut().unwrap().cluster_id = 0;
    answer.header.as_mut().unwrap().raft_term = 0;
    answer
}

/// What must be the same after a restore: now, the past, and the lease.
async fn state(client: &Client) -> (RangeResponse, RangeResponse, i64) {
    let request = LeaseTimeToLiveRequest { id: 77, keys: true };
    let lease = client.lease().lease_time_to_live(request).await.unwrap();
    let lease = lease.into_inner();
    assert_eq!(lease.keys, [b"leased".as_slice()]);
    (
        everything(client, 0).await,
        everything(client, 1200).await,
        lease.granted_ttl,
    )
}

fn save(member: &Member, file: &Path) {
    let saved = Program::etcd_tool("etcdctl")
        .args(["--endpoints", &member.endpoint(), "snapshot", "save"])
        .arg(file)
        .output()
        .unwrap();
    assert!(saved.status.success(), "{saved:?}");
}

fn run(tool: &mut std::process::Command) -> Result<String, String> {
    let output = tool.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    Err(format!(
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// Lays out a cluster whose members' directories are restored from a file.
fn restored(program: &Program, size: u8, file: &Path) -> Cluster {
    let cluster = Cluster::lay_out(program, size, &[]);
    let url = |m: &Member| format!("{}={}", m.name, m.peer_url());
    let all: Vec<String> = cluster.members.iter().map(url).collect();
    for member in &cluster.members {
        let mut tool = Program::etcd_tool("etcdutl");
        tool.args(["snapshot", "restore"])
            .arg(file)
            .arg("--data-dir")
            .arg(&member.data_dir)
            .args(["--name", &member.name])
            .args(["--initial-cluster", &all.join(",")])
            .args(["--initial-advertise-peer-urls", &member.peer_url()]);
        run(&mut tool).unwrap();
    }
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_goes_to_etcd_and_back_and_into_a_new_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let source = Cluster::start(&Program::kvorum(), 1, &[]).await;
    fill(&source.members[0].client()).await;
    let before = state(&source.members[0].client()).await;
    let file = dir.path().join("ours.db");
    save(&source.members[0], &file);
    let mut status = Program::etcd_tool("etcdutl");
    run(status.args(["snapshot", "status", "-w", "json"]).arg(&file)).unwrap();

    // Ours, in an etcd.
    let mut etcd = restored(&Program::etcd(), 1, &file);
    etcd.start_all().await;
    assert_eq!(state(&etcd.members[0].client()).await, before);
    etcd.members[0]
        .client()
        .put("etcd", "was here")
        .await
        .unwrap();

    // The etcd's, in three of ours.
    let theirs = dir.path().join("theirs.db");
    let before = state(&etcd.members[0].client()).await;
    save(&etcd.members[0], &theirs);
    let mut ours = restored(&Program::kvorum(), 3, &theirs);
    ours.start_all().await;
    for member in &ours.members {
        assert_eq!(state(&member.client()).await, before);
    }
    ours.members[0].client().put("after", "1").await.unwrap();
    // They go on after a restart, and a newcomer gets what was there before the log began.
    for member in &mut ours.members {
        member.kill();
    }
    ours.start_all().await;
    ours.wait_registered().await;
    let place = ours.lay_out_another();
    let request = kvorum_proto::etcdserverpb::MemberAddRequest {
        peer_ur_ls: vec![ours.members[place].peer_url()],
        is_learner: false,
    };
    let client = ours.members[0].client();
    client.cluster().member_add(request).await.unwrap();
    ours.members[place].start().unwrap();
    ours.wait_ready().await;
    let newcomer = ours.members[place].client();
    assert_eq!(
        newcomer.get("key-1499").await.unwrap(),
        client.get("key-1499").await.unwrap()
    );
    assert_eq!(newcomer.get("after").await.unwrap().as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_and_directories_in_use_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let source = Cluster::start(&Program::kvorum(), 1, &[]).await;
    source.members[0].client().put("a", "1").await.unwrap();
    let file = dir.path().join("ours.db");
    save(&source.members[0], &file);

    // One flipped bit in the file: etcd's tool sees it by the hash.
    let mut data = std::fs::read(&file).unwrap();
    let middle = data.len() / 2;
    data[middle] ^= 1;
    let flipped = dir.path().join("flipped.db");
    std::fs::write(&flipped, data).unwrap();
    let mut tool = Program::etcd_tool("etcdutl");
    let refused = run(tool
        .args(["snapshot", "restore"])
        .arg(&flipped)
        .arg("--data-dir")
        .arg(dir.path().join("refused")));
    assert!(refused.unwrap_err().contains("sha256"));

    // One in the restored directory's first pages: ours sees it by theirs.
    let mut damaged = restored(&Program::kvorum(), 1, &file);
    let database = damaged.members[0].data_dir.join("member/snap/db");
    let mut data = std::fs::read(&database).unwrap();
    for at in [40, 4096 + 40] {
        data[at] ^= 1;
    }
    std::fs::write(&database, data).unwrap();
    damaged.members[0].start().unwrap();
    let status = damaged.members[0].exited(READY_TIMEOUT).await;
    assert_eq!(status.code(), Some(1));
    damaged.members[0].prints("checksum is wrong").await;

    // A directory that an etcd has run on may hold more than its database says.
    let mut etcd = Cluster::start(&Program::etcd(), 1, &[]).await;
    etcd.members[0].client().put("a", "1").await.unwrap();
    etcd.members[0].kill();
    let mut ours = Cluster::lay_out(&Program::kvorum(), 1, &[]);
    let used = etcd.members[0].data_dir.display().to_string();
    ours.members[0].set_flag("data-dir", &used);
    ours.members[0].start().unwrap();
    let status = ours.members[0].exited(READY_TIMEOUT).await;
    assert_eq!(status.code(), Some(1));
    ours.members[0].prints("cannot be taken over").await;
}
