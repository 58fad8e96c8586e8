//! Goal: whatever is killed, paused or cut, the recorded history of concurrent clients is
//! linearizable, and watchers were told every change once, in order, as it was.
//! Method: random puts, gets, deletes and transactions on real processes under faults; the
//! history goes to a checker around porcupine, the watchers' promises are checked here. The
//! checker is proved by histories that must not pass.
//!
//! `KVORUM_LINEARIZABILITY_SECONDS` makes it long, `KVORUM_LINEARIZABILITY_SEED` repeats one.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_faults::World;
use kvorum_faults::faults::Faults;
use kvorum_faults::history::checker::{Verdict, check};
use kvorum_faults::history::clients::Asker;
use kvorum_faults::history::requests::{send, stale_get};
use kvorum_faults::history::watched::{Watcher, complete, ordered_unique_atomic, whole};
use kvorum_faults::history::{Action, Answer, Operation, Request, key, settle};
use kvorum_faults::network::OBSERVER;
use kvorum_faults::rules::stations;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const NAMES: [&str; 5] = ["m1", "m2", "m3", "m4", "m5"];
const CLIENTS: usize = 8;
/// One round, on a cluster of its own, is one history: longer ones take the checker too long.
const ROUND: Duration = Duration::from_secs(25);

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// One history under faults, checked.
async fn round(size: usize, seed: u64, directory: &Path) {
    let mut world = World::start(&NAMES[..size], &[], &[]).await;
    let (stop, started) = (Arc::new(AtomicBool::new(false)), Instant::now());
    let askers = (0..CLIENTS).map(|n| {
        let clients = world.clients(OBSERVER, "m");
        let asker = Asker::new(n, clients, seed.wrapping_mul(31) + n as u64, started);
        tokio::spawn(asker.run(stop.clone()))
    });
    let askers: Vec<_> = askers.collect();
    let watchers = (0..2).map(|n| {
        let watcher = Watcher::new(world.clients(OBSERVER, "m"), n);
        tokio::spawn(watcher.until_told(stop.clone()))
    });
    let watchers: Vec<_> = watchers.collect();
    let mut faults = Faults::new(seed);
    faults.run(&mut world, ROUND).await;
    stop.store(true, Ordering::SeqCst);
    let mut operations = Vec::new();
    for asker in askers {
        operations.extend(asker.await.unwrap());
    }

    let last = world.clients(OBSERVER, "m1")[0].range("k/", "k0").await;
    let last = last.unwrap().header.unwrap().revision;
    let full = Watcher::new(world.clients(OBSERVER, "m"), 0)
        .up_to(last)
        .await;
    let changes = full.batches.concat();
    assert_eq!(whole(&changes, last), Ok(()));
    assert_eq!(ordered_unique_atomic(&full.batches), Ok(()));
    let mut resumed = 0;
    for watcher in watchers {
        // It went on by itself after every fault; now to the end.
        let watcher = watcher.await.unwrap().up_to(last).await;
        assert_eq!(ordered_unique_atomic(&watcher.batches), Ok(()));
        assert_eq!(complete(&watcher.batches, &changes), Ok(()));
        resumed += watcher.resumed;
    }

    let unknown = operations.iter().filter(|o| o.returned.is_none()).count();
    let known = operations.len() - unknown;
    let settled = settle(operations, &changes);
    let open = settled.iter().filter(|o| o.returned.is_none()).count();
    let verdict = check(directory, &settled);
    println!(
        "seed {seed}, {size} members: {known} answered, {unknown} not, {open} of them in effect; \
         {} changes, watchers went on elsewhere {resumed} times; {}; {verdict:?}",
        changes.len(),
        faults.words()
    );
    assert!(matches!(verdict, Verdict::Linearizable(_)), "seed {seed}");
    assert!(known > 500, "only {known} operations were answered");
}

