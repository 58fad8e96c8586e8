//! Do all members hold the same? The leader compares hashes of the key space, and
//! raises the corruption alarm for the member that differs from the majority.

use crate::consensus::types::MemberId;
use crate::limits::HASH_TIMEOUT;
use crate::member::Member;
use kvorum_proto::etcdserverpb::alarm_request::AlarmAction;
use kvorum_proto::etcdserverpb::{AlarmRequest, AlarmType};
use kvorum_proto::log::{Command, command};
use kvorum_proto::peer::{KeySpaceHash, call, call_reply};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Members whose hash differs from that of the majority of those that can be compared;
/// none if there is no majority. Pure.
#[must_use]
pub fn differing(hashes: &BTreeMap<MemberId, KeySpaceHash>) -> Vec<MemberId> {
    let mut votes: BTreeMap<(i64, i64, u32), usize> = BTreeMap::new();
    for hash in hashes.values() {
        *votes
            .entry((hash.revision, hash.compacted, hash.hash))
            .or_default() += 1;
    }
    let Some((major, count)) = votes.iter().max_by_key(|(_, count)| **count) else {
        return Vec::new();
    };
    if *count * 2 <= hashes.len() {
        return Vec::new();
    }
    let comparable = |h: &KeySpaceHash| (h.revision, h.compacted) == (major.0, major.1);
    let wrong = hashes
        .iter()
        .filter(|(_, h)| comparable(h) && h.hash != major.2);
    wrong.map(|(id, _)| *id).collect()
}

impl Member {
    /// This member's hash up to a revision; `None` if it cannot say.
    pub(crate) async fn hash_here(&self, revision: i64) -> Option<KeySpaceHash> {
        let store = self.store().clone();
        let hashed = tokio::task::spawn_blocking(move || store.hash_kv(revision)).await;
        let hash = hashed.ok()?.ok()?;
        Some(KeySpaceHash {
            hash: hash.hash,
            revision: hash.revision,
            compacted: hash.compacted,
        })
    }

    async fn hash_there(&self, id: MemberId, revision: i64) -> Option<(MemberId, KeySpaceHash)> {
        let call = call::Call::Hash(revision);
        match self.consensus().ask(id, call, HASH_TIMEOUT).await {
            Some(call_reply::Reply::Hash(hash)) => Some((id, hash)),
            _ => None,
        }
    }

    async fn compare(&self) {
        let Some(here) = self.hash_here(0).await else {
            return;
        };
        let nodes = self.consensus().status().nodes;
        let others = nodes.keys().filter(|id| **id != self.id());
        let asked = others.map(|id| self.hash_there(*id, here.revision));
        let answers = futures::future::join_all(asked).await;
        let mut hashes: BTreeMap<_, _> = answers.into_iter().flatten().collect();
        hashes.insert(self.id(), here);
        for id in differing(&hashes) {
            tracing::error!(
                member = id,
                revision = here.revision,
                "This member holds something else than the majority: raising the corruption alarm. \
                 Remove it and add a new member with an empty directory"
            );
            let alarm = AlarmRequest {
                action: AlarmAction::Activate.into(),
                member_id: id,
                alarm: AlarmType::Corrupt.into(),
            };
            let command = Command {
                op: Some(command::Op::Alarm(alarm)),
                ..Command::default()
            };
            if let Err(error) = self.consensus().propose(&command).await {
                tracing::warn!(%error, "Raising the corruption alarm failed; trying again");
            }
        }
    }
}

/// Compares every so often while this member leads, until the process ends.
pub async fn run(member: Arc<Member>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        if member.consensus().leads() {
            member.compare().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_minority_that_can_be_compared_is_blamed() {
        let hash = |revision, compacted, hash| KeySpaceHash {
            hash,
            revision,
            compacted,
        };
        let blamed = |list: &[KeySpaceHash]| differing(&(1..).zip(list.iter().copied()).collect());
        let good = hash(9, 2, 77);
        assert!(blamed(&[good, good, good]).is_empty());
        assert_eq!(blamed(&[good, hash(9, 2, 1), good]), [2]);
        assert_eq!(blamed(&[hash(9, 2, 1), good, good]), [1], "the leader, too");
        assert!(
            blamed(&[good, good, hash(9, 5, 1)]).is_empty(),
            "compacted since"
        );
        assert!(blamed(&[good, hash(9, 2, 1)]).is_empty(), "no majority");
        assert!(blamed(&[]).is_empty());
    }
}
