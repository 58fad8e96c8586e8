//! What the operator is refused, as one table.

use super::*;
use crate::consensus::status::{PeerProgress, Role};
use crate::consensus::types::log_id;

/// Voters 1 to n and learner 9, all complete and heard of just now; 1 leads.
fn status(voters: u64) -> Status {
    let ids = || (1..=voters).chain([9]);
    let node = |id: u64| Node {
        peer_urls: vec![format!("http://{id}:2380")],
        ..Node::default()
    };
    let progress = PeerProgress {
        matched: Some(5000),
        heard: Some(Duration::ZERO),
    };
    Status {
        leader: Some(1),
        last_log: Some(5000),
        membership_log: Some(log_id(2, 40)),
        voters: (1..=voters).collect(),
        nodes: ids().map(|id| (id, node(id))).collect(),
        peers: ids().map(|id| (id, progress)).collect(),
        ..Status::blank(Role::Leader)
    }
}

struct World {
    status: Status,
    view: View,
    expected: (u64, u64),
}

fn world(voters: u64) -> World {
    World {
        status: status(voters),
        view: View {
            removed: BTreeSet::from([7]),
            answering: (1..=voters).chain([9]).collect(),
            ..View::default()
        },
        expected: (2, 40),
    }
}

impl World {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn judge(&self, change: &Managed) -> String {
        let store = |id: &MemberId| (*id, format!("store-{id}"));
        let case = Case {
            status: &self.status,
            view: &self.view,
            stores: &self.status.nodes.keys().map(store).collect(),
            me: 1,
            expected: Some(log_id(self.expected.0, self.expected.1)),
            fresh: Duration::from_secs(1),
        };
        match case.judge(change) {
            Ok(verdict) => format!("{verdict:?}"),
            Err(denial) => denial.to_string(),
        }
    }
}

fn add(id: MemberId, store: &str, url: &str) -> Managed {
    let node = Node {
        peer_urls: vec![url.to_owned()],
        store_uuid: store.to_owned(),
        ..Node::default()
    };
    Managed::AddLearner(id, node)
}

fn new_learner() -> Managed {
    add(10, "store-10", "http://10:2380")
}

fn voters(ids: impl IntoIterator<Item = MemberId>) -> Managed {
    Managed::ChangeVoters(ids.into_iter().collect())
}

const HALF_DONE: &str =
    "a membership change is half done; it is finished by itself, then look again";
const MOVED: &str =
    "the membership moved: the change was planned for log 2.39, it is 2.40 now; look again";

const SILENT: &str = "member 9 was not heard of just now: wait until it follows the log";

fn joint(w: &mut World) {
    w.status.joint = true;
}

fn stale(w: &mut World) {
    w.expected = (2, 39);
}

fn silent(ids: &'static [MemberId]) -> impl FnOnce(&mut World) {
    |w| w.view.answering.retain(|id| !ids.contains(id))
}

#[test]
fn a_learner_is_added_once_and_only_with_its_own_store() {
    let again = || add(9, "store-9", "http://9:2380");
    for (world, change, expected) in [
        (world(3), new_learner(), "Make"),
        (world(3).with(silent(&[3])), new_learner(), "Make"),
        (world(3), again(), "Already"),
        // The answer to the first call may have been lost: it has moved the membership itself.
        (world(3).with(stale).with(joint), again(), "Already"),
        (world(3).with(joint), new_learner(), HALF_DONE),
        (world(3).with(stale), new_learner(), MOVED),
        (
            world(3),
            add(7, "store-7", "http://7:2380"),
            "member 7 was removed: its ID must not be used again; allocate a new one",
        ),
        (
            world(3),
            add(9, "new-disk", "http://9:2380"),
            "member 9 is known by data directory store-9, not new-disk: allocate a new ID for the new directory",
        ),
        (
            world(3),
            add(2, "store-2", "http://2:2380"),
            "member 2 has a vote: change the voters instead",
        ),
        (
            world(3),
            add(10, "store-10", "http://2:2380"),
            "a peer URL of member 10 is another member's: every member needs its own",
        ),
        (
            world(3).with(silent(&[2, 3])),
            new_learner(),
            "only 1 of the 3 voters before the change answer, 2 are needed: a change now would stop all writes",
        ),
    ] {
        assert_eq!(world.judge(&change), expected, "{change:?}");
    }
}

#[test]
fn only_a_learner_is_removed() {
    let remove = Managed::RemoveLearner;
    for (world, change, expected) in [
        (world(3), remove(9), "Make"),
        (world(3).with(stale), remove(8), "Already"),
        (world(3).with(stale), remove(9), MOVED),
        (world(3).with(joint), remove(9), HALF_DONE),
        (
            world(3),
            remove(3),
            "member 3 has a vote: change the voters instead",
        ),
        (
            world(5).with(silent(&[2, 3, 4])),
            remove(9),
            "only 2 of the 5 voters before the change answer, 3 are needed: a change now would stop all writes",
        ),
    ] {
        assert_eq!(world.judge(&change), expected, "{change:?}");
    }
}

#[test]
fn voters_change_to_an_odd_set_that_has_a_quorum() {
    let lagging = |matched| {
        move |w: &mut World| {
            let heard = Some(Duration::ZERO);
            let matched = Some(matched);
            w.status.peers.insert(9, PeerProgress { matched, heard });
        }
    };
    let unheard = |heard| {
        move |w: &mut World| {
            let matched = Some(5000);
            w.status.peers.insert(9, PeerProgress { matched, heard });
        }
    };
    for (world, change, expected) in [
        (world(3), voters([1, 2, 9]), "Make"),
        (
            world(1),
            voters([1, 9, 9]),
            "2 voters: the number must be odd, since an even one survives no more losses than one less",
        ),
        (
            world(3),
            voters([]),
            "no voters: a cluster needs one at least",
        ),
        (world(5), voters([1, 2, 3]), "Make"),
        (world(5), voters([1]), "Make"),
        // 3 is dead and replaced.
        (world(3).with(silent(&[3])), voters([1, 2, 9]), "Make"),
        (world(3).with(stale), voters([1, 2, 3]), "Already"),
        (world(3).with(joint), voters([1, 2, 3]), HALF_DONE),
        (world(3).with(stale), voters([1, 2, 9]), MOVED),
        (
            world(3),
            voters([1, 2, 8]),
            "member 8 is not in the membership: add it as a learner first",
        ),
        (
            world(3),
            voters([2, 3, 9]),
            "member 1 leads and would leave: hand leadership over first",
        ),
        (world(1), voters([9]), "Make"),
        (world(3).with(lagging(4000)), voters([1, 2, 9]), "Make"),
        (
            world(3).with(lagging(3999)),
            voters([1, 2, 9]),
            "member 9 lags 1001 entries behind, more than 1000: wait until it has caught up",
        ),
        (
            world(3).with(unheard(Some(Duration::from_secs(2)))),
            voters([1, 2, 9]),
            SILENT,
        ),
        (world(3).with(unheard(None)), voters([1, 2, 9]), SILENT),
        // The old set has no quorum.
        (
            world(5).with(silent(&[3, 4, 5])),
            voters([1, 2, 9]),
            "only 2 of the 5 voters before the change answer, 3 are needed: a change now would stop all writes",
        ),
        // The new one has none: it would lose the ones that answer.
        (
            world(5).with(silent(&[2, 3])),
            voters([1, 2, 3]),
            "only 1 of the 3 voters after the change answer, 2 are needed: a change now would stop all writes",
        ),
    ] {
        assert_eq!(world.judge(&change), expected, "{change:?}");
    }
}
