//! What is there after a fault: in every member's own store, and in a log's files.

use kvorum_processes::{Cluster, Member};
use kvorum_proto::etcdserverpb::RangeRequest;
use std::io::Read;

/// Bytes at the start of a log segment that are looked at: these tests write little.
const LOOKED_AT: u64 = 4 << 20;

/// One key in one member's own store: its value and version; `None`: it is not there.
pub type Found = Option<(String, i64)>;

/// What every member's own store says of a key, once each has everything that was committed
/// when this was called.
///
/// # Panics
/// If a member does not answer.
pub async fn everywhere(cluster: &Cluster, key: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for member in &cluster.members {
        let client = member.client();
        // Linearizable: waits until this member is as new as the cluster.
        let newest = client.get(key).await;
        newest.unwrap_or_else(|e| panic!("{} does not answer: {e}", member.name));
        let request = RangeRequest {
            key: key.to_owned().into(),
            serializable: true,
            ..RangeRequest::default()
        };
        let own = client.kv().range(request).await;
        let own = own.unwrap_or_else(|e| panic!("{} does not answer: {e}", member.name));
        let kv = own.into_inner().kvs.into_iter().next();
        found.push(kv.map(|kv| {
            let value = String::from_utf8_lossy(&kv.value).into_owned();
            (value, kv.version)
        }));
    }
    found
}

/// Whether these words stand in a member's log files. Also where a later record of the log
/// takes them back: so this is for the moment of a death, not for afterwards.
///
/// # Panics
/// If the files cannot be read.
#[must_use]
pub fn in_log(member: &Member, words: &str) -> bool {
    let directory = member.data_dir.join("wal");
    let files = std::fs::read_dir(&directory);
    let files = files.unwrap_or_else(|e| panic!("cannot list {}: {e}", directory.display()));
    files.flatten().any(|file| {
        let mut bytes = Vec::new();
        let opened = std::fs::File::open(file.path());
        let read = opened.and_then(|f| f.take(LOOKED_AT).read_to_end(&mut bytes));
        read.unwrap_or_else(|e| panic!("cannot read {}: {e}", file.path().display()));
        String::from_utf8_lossy(&bytes).contains(words)
    })
}
