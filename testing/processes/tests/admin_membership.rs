//! Goal: the operator can grow, shrink and repair a running cluster by learners and single
//! joint changes: no acknowledged write is lost, the voters are never even in number, and
//! what would endanger the cluster is refused.
//! Method: real processes in join mode, and the admin API as the operator uses it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use kvorum_processes::Joined;
use kvorum_processes::limits::{EXIT_TIMEOUT, POLL, READY_TIMEOUT};
use kvorum_processes::load::Load;
use kvorum_proto::admin::{
    AddLearnerRequest, AllocateMemberRequest, InspectRequest, LogId, MemberState,
    RemoveLearnerRequest, TransferLeaderRequest,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use tonic::{Code, Status};

/// The sets of voters that any member ever showed, two where a change was half done.
type Seen = Arc<Mutex<BTreeSet<Vec<Vec<u64>>>>>;

/// Looks at every place all the time.
fn sample(joined: &Joined) -> (Seen, tokio::task::JoinHandle<()>) {
    let seen = Seen::default();
    let admins: Vec<_> = (0..joined.ids.len()).map(|i| joined.admin(i)).collect();
    let noted = seen.clone();
    let looking = tokio::spawn(async move {
        loop {
            for admin in &admins {
                let Ok(response) = admin.clone().inspect(InspectRequest {}).await else {
                    continue;
                };
                let configs = response.into_inner().configs;
                let configs = configs.into_iter().map(|set| set.ids).collect::<Vec<_>>();
                noted.lock().unwrap().insert(configs);
            }
            tokio::time::sleep(POLL).await;
        }
    });
    (seen, looking)
}

fn text(result: Result<impl std::fmt::Debug, Status>) -> String {
    let status = result.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    status.message().to_owned()
}

/// Starts members at these places under new IDs and makes them learners.
async fn join(joined: &mut Joined, places: std::ops::Range<usize>) {
    for place in places {
        let id = joined.allocate(&format!("place-{place}")).await.unwrap();
        joined.start_member(place, id);
        let seen = joined.inspect(place).await;
        assert_eq!(seen.state(), MemberState::Waiting, "before it is added");
        assert!(!joined.add_learner(place, None).await.unwrap().already);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_grows_to_five_and_shrinks_to_one_under_load() {
    let mut joined = Joined::start(5, 1, &[]).await;
    let (seen, looking) = sample(&joined);
    let load = Load::start(&joined.cluster.endpoints(), 8);
    load.more(200, READY_TIMEOUT).await;
    for (size, newcomers) in [(3, 1..3), (5, 3..5)] {
        join(&mut joined, newcomers).await;
        load.more(100, READY_TIMEOUT).await;
        let voters = joined.ids[..size].to_vec();
        joined.change_voters_until(&voters).await;
        load.more(200, READY_TIMEOUT).await;
    }
    // The leader is among those that leave, each time.
    let mut rest: BTreeSet<u64> = joined.ids.iter().copied().collect();
    for size in [3, 1] {
        let (_, leader) = joined.leader().await;
        rest.remove(&leader.member_id);
        while rest.len() > size {
            rest.pop_last();
        }
        let voters: Vec<u64> = rest.iter().copied().collect();
        joined.change_voters_until(&voters).await;
        for place in 0..5 {
            if joined.cluster.members[place].runs() && !rest.contains(&joined.ids[place]) {
                let status = joined.cluster.members[place].exited(EXIT_TIMEOUT).await;
                assert!(
                    status.success(),
                    "a removed member ends by itself: {status}"
                );
            }
        }
        load.more(200, READY_TIMEOUT).await;
    }
    looking.abort();
    let outcome = load.stop().await;
    let (place, last) = joined.leader().await;
    outcome
        .verify(&joined.cluster.members[place].client())
        .await;
    println!(
        "{} acknowledged writes are there; longest time without one {:?}; {} failed",
        outcome.acknowledged.len(),
        outcome.longest_gap,
        outcome.failed
    );
    assert_eq!(last.removed.len(), 4);
    let seen = seen.lock().unwrap().clone();
    println!("voters seen: {seen:?}");
    for set in seen.iter().flatten() {
        assert!(!set.len().is_multiple_of(2), "even: {set:?}");
    }
    let uniform = seen.iter().filter(|configs| configs.len() == 1);
    let sizes: BTreeSet<usize> = uniform.map(|configs| configs[0].len()).collect();
    assert_eq!(sizes, BTreeSet::from([1, 3, 5]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_planned_by_another_membership_is_refused() {
    let mut joined = Joined::start(5, 3, &[]).await;
    let (leader, before) = joined.leader().await;
    join(&mut joined, 3..4).await;
    let (_, after) = joined.leader().await;
    let words =
        |id: Option<LogId>| id.map_or(String::new(), |id| format!("{}.{}", id.term, id.index));
    let moved = format!(
        "the membership moved: the change was planned for log {}, it is {} now; look again",
        words(before.membership_log),
        words(after.membership_log)
    );
    joined.start_member(4, 50);
    let old = before.membership_log;
    assert_eq!(text(joined.add_learner(4, old).await), moved);
    assert_eq!(text(joined.change_voters(&[1, 2, 4], old).await), moved);
    let remove = |expected_membership_log, id| RemoveLearnerRequest {
        expected_membership_log,
        id,
    };
    let mut admin = joined.admin(leader);
    assert_eq!(text(admin.remove_learner(remove(old, 4)).await), moved);
    // Repeating what has been done is no harm, even with the old position.
    assert!(joined.add_learner(3, old).await.unwrap().already);
    assert_eq!(joined.inspect(3).await.state(), MemberState::Learner);

    // Followers change nothing, and say who does.
    let follower = (leader + 1) % 3;
    let not_here = format!("not the leader; the leader is {}", leader + 1);
    let mut other = joined.admin(follower);
    let key = || AllocateMemberRequest {
        key: "elsewhere".to_owned(),
    };
    let move_to = |target| TransferLeaderRequest { target };
    assert_eq!(text(other.allocate_member(key()).await), not_here);
    assert_eq!(text(other.transfer_leader(move_to(1)).await), not_here);
    assert_eq!(text(other.remove_learner(remove(old, 4)).await), not_here);

    // A learner goes for good: its process ends, its ID is never taken again.
    let now = after.membership_log;
    let gone = admin.remove_learner(remove(now, 4)).await.unwrap();
    assert!(!gone.into_inner().already);
    let again = admin.remove_learner(remove(now, 4)).await.unwrap();
    assert!(again.into_inner().already);
    joined.cluster.members[3].exited(EXIT_TIMEOUT).await;
    std::fs::remove_dir_all(&joined.cluster.members[3].data_dir).unwrap();
    joined.start_member(3, 4);
    assert_eq!(
        text(joined.add_learner(3, None).await),
        "member 4 was removed: its ID must not be used again; allocate a new one"
    );
    // Neither it nor one that was never added does anything by itself.
    for place in [3, 4] {
        let seen = joined.inspect(place).await;
        assert_eq!(seen.state(), MemberState::Waiting);
        assert!(!seen.initialized);
    }

    let target = follower as u64 + 1;
    let moved = admin.transfer_leader(move_to(target)).await.unwrap();
    assert!(!moved.into_inner().already);
    let again = joined
        .admin(follower)
        .transfer_leader(move_to(target))
        .await;
    assert!(again.unwrap().into_inner().already);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_never_given_out_twice() {
    let mut joined = Joined::start(3, 3, &[]).await;
    assert_eq!(joined.allocate("a").await.unwrap(), 4);
    assert_eq!(joined.allocate("b").await.unwrap(), 5);
    assert_eq!(joined.allocate("a").await.unwrap(), 4);
    for member in &mut joined.cluster.members {
        member.kill();
        member.start().unwrap();
    }
    joined.cluster.wait_ready().await;
    assert_eq!(joined.allocate("b").await.unwrap(), 5);
    assert_eq!(joined.allocate("c").await.unwrap(), 6);
    // Also behind a durable point, as after a clean stop.
    for member in &mut joined.cluster.members {
        member.terminate().await;
        member.start().unwrap();
    }
    joined.cluster.wait_ready().await;
    assert_eq!(joined.allocate("a").await.unwrap(), 4);
    assert_eq!(joined.allocate("d").await.unwrap(), 7);
    // What etcd's MemberAdd took counts as well.
    let request = kvorum_proto::etcdserverpb::MemberAddRequest {
        peer_ur_ls: vec!["http://127.0.0.1:1".to_owned()],
        is_learner: true,
    };
    let client = joined.cluster.members[0].client();
    let added = client.cluster().member_add(request).await.unwrap();
    let taken = added.into_inner().member.unwrap().id;
    assert_eq!(joined.allocate("e").await.unwrap(), taken + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_stay_given_out_where_a_snapshot_was_installed() {
    let mut joined = Joined::start(3, 1, &["--snapshot-count=1000"]).await;
    assert_eq!(joined.allocate("first").await.unwrap(), 2);
    let load = Load::start(&joined.cluster.endpoints()[..1], 32);
    // Many looks of the upkeep: the log's beginning is purged behind these.
    load.more(30_000, 2 * READY_TIMEOUT).await;
    join(&mut joined, 1..3).await;
    joined.cluster.members[1]
        .prints("Received a snapshot")
        .await;
    let ids = joined.ids.clone();
    joined.change_voters_until(&ids).await;
    let outcome = load.stop().await;
    let until = std::time::Instant::now() + READY_TIMEOUT;
    loop {
        let (place, _) = joined.leader().await;
        if place == 1 {
            break;
        }
        let request = TransferLeaderRequest { target: ids[1] };
        let _ = joined.admin(place).transfer_leader(request).await;
        assert!(std::time::Instant::now() < until);
    }
    assert_eq!(joined.allocate("first").await.unwrap(), 2);
    assert_eq!(joined.allocate("last").await.unwrap(), 5);
    outcome.verify(&joined.cluster.members[1].client()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_member_is_replaced_by_one_change() {
    let mut joined = Joined::start(4, 3, &[]).await;
    let load = Load::start(&joined.cluster.endpoints(), 8);
    load.more(200, READY_TIMEOUT).await;
    let (leader, _) = joined.leader().await;
    let dead = (leader + 1) % 3;
    joined.cluster.members[dead].kill();
    join(&mut joined, 3..4).await;
    let voters: Vec<u64> = (0..4)
        .filter(|p| *p != dead)
        .map(|p| joined.ids[p])
        .collect();
    joined.change_voters_until(&voters).await;
    // The new one counts: without it and the old leader nothing would go on.
    let other = (leader + 2) % 3;
    joined.cluster.members[other].kill();
    load.more(200, 2 * READY_TIMEOUT).await;
    joined.cluster.members[other].start().unwrap();
    // The dead one comes back with its disk, finds out, and ends.
    joined.cluster.members[dead].start().unwrap();
    joined.cluster.members[dead].exited(READY_TIMEOUT).await;
    let outcome = load.stop().await;
    outcome.verify(&joined.cluster.members[3].client()).await;
    assert_eq!(joined.leader().await.1.removed, [dead as u64 + 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_member_moves_to_another_place() {
    let mut joined = Joined::start(2, 1, &[]).await;
    let load = Load::start(&joined.cluster.endpoints(), 4);
    load.more(200, READY_TIMEOUT).await;
    join(&mut joined, 1..2).await;
    // Nobody stays who could take over: the leader makes the change, and ends by it.
    joined.change_voters_until(&[2]).await;
    joined.cluster.members[0].exited(EXIT_TIMEOUT).await;
    load.more(200, READY_TIMEOUT).await;
    let outcome = load.stop().await;
    outcome.verify(&joined.cluster.members[1].client()).await;
    let (place, last) = joined.leader().await;
    assert_eq!((place, last.removed), (1, vec![1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_would_find_no_quorum_is_refused() {
    let mut joined = Joined::start(6, 5, &[]).await;
    let (leader, before) = joined.leader().await;
    let others: Vec<usize> = (0..5).filter(|p| *p != leader).collect();
    for place in &others[..2] {
        joined.cluster.members[*place].kill();
    }
    // Three of five answer; of the three that are asked for, one does.
    let small: Vec<u64> = [leader, others[0], others[1]].map(|p| joined.ids[p]).into();
    assert_eq!(
        text(joined.change_voters(&small, None).await),
        "only 1 of the 3 voters after the change answer, 2 are needed: a change now would stop all writes"
    );
    joined.start_member(5, 6);
    let request = AddLearnerRequest {
        expected_membership_log: before.membership_log,
        member: Some(joined.introduce(5).await),
    };
    joined.cluster.members[others[2]].kill();
    let refused = text(joined.admin(leader).add_learner(request).await);
    // By its probes, or by a leader that knows already that it has no quorum.
    let probed = "only 2 of the 5 voters before the change answer, 3 are needed: a change now would stop all writes";
    let known = "not the leader; the leader is unknown";
    assert!([probed, known].contains(&refused.as_str()), "{refused}");
    for place in &others[..3] {
        joined.cluster.members[*place].start().unwrap();
    }
    let (_, after) = joined.leader().await;
    assert_eq!(after.membership_log, before.membership_log);
    assert_eq!(after.members.len(), 5);
}
