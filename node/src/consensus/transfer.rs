//! Handing leadership over.
//!
//! openraft's own transfer stops all writes until someone else is elected, whoever
//! was named. So it is asked only for a voter that was heard from just now and
//! whose log is complete.

use super::Consensus;
use super::status::{PeerProgress, Role, Status};
use super::types::MemberId;
use std::time::Duration;

/// Entries that the target may lag behind: they are on their way.
const LAG_MAX: u64 = 1000;

/// The best member to take over: a voter other than the leader, heard of within
/// `fresh`, with the most complete log. `None`: nobody can.
#[must_use]
pub fn choose(status: &Status, me: MemberId, fresh: Duration) -> Option<MemberId> {
    if status.role != Role::Leader || status.joint {
        return None;
    }
    let last = status.last_log?;
    let able = |id: &MemberId, progress: &PeerProgress| {
        *id != me
            && status.voters.contains(id)
            && progress.heard.is_some_and(|age| age <= fresh)
            && progress.matched.is_some_and(|m| m + LAG_MAX >= last)
    };
    let able = status
        .peers
        .iter()
        .filter(|(id, progress)| able(id, progress));
    able.max_by_key(|(_, progress)| progress.matched)
        .map(|(id, _)| *id)
}

impl Consensus {
    /// Hands leadership to the best other voter and waits until someone else leads.
    /// Does nothing where this member does not lead or nobody can take over.
    pub async fn hand_over(&self) {
        let fresh = 4 * self.timing.heartbeat;
        let Some(target) = choose(&self.status(), self.context.identity.member_id, fresh) else {
            return;
        };
        tracing::info!(target, "Handing leadership over");
        if self.raft.trigger().transfer_leader(target).await.is_err() {
            return;
        }
        let me = self.context.identity.member_id;
        let waited = self
            .raft
            .wait(Some(2 * self.timing.election_max))
            .metrics(
                |m| m.current_leader.is_some_and(|id| id != me),
                "another leader",
            )
            .await;
        match waited {
            Ok(_) => tracing::info!(target, "Handed leadership over"),
            Err(error) => tracing::warn!(target, %error, "Handing leadership over failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn status(peers: &[(MemberId, u64, u64)]) -> Status {
        Status {
            role: Role::Leader,
            term: 1,
            leader: Some(1),
            contact: None,
            last_log: Some(5000),
            committed: None,
            applied: None,
            purged: None,
            snapshot: None,
            membership_log: None,
            joint: false,
            voters: vec![1, 2, 3],
            nodes: BTreeMap::new(),
            peers: peers
                .iter()
                .map(|&(id, matched, heard_ms)| {
                    let progress = PeerProgress {
                        matched: Some(matched),
                        heard: Some(Duration::from_millis(heard_ms)),
                    };
                    (id, progress)
                })
                .collect(),
        }
    }

    #[test]
    fn only_a_fresh_complete_other_voter_takes_over() {
        let fresh = Duration::from_millis(200);
        let chosen = |s: &Status| choose(s, 1, fresh);
        assert_eq!(
            chosen(&status(&[(1, 5000, 0), (2, 4990, 10), (3, 5000, 10)])),
            Some(3)
        );
        assert_eq!(
            chosen(&status(&[(2, 4990, 10), (3, 5000, 900)])),
            Some(2),
            "3 is dead"
        );
        assert_eq!(chosen(&status(&[(2, 100, 10)])), None, "2 lags");
        assert_eq!(
            chosen(&status(&[(1, 5000, 0)])),
            None,
            "a single voter keeps it"
        );
        assert_eq!(chosen(&status(&[(4, 5000, 10)])), None, "4 has no vote");
        let mut joint = status(&[(2, 5000, 10)]);
        joint.joint = true;
        assert_eq!(chosen(&joint), None);
        let mut follower = status(&[(2, 5000, 10)]);
        follower.role = Role::Follower;
        assert_eq!(chosen(&follower), None);
    }
}
