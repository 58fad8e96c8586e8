//! What is refused, as one table.

use super::super::status::PeerProgress;
use super::*;

/// Voters 1 to n, all complete and heard of just now; 1 leads.
fn status(voters: u64) -> Status {
    let node = |id: u64| Node {
        peer_urls: vec![format!("http://{id}:2380")],
        ..Node::default()
    };
    let progress = PeerProgress {
        matched: Some(1000),
        heard: Some(Duration::ZERO),
    };
    Status {
        leader: Some(1),
        last_log: Some(1000),
        voters: (1..=voters).collect(),
        nodes: (1..=voters).map(|id| (id, node(id))).collect(),
        peers: (2..=voters).map(|id| (id, progress)).collect(),
        ..Status::blank(Role::Leader)
    }
}

fn view(ids: impl IntoIterator<Item = u64>) -> View {
    let ids: BTreeSet<u64> = ids.into_iter().collect();
    View {
        started: ids.clone(),
        removed: BTreeSet::from([99]),
        answering: ids,
        learners_max: 1,
    }
}

fn newcomer(url: &str, becomes_voter: bool) -> Node {
    Node {
        peer_urls: vec![url.to_owned()],
        becomes_voter,
        ..Node::default()
    }
}

#[test]
fn adding_is_refused_where_etcd_refuses_it() {
    let add = |id, url, votes| Change::Add(id, newcomer(url, votes));
    let new = || add(9, "http://9:2380", true);
    for (voters, seen, change, expected) in [
        (1, view(1..=1), new(), Ok(())),
        (3, view(1..=3), new(), Ok(())),
        (
            3,
            view(1..=3),
            add(2, "http://9:2380", true),
            Err(Refusal::IdExists),
        ),
        (
            3,
            view(1..=3),
            add(99, "http://9:2380", true),
            Err(Refusal::IdExists),
        ),
        (
            3,
            view(1..=3),
            add(9, "http://3:2380", true),
            Err(Refusal::UrlExists),
        ),
        (3, view(1..=2), new(), Err(Refusal::NotEnoughStarted)),
        (5, view(1..=4), new(), Err(Refusal::Unhealthy)),
        (5, view(1..=5), add(9, "http://9:2380", false), Ok(())),
    ] {
        let said = format!("{voters} voters, {seen:?}, {change:?}");
        assert_eq!(seen.judge(&status(voters), &change), expected, "{said}");
    }
    let mut with_learner = status(3);
    with_learner
        .nodes
        .insert(4, newcomer("http://4:2380", false));
    let second = add(9, "http://9:2380", false);
    assert_eq!(
        view(1..=4).judge(&with_learner, &second),
        Err(Refusal::TooManyLearners)
    );
}

#[test]
fn removing_never_leaves_less_than_a_quorum() {
    for (voters, seen, id, expected) in [
        (3, view(1..=3), 3, Ok(())),
        (3, view(1..=3), 9, Err(Refusal::NotFound)),
        (1, view(1..=1), 1, Err(Refusal::NotEnoughStarted)),
        // 3 is dead: it may go, but nobody else.
        (3, view(1..=2), 3, Ok(())),
        (3, view([1, 2]), 2, Err(Refusal::NotEnoughStarted)),
        (5, view(1..=3), 5, Ok(())),
        (5, view(1..=3), 3, Err(Refusal::NotEnoughStarted)),
    ] {
        let said = format!("{voters} voters, {seen:?}, remove {id}");
        let change = Change::Remove(id);
        assert_eq!(seen.judge(&status(voters), &change), expected, "{said}");
    }
    let silent = View {
        started: (1..=3).collect(),
        ..view([1, 2])
    };
    assert_eq!(
        silent.judge(&status(3), &Change::Remove(2)),
        Err(Refusal::Unhealthy)
    );
}

#[test]
fn a_vote_is_given_once_the_log_has_caught_up() {
    let fresh = Duration::from_millis(200);
    let at = |matched, becomes_voter| {
        let mut s = status(3);
        s.last_log = Some(100_000);
        s.nodes.insert(4, newcomer("http://4:2380", becomes_voter));
        let progress = PeerProgress {
            matched: Some(matched),
            heard: Some(Duration::ZERO),
        };
        s.peers.insert(4, progress);
        s
    };
    let promote = |s: &Status| view(1..=4).judge(s, &Change::Promote(4));
    assert_eq!(promote(&at(89_999, false)), Err(Refusal::NotInSync));
    assert_eq!(promote(&at(90_000, false)), Ok(()));
    assert_eq!(promote(&at(90_000, true)), Err(Refusal::NotLearner));
    assert_eq!(
        view(1..=3).judge(&at(100_000, false), &Change::Promote(4)),
        Err(Refusal::NotInSync),
        "it does not answer"
    );
    assert_eq!(due_vote(&at(90_000, true), fresh), None);
    assert_eq!(due_vote(&at(99_500, true), fresh), Some(4));
    assert_eq!(
        due_vote(&at(99_500, false), fresh),
        None,
        "a learner stays one"
    );
}

#[test]
fn codes_come_back() {
    assert_eq!(Refusal::from_code(0), None);
    for code in 1..=8 {
        assert_eq!(Refusal::from_code(code).map(|r| r as u32), Some(code));
    }
    assert_eq!(Refusal::from_code(77), Some(Refusal::Unhealthy));
}
