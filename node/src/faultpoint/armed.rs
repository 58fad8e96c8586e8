//! The steps in a test build: what the environment armed happens at its step.

use super::{MARK, Point};
use crate::consensus::types::{Entry, LogId, MemberId, Types};
use kvorum_proto::peer::{AppendReply, append_reply};
use openraft::EntryPayload;
use openraft::entry::RaftEntry;
use openraft::raft::AppendEntriesRequest;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

struct Armed {
    point: Point,
    count: usize,
    /// Index of the marked write; 0: not seen yet.
    index: AtomicU64,
    /// Followers that may be sent it, where not all may.
    chosen: Mutex<BTreeSet<MemberId>>,
    /// Followers that have come as far as the point says.
    there: Mutex<BTreeSet<MemberId>>,
}

static ARMED: LazyLock<Option<Armed>> = LazyLock::new(|| {
    let text = std::env::var("KVORUM_FAULTPOINT").ok()?;
    let (name, count) = text.split_once(':').unwrap_or((&text, "1"));
    let found = Point::ALL.into_iter().find(|(known, _)| *known == name);
    let (Some((_, point)), Ok(count)) = (found, count.parse()) else {
        eprintln!("error: KVORUM_FAULTPOINT={text}: there is no such fault point");
        std::process::exit(2);
    };
    Some(Armed {
        point,
        count,
        index: AtomicU64::new(0),
        chosen: Mutex::default(),
        there: Mutex::default(),
    })
});

impl Armed {
    /// As kill -9 would: nothing is flushed, nobody is told.
    fn die(&self) -> ! {
        eprintln!("Fault point {:?} reached", self.point);
        std::process::abort();
    }

    fn covers(&self, index: u64) -> bool {
        let marked = self.index.load(Ordering::SeqCst);
        marked != 0 && index >= marked
    }

    /// Whether a follower is among the first `count` that were to be sent the write.
    fn chosen(&self, follower: MemberId) -> bool {
        let mut chosen = self.chosen.lock();
        if chosen.len() < self.count {
            chosen.insert(follower);
        }
        chosen.contains(&follower)
    }

    /// Counts a follower that has come as far as the point says; dies with the last one.
    fn count_down(&self, follower: MemberId) {
        let mut there = self.there.lock();
        there.insert(follower);
        if there.len() >= self.count {
            self.die();
        }
    }
}

fn at(point: Point) -> Option<&'static Armed> {
    ARMED.as_ref().filter(|armed| armed.point == point)
}

fn is_marked(entry: &Entry) -> bool {
    match &entry.payload {
        EntryPayload::Normal(proposal) => {
            let bytes = proposal.encoded();
            bytes.windows(MARK.len()).any(|w| w == MARK.as_bytes())
        }
        _ => false,
    }
}

/// An entry is about to be put into this member's log.
pub(crate) fn appending(entry: &Entry) {
    if let Some(armed) = ARMED.as_ref()
        && is_marked(entry)
    {
        if armed.point == Point::BeforeLog {
            armed.die();
        }
        armed.index.store(entry.log_id().index, Ordering::SeqCst);
    }
}

/// This member's log is durable up to here.
pub(crate) fn flushed(last: u64) {
    if let Some(armed) = at(Point::InLog)
        && armed.covers(last)
    {
        armed.die();
    }
}

/// An append is about to be sent to a follower.
pub(crate) async fn sending(to: MemberId, request: &AppendEntriesRequest<Types>) {
    let Some(armed) = ARMED.as_ref() else {
        return;
    };
    let carries = request.entries.iter().any(is_marked);
    let told = request
        .leader_commit
        .is_some_and(|id| armed.covers(id.index));
    let held = match armed.point {
        Point::InLog => carries,
        Point::SomeFollowers => carries && !armed.chosen(to),
        Point::CommittedOnLeader => told,
        _ => false,
    };
    if held {
        std::future::pending::<()>().await;
    }
}

/// A follower answered an append that told it of commits up to `told`.
pub(crate) async fn answered(by: MemberId, told: Option<LogId>, reply: &AppendReply) {
    let Some(armed) = ARMED.as_ref() else {
        return;
    };
    let flushed = match &reply.outcome {
        Some(append_reply::Outcome::Flushed(id)) => armed.covers(id.index),
        _ => false,
    };
    let told = told.is_some_and(|id| armed.covers(id.index));
    match armed.point {
        Point::SomeFollowers if flushed => armed.count_down(by),
        Point::AllFollowers if flushed => {
            armed.count_down(by);
            std::future::pending::<()>().await;
        }
        Point::CommittedEverywhere if told => armed.count_down(by),
        _ => {}
    }
}

/// A committed entry is about to be applied.
pub(crate) fn applying(index: u64) {
    if let Some(armed) = at(Point::CommittedOnLeader)
        && armed.covers(index)
    {
        armed.die();
    }
}

/// What was applied up to here is about to be answered to clients.
pub(crate) async fn answering(last: u64) {
    if let Some(armed) = at(Point::CommittedEverywhere)
        && armed.covers(last)
    {
        std::future::pending::<()>().await;
    }
}
