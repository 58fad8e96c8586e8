//! Whether to talk to somebody who says who they are and whom they expect.

use super::link::VERSION;
use kvorum_proto::peer::{Hello, Refusal, Welcome};

fn refuse(reason: Refusal, refused: String) -> Welcome {
    Welcome {
        refused,
        reason: reason.into(),
    }
}

/// Whether to tell this one who the members are; pure.
#[must_use]
pub(super) fn judge_newcomer(hello: &Hello) -> Welcome {
    if hello.version != VERSION {
        let text = format!("peer protocol {} is not {VERSION}", hello.version);
        return refuse(Refusal::Version, text);
    }
    Welcome::default()
}

/// Whether to talk to someone who says this; pure.
#[must_use]
pub(super) fn judge(
    hello: &Hello,
    us: &kvorum_storage::identity::Identity,
    known_store: &str,
    removed: bool,
) -> Welcome {
    let welcome = judge_newcomer(hello);
    if !welcome.refused.is_empty() {
        return welcome;
    }
    if hello.cluster_id != us.cluster_id {
        let text = format!(
            "cluster ID mismatch: the sender belongs to cluster {:016x}, this member to {:016x}",
            hello.cluster_id, us.cluster_id
        );
        return refuse(Refusal::Cluster, text);
    }
    if hello.to != us.member_id {
        let text = format!(
            "member {} was called, but this is member {}",
            hello.to, us.member_id
        );
        return refuse(Refusal::NotMe, text);
    }
    if removed {
        let text = format!(
            "member {} was removed from the cluster: its ID and its data directory must not be used again; \
             add a new member with an empty directory",
            hello.from
        );
        return refuse(Refusal::Removed, text);
    }
    if !hello.to_store.is_empty() && hello.to_store != us.store_uuid {
        let text = format!(
            "the cluster knows member {} by data directory {}, but this one is {}: a member ID with a \
             new or emptied directory must not be used again; remove the member and add a new one",
            us.member_id, hello.to_store, us.store_uuid
        );
        return refuse(Refusal::StoreOfReceiver, text);
    }
    if !known_store.is_empty() && hello.from_store != known_store {
        let text = format!(
            "member {} has already been bootstrapped with data directory {known_store}, and now comes \
             with {}: a member ID with a new or emptied directory must not be used again; remove the \
             member and add a new one",
            hello.from, hello.from_store
        );
        return refuse(Refusal::StoreOfSender, text);
    }
    Welcome::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kvorum_proto::peer::Purpose;
    use kvorum_storage::identity::Identity;

    #[test]
    fn strangers_and_wiped_members_are_refused() {
        let us = Identity {
            format: 1,
            cluster_id: 7,
            member_id: 2,
            store_uuid: "ours".to_owned(),
        };
        let good = Hello {
            version: VERSION,
            cluster_id: 7,
            from: 1,
            from_store: "theirs".to_owned(),
            to: 2,
            to_store: "ours".to_owned(),
            purpose: Purpose::Append.into(),
        };
        let reason = |change: fn(&mut Hello), known: &str| {
            let mut hello = good.clone();
            change(&mut hello);
            judge(&hello, &us, known, false).reason()
        };
        assert_eq!(reason(|_| {}, "theirs"), Refusal::None);
        assert_eq!(reason(|h| h.to_store.clear(), ""), Refusal::None);
        assert_eq!(reason(|h| h.version = 9, ""), Refusal::Version);
        assert_eq!(reason(|h| h.cluster_id = 8, ""), Refusal::Cluster);
        assert_eq!(reason(|h| h.to = 3, ""), Refusal::NotMe);
        assert_eq!(
            reason(|h| h.to_store = "x".to_owned(), ""),
            Refusal::StoreOfReceiver
        );
        assert_eq!(reason(|_| {}, "older"), Refusal::StoreOfSender);
        let removed = judge(&good, &us, "theirs", true);
        assert_eq!(removed.reason(), Refusal::Removed);
    }
}
