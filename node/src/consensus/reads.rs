//! Linearizable reads: one round to the quorum serves all readers that wait.
//!
//! A reader may only join a round that starts after it arrived. So readers gather
//! while a round is under way, and all of them go into the next one.

use super::{Consensus, Failure};
use std::sync::{Arc, Weak};
use tokio::sync::{mpsc, oneshot};

type Waiter = oneshot::Sender<Result<(), Failure>>;

/// Where readers queue.
#[derive(Clone)]
pub struct Reads {
    queue: mpsc::Sender<Waiter>,
}

/// Readers that may wait in the queue at a time.
const WAITERS_MAX: usize = 64 * 1024;

impl Reads {
    /// The queue, and its other end for [`run`].
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Waiter>) {
        let (queue, waiters) = mpsc::channel(WAITERS_MAX);
        (Self { queue }, waiters)
    }

    /// Returns once the store holds everything that was committed when this was called.
    ///
    /// # Errors
    /// If no quorum could be reached in time.
    pub async fn wait(&self) -> Result<(), Failure> {
        let (tx, rx) = oneshot::channel();
        self.queue.try_send(tx).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => Failure::TooMany,
            mpsc::error::TrySendError::Closed(_) => Failure::Stopped,
        })?;
        rx.await.unwrap_or(Err(Failure::Stopped))
    }
}

/// Runs rounds until the consensus module is gone.
pub async fn run(consensus: Weak<Consensus>, mut waiters: mpsc::Receiver<Waiter>) {
    let mut batch = Vec::new();
    while waiters.recv_many(&mut batch, WAITERS_MAX).await > 0 {
        let Some(consensus) = consensus.upgrade() else {
            return;
        };
        let round = std::mem::take(&mut batch);
        match consensus.read_index().await {
            Ok(index) if consensus.applied_index() >= index => answer(round, Ok(())),
            // Waiting for the store must not hold the next round up.
            Ok(index) => drop(tokio::spawn(finish(consensus, index, round))),
            Err(failure) => answer(round, Err(failure)),
        }
    }
}

async fn finish(consensus: Arc<Consensus>, index: u64, round: Vec<Waiter>) {
    let outcome = consensus.wait_applied(index).await;
    answer(round, outcome);
}

fn answer(round: Vec<Waiter>, outcome: Result<(), Failure>) {
    for waiter in round {
        let _ = waiter.send(outcome);
    }
}
