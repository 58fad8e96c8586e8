//! When a leader's process is gone, its connections end at once. A follower that sees
//! that need not wait for the random part of the election timeout: it asks for a
//! pre-vote as soon as the old leader's lease is over, each voter a little after the
//! one before it. Wrong guesses cost nothing: a leader that others still hear is
//! protected by their leases.

use super::Consensus;
use super::types::MemberId;
use crate::limits::{SUCCESSION_STEP, SUCCESSION_TRIES};
use std::time::Duration;

/// How long after the end of the lease this voter stands for election, among the
/// voters that are left; `None`: it is none of them. Pure.
#[must_use]
pub fn turn(voters: &[MemberId], gone: MemberId, me: MemberId) -> Option<Duration> {
    let mut left: Vec<MemberId> = voters.iter().copied().filter(|id| *id != gone).collect();
    left.sort_unstable();
    let place = left.iter().position(|id| *id == me)?;
    Some(SUCCESSION_STEP * u32::try_from(place).unwrap_or(u32::MAX))
}

impl Consensus {
    /// A member has closed its connection for appends. If it led, somebody else must.
    pub(crate) async fn hung_up(&self, id: MemberId) {
        let status = self.status();
        let me = self.context.identity.member_id;
        let Some(turn) = turn(&status.voters, id, me).filter(|_| status.leader == Some(id)) else {
            return;
        };
        let over = self.timing.election_max + turn + SUCCESSION_STEP / 10;
        for _ in 0..SUCCESSION_TRIES {
            // Whoever is heard meanwhile puts it off: the old leader came back, or a new
            // one is there.
            let silent = self.context.contact.age().unwrap_or_default();
            let wait = over.saturating_sub(silent);
            tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
            if self.led_by_another(id) || self.term() != status.term {
                return;
            }
            let silent = self.context.contact.age().unwrap_or_default();
            if silent < over {
                return;
            }
            tracing::info!(
                leader = id,
                ?silent,
                "The leader's process is gone: standing for election"
            );
            if self.raft.trigger().elect(true).await.is_err() {
                return;
            }
            tokio::time::sleep(SUCCESSION_STEP).await;
        }
    }

    fn led_by_another(&self, id: MemberId) -> bool {
        let metrics = self.raft.server_metrics();
        let leader =
            openraft::async_runtime::WatchReceiver::borrow_watched(&metrics).current_leader;
        leader.is_some_and(|now| now != id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_voter_that_is_left_has_its_turn() {
        let turns = [1, 2, 3, 4, 5].map(|me| turn(&[5, 1, 3], 3, me));
        let step = |n: u32| Some(SUCCESSION_STEP * n);
        assert_eq!(turns, [step(0), None, None, None, step(1)]);
    }
}
