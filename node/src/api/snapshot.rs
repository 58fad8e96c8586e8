//! The Snapshot call: the file is made first, then sent in pieces, then its hash.

use super::{Api, ETCD_CLUSTER_VERSION, cluster, errors};
use crate::exchange;
use crate::limits::{SNAPSHOT_BLOB_BYTES, SNAPSHOT_BLOBS_AHEAD};
use bytes::Bytes;
use kvorum_proto::etcdserverpb::{Member, SnapshotResponse};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

type Out = mpsc::Sender<Result<SnapshotResponse, Status>>;

/// An empty file without a name: it goes with its last user, whatever happens.
fn nameless(dir: &Path) -> io::Result<File> {
    let path = dir.join(format!("snapshot-{:016x}.part", rand::random::<u64>()));
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

fn message(blob: Vec<u8>, remaining_bytes: u64) -> SnapshotResponse {
    SnapshotResponse {
        header: None,
        remaining_bytes,
        blob: Bytes::from(blob),
        version: ETCD_CLUSTER_VERSION.to_owned(),
    }
}

fn make(store: &kvorum_mvcc::Store, members: &[Member], dir: &Path) -> io::Result<File> {
    store.flush()?;
    let view = store.engine().view()?;
    exchange::export(view.as_ref(), members, nameless(dir)?)
}

/// Sends a file; ends early if nobody takes it any more.
fn send(mut file: File, out: &Out) -> io::Result<()> {
    let mut left = file.metadata()?.len();
    let mut hash = Sha256::new();
    while left > 0 {
        let length = left.min(SNAPSHOT_BLOB_BYTES as u64);
        let mut blob = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        file.read_exact(&mut blob)?;
        hash.update(&blob);
        left -= length;
        if out.blocking_send(Ok(message(blob, left))).is_err() {
            return Ok(());
        }
    }
    let _ = out.blocking_send(Ok(message(hash.finalize().to_vec(), 0)));
    Ok(())
}

impl Api {
    /// Starts making and sending a snapshot, on a thread where blocking is fine.
    pub(super) fn send_snapshot(&self) -> ReceiverStream<Result<SnapshotResponse, Status>> {
        let (out, answers) = mpsc::channel(SNAPSHOT_BLOBS_AHEAD);
        let store = Arc::clone(self.member.store());
        let members = cluster::list(&self.member);
        let (engine_dir, _) = self.member.engine_dir();
        tokio::task::spawn_blocking(move || {
            let dir = engine_dir.parent().unwrap_or(&engine_dir);
            let sent = make(&store, &members, dir).and_then(|file| send(file, &out));
            if let Err(error) = sent {
                let _ = out.blocking_send(Err(errors::from_read(&error.into())));
            }
        });
        ReceiverStream::new(answers)
    }
}
