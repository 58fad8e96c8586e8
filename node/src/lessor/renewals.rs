//! Renewing leases through the log: all that arrive while an entry is under way go
//! into the next one.

use crate::consensus::{Consensus, Failure};
use crate::limits::{RENEWALS_MAX, RENEWALS_PER_ENTRY};
use kvorum_proto::log::{Command, RenewLeases, command, reply};
use std::sync::Weak;
use tokio::sync::{mpsc, oneshot};

type Waiter = (i64, oneshot::Sender<Result<i64, Failure>>);

/// Where renewals queue.
#[derive(Clone)]
pub struct Renewals {
    queue: mpsc::Sender<Waiter>,
}

impl Renewals {
    /// Starts the queue; it ends with the consensus module.
    #[must_use]
    pub fn start(consensus: Weak<Consensus>) -> Self {
        let (queue, waiters) = mpsc::channel(RENEWALS_MAX);
        tokio::spawn(run(consensus, waiters));
        Self { queue }
    }

    /// Lets a lease's time begin again; its TTL in seconds, or 0 if there is none.
    ///
    /// # Errors
    /// If it could not be brought into the log.
    pub async fn renew(&self, id: i64) -> Result<i64, Failure> {
        let (tx, rx) = oneshot::channel();
        let queued = self.queue.send((id, tx)).await;
        queued.map_err(|_| Failure::Stopped)?;
        rx.await.unwrap_or(Err(Failure::Stopped))
    }
}

async fn run(consensus: Weak<Consensus>, mut waiters: mpsc::Receiver<Waiter>) {
    let mut batch = Vec::new();
    while waiters.recv_many(&mut batch, RENEWALS_PER_ENTRY).await > 0 {
        let Some(consensus) = consensus.upgrade() else {
            return;
        };
        let batch = std::mem::take(&mut batch);
        let ids = batch.iter().map(|(id, _)| *id).collect();
        let command = Command {
            op: Some(command::Op::Renew(RenewLeases { ids })),
            ..Command::default()
        };
        let answer = consensus
            .propose(&command)
            .await
            .map(|reply| match reply.op {
                Some(reply::Op::Renewed(renewed)) => renewed.ttls,
                _ => Vec::new(),
            });
        for (place, (_, waiter)) in batch.into_iter().enumerate() {
            let ttl = answer
                .as_ref()
                .map(|ttls| ttls.get(place).copied().unwrap_or(0));
            let _ = waiter.send(ttl.map_err(|failure| *failure));
        }
    }
}
