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

/// Why leadership was not moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoveError {
    /// This member does not lead.
    #[error("not the leader")]
    NotLeader,
    /// The target cannot take over.
    #[error("{0}")]
    BadTarget(&'static str),
    /// It was asked and did not take over in time.
    #[error("the target did not take over in time")]
    TimedOut,
}

/// Whether `target` can take over from `me`; pure.
///
/// # Errors
/// Why not.
pub fn judge(
    status: &Status,
    me: MemberId,
    target: MemberId,
    fresh: Duration,
) -> Result<(), MoveError> {
    if status.role != Role::Leader {
        return Err(MoveError::NotLeader);
    }
    let bad = |why| Err(MoveError::BadTarget(why));
    if target == me {
        return bad("the target leads already");
    }
    if !status.nodes.contains_key(&target) {
        return bad("the target is not a member");
    }
    if !status.voters.contains(&target) {
        return bad("the target has no vote");
    }
    if status.joint {
        return bad("a membership change is half done");
    }
    let progress = status.peers.get(&target).copied().unwrap_or_default();
    if progress.heard.is_none_or(|age| age > fresh) {
        return bad("the target does not answer");
    }
    let last = status.last_log.unwrap_or(0);
    if progress.matched.is_none_or(|m| m + LAG_MAX < last) {
        return bad("the target's log is too far behind");
    }
    Ok(())
}

impl Consensus {
    /// Hands leadership to a member and waits until it leads.
    ///
    /// # Errors
    /// See [`MoveError`]; whatever cannot take over is refused before anything stops.
    pub async fn move_leader(&self, target: MemberId) -> Result<(), MoveError> {
        let me = self.context.identity.member_id;
        judge(&self.status(), me, target, 4 * self.timing.heartbeat)?;
        tracing::info!(target, "Moving leadership");
        let asked = self.raft.trigger().transfer_leader(target).await;
        asked.map_err(|_| MoveError::NotLeader)?;
        self.raft
            .wait(Some(4 * self.timing.election_max))
            .metrics(|m| m.current_leader == Some(target), "the new leader")
            .await
            .map(|_| ())
            .map_err(|_| MoveError::TimedOut)
    }

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
    use super::super::types::Node;
    use super::*;

    fn status(peers: &[(MemberId, u64, u64)]) -> Status {
        Status {
            leader: Some(1),
            last_log: Some(5000),
            voters: vec![1, 2, 3],
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
            ..Status::blank(Role::Leader)
        }
    }

    #[test]
    fn who_cannot_take_over_is_refused_by_name() {
        let mut s = status(&[(2, 5000, 10), (3, 5000, 900), (4, 5000, 0)]);
        s.nodes = [1, 2, 3, 4].map(|id| (id, Node::default())).into();
        let refused = |s: &Status, target| judge(s, 1, target, Duration::from_millis(200));
        assert_eq!(refused(&s, 2), Ok(()));
        let words = [1, 9, 4, 3].map(|target| refused(&s, target).unwrap_err().to_string());
        assert_eq!(
            words,
            [
                "the target leads already",
                "the target is not a member",
                "the target has no vote",
                "the target does not answer",
            ]
        );
        s.peers.insert(
            2,
            PeerProgress {
                matched: Some(100),
                heard: Some(Duration::ZERO),
            },
        );
        let lagging = MoveError::BadTarget("the target's log is too far behind");
        assert_eq!(refused(&s, 2), Err(lagging));
        s.role = Role::Follower;
        assert_eq!(refused(&s, 2), Err(MoveError::NotLeader));
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