/// Runs with a directory that stays if it fails.
async fn kept<F: Future<Output = ()> + Send + 'static>(run: impl FnOnce(&Path) -> F) {
    let directory = tempfile::Builder::new().prefix("kvorum-history-").tempdir();
    let directory = directory.unwrap();
    let outcome = tokio::spawn(run(directory.path())).await;
    if let Err(error) = outcome {
        let kept = directory.keep();
        panic!("{error}; the history is in {}", kept.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_under_faults_are_linearizable() {
    let seconds = number("KVORUM_LINEARIZABILITY_SECONDS").unwrap_or(1);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut seed =
        number("KVORUM_LINEARIZABILITY_SEED").unwrap_or_else(|| rand::random::<u32>().into());
    let mut size = 3;
    loop {
        kept(|directory| {
            let directory = directory.to_owned();
            async move { round(size, seed, &directory).await }
        })
        .await;
        if Instant::now() >= end {
            return;
        }
        (size, seed) = (8 - size, seed + 1);
    }
}

fn action(kind: &'static str, key: usize, value: &str) -> Action {
    Action {
        kind,
        key,
        value: value.to_owned(),
    }
}

/// Runs this action alone and records it.
fn recorded(client: usize, at: u64, action: Action, answer: Answer) -> Operation {
    Operation {
        client,
        called: 10 * at,
        returned: Some(10 * at + 5),
        request: Request {
            success: vec![action],
            ..Request::default()
        },
        answer,
    }
}

async fn ask(world: &World, member: usize, action: &Action) -> Answer {
    let client = world.cluster.members[member].client();
    let request = Request {
        success: vec![action.clone()],
        ..Request::default()
    };
    send(&client, &request).await.unwrap()
}

/// A history one after the other on a real cluster passes; damaged by hand it does not.
/// And a member that answers by itself while it is cut off is caught.
#[tokio::test(flavor = "multi_thread")]
async fn the_checker_catches_what_is_not_linearizable() {
    let world = World::start(&NAMES[..3], &[], &[]).await;
    let (leader, term) = world.agreed().await;
    let away = (leader + 1) % 3;
    let mut history = Vec::new();
    let steps = [
        action("put", 0, "first"),
        action("get", 0, ""),
        action("put", 0, "second"),
        action("delete", 1, ""),
        action("get", 0, ""),
    ];
    for (at, step) in (0..).zip(&steps) {
        let answer = ask(&world, leader, step).await;
        history.push(recorded(0, at, step.clone(), answer));
    }
    let directory = tempfile::tempdir().unwrap();
    let passes = |history: &[Operation]| {
        matches!(check(directory.path(), history), Verdict::Linearizable(_))
    };
    assert!(passes(&history), "{history:?}");

    let mut old_value = history.clone();
    old_value[4].answer.replies = history[1].answer.replies.clone();
    assert!(!passes(&old_value), "a value that was replaced was read");
    let mut lost = history.clone();
    lost[4].answer.replies[0].found = None;
    assert!(!passes(&lost), "an acknowledged write was lost");
    let mut revision = history.clone();
    revision[2].answer.revision += 1;
    assert!(!passes(&revision), "a revision was left out");
    let mut unknown = history.clone();
    unknown[2].returned = None;
    unknown[2].answer = Answer::default();
    assert!(
        passes(&unknown),
        "a write that was not acknowledged may be there"
    );

    // The member away is told the second value, then cut off, then asked for the third.
    let get = action("get", 0, "");
    ask(&world, away, &get).await;
    let links = (0..3).filter(|i| *i != away);
    let links: Vec<_> = links
        .flat_map(|i| stations(NAMES[away], NAMES[i]))
        .collect();
    world.network.cut(&links);
    let third = action("put", 0, "third");
    let answer = ask(&world, leader, &third).await;
    history.push(recorded(0, 5, third, answer));
    assert!(passes(&history));
    let client = world.cluster.members[away].client();
    let stale = stale_get(&client, &get).await.unwrap();
    assert!(stale.replies[0].found.is_some(), "{} is there", key(0));
    history.push(recorded(1, 6, get, stale));
    assert!(
        !passes(&history),
        "a stale read passed for a linearizable one"
    );
    world.network.heal();
    assert_eq!(world.agreed().await, (leader, term));
}
