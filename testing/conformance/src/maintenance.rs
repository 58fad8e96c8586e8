//! Alarms, hashes, defragmenting, downgrades, moving the leader.

use crate::kv::put;
use crate::refused;
use kvorum_processes::Client;
use kvorum_proto::etcdserverpb::alarm_request::AlarmAction;
use kvorum_proto::etcdserverpb::downgrade_request::DowngradeAction;
use kvorum_proto::etcdserverpb::{
    AlarmRequest, AlarmType, CompactionRequest, DefragmentRequest, DeleteRangeRequest,
    DowngradeRequest, HashKvRequest, HashKvResponse, HashRequest, LeaseGrantRequest,
    MoveLeaderRequest,
};
use tonic::Code::{DataLoss, FailedPrecondition, InvalidArgument, OutOfRange, ResourceExhausted};

async fn alarm(
    client: &Client,
    action: AlarmAction,
    kind: AlarmType,
    member_id: u64,
) -> Vec<(u64, AlarmType)> {
    let request = AlarmRequest {
        action: action.into(),
        member_id,
        alarm: kind.into(),
    };
    let answer = client.maintenance().alarm(request).await.unwrap();
    let alarms = answer.into_inner().alarms;
    alarms.iter().map(|a| (a.member_id, a.alarm())).collect()
}

fn delete(key: &str) -> DeleteRangeRequest {
    DeleteRangeRequest {
        key: key.to_owned().into(),
        ..DeleteRangeRequest::default()
    }
}

/// An alarm is named by its member and kind, and by nothing less.
pub async fn alarms_are_raised_and_cleared(client: &Client) {
    use AlarmAction::{Activate, Deactivate, Get};
    use AlarmType::{Corrupt, None, Nospace};
    assert_eq!(alarm(client, Get, None, 0).await, []);
    assert_eq!(alarm(client, Activate, Nospace, 5).await, [(5, Nospace)]);
    assert_eq!(alarm(client, Activate, None, 5).await, []);
    assert_eq!(alarm(client, Get, None, 0).await, [(5, Nospace)]);
    assert_eq!(alarm(client, Get, Corrupt, 0).await, []);
    assert_eq!(alarm(client, Deactivate, Nospace, 0).await, []);
    assert_eq!(alarm(client, Deactivate, None, 5).await, []);
    assert_eq!(alarm(client, Deactivate, Nospace, 5).await, [(5, Nospace)]);
    assert_eq!(alarm(client, Get, None, 0).await, []);
}

/// Out of space, what needs some is refused; what frees some is not.
pub async fn the_space_alarm_refuses_what_grows(client: &Client) {
    put(client, "a", "1").await;
    alarm(client, AlarmAction::Activate, AlarmType::Nospace, 1).await;
    let text = "etcdserver: mvcc: database space exceeded";
    refused(client.put("a", "2").await, ResourceExhausted, text);
    let grant = LeaseGrantRequest { ttl: 60, id: 1 };
    refused(
        client.lease().lease_grant(grant).await,
        ResourceExhausted,
        text,
    );
    client.kv().delete_range(delete("a")).await.unwrap();
    let compaction = CompactionRequest {
        revision: 3,
        physical: false,
    };
    client.kv().compact(compaction).await.unwrap();
    alarm(client, AlarmAction::Deactivate, AlarmType::Nospace, 1).await;
    put(client, "a", "2").await;
}

/// A corrupt cluster takes no changes; it still reads.
pub async fn the_corruption_alarm_refuses_changes(client: &Client) {
    put(client, "a", "1").await;
    alarm(client, AlarmAction::Activate, AlarmType::Corrupt, 1).await;
    let text = "etcdserver: corrupt cluster";
    refused(client.put("a", "2").await, DataLoss, text);
    refused(client.kv().delete_range(delete("a")).await, DataLoss, text);
    let grant = LeaseGrantRequest { ttl: 60, id: 1 };
    refused(client.lease().lease_grant(grant).await, DataLoss, text);
    assert_eq!(client.get("a").await.unwrap().as_deref(), Some("1"));
    alarm(client, AlarmAction::Deactivate, AlarmType::Corrupt, 1).await;
    put(client, "a", "2").await;
}

async fn hash(client: &Client, revision: i64) -> HashKvResponse {
    let request = HashKvRequest { revision };
    let answer = client.maintenance().hash_kv(request).await.unwrap();
    answer.into_inner()
}

/// A hash belongs to a revision, and later writes do not change it.
pub async fn hashes_belong_to_a_revision(client: &Client) {
    put(client, "a", "1").await;
    put(client, "b", "1").await;
    let before = hash(client, 0).await;
    assert_eq!(before.hash_revision, 3);
    put(client, "a", "2").await;
    assert_eq!(hash(client, 3).await.hash, before.hash);
    assert_ne!(hash(client, 0).await.hash, before.hash);
    let future = HashKvRequest { revision: 99 };
    refused(
        client.maintenance().hash_kv(future).await,
        OutOfRange,
        "etcdserver: mvcc: required revision is a future revision",
    );
    let compaction = CompactionRequest {
        revision: 4,
        physical: true,
    };
    client.kv().compact(compaction).await.unwrap();
    let past = HashKvRequest { revision: 3 };
    refused(
        client.maintenance().hash_kv(past).await,
        OutOfRange,
        "etcdserver: mvcc: required revision has been compacted",
    );
    let whole = client.maintenance().hash(HashRequest {}).await.unwrap();
    assert_ne!(whole.into_inner().hash, 0);
}

/// Defragmenting loses nothing.
pub async fn defragmenting_keeps_everything(client: &Client) {
    for i in 0..100 {
        put(client, &format!("key-{i}"), "value").await;
    }
    let before = hash(client, 0).await.hash;
    let request = DefragmentRequest {};
    client.maintenance().defragment(request).await.unwrap();
    assert_eq!(hash(client, 0).await.hash, before);
    put(client, "after", "1").await;
    assert_eq!(
        client.get("key-99").await.unwrap().as_deref(),
        Some("value")
    );
}

/// Downgrades go one minor version down, one at a time.
pub async fn downgrades_are_announced_and_called_off(client: &Client) {
    let ask = async |action: DowngradeAction, version: &str| {
        let request = DowngradeRequest {
            action: action.into(),
            version: version.to_owned(),
        };
        let answer = client.maintenance().downgrade(request).await;
        answer.map(|a| a.into_inner().version)
    };
    use DowngradeAction::{Cancel, Enable, Validate};
    assert_eq!(ask(Validate, "3.6").await.unwrap(), "3.7");
    for version in ["x", "3", ""] {
        refused(
            ask(Validate, version).await,
            InvalidArgument,
            "etcdserver: wrong downgrade target version format",
        );
    }
    for version in ["3.5.0", "3.7.0", "4.0.0"] {
        refused(
            ask(Enable, version).await,
            InvalidArgument,
            "etcdserver: invalid downgrade target version",
        );
    }
    ask(Cancel, "").await.unwrap();
    ask(Enable, "3.6.0").await.unwrap();
    let info = client.status().await.unwrap().downgrade_info.unwrap();
    assert_eq!(
        (info.enabled, info.target_version.as_str()),
        (true, "3.6.0")
    );
    refused(
        ask(Validate, "3.6.0").await,
        FailedPrecondition,
        "etcdserver: cluster has a downgrade job in progress",
    );
    ask(Cancel, "").await.unwrap();
    let info = client.status().await.unwrap().downgrade_info.unwrap();
    assert!(!info.enabled);
}

/// Only a member with a vote can take over.
pub async fn strangers_cannot_lead(client: &Client) {
    let request = MoveLeaderRequest { target_id: 4711 };
    refused(
        client.maintenance().move_leader(request).await,
        FailedPrecondition,
        "etcdserver: bad leader transferee",
    );
}
