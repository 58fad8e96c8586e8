//! What a server says of itself and its cluster.

use kvorum_processes::Client;
use kvorum_proto::etcdserverpb::{AlarmRequest, MemberListRequest};

/// The one member is listed with its name and URLs.
pub async fn the_member_is_listed(client: &Client) {
    for linearizable in [true, false] {
        let request = MemberListRequest { linearizable };
        let listed = client
            .cluster()
            .member_list(request)
            .await
            .unwrap()
            .into_inner();
        let [member] = &listed.members[..] else {
            panic!("{listed:?}");
        };
        assert_eq!((member.name.as_str(), member.is_learner), ("m1", false));
        assert_eq!((member.peer_ur_ls.len(), member.client_ur_ls.len()), (1, 1));
        assert_eq!(member.id, listed.header.unwrap().member_id);
    }
}

/// Status names a leader, an etcd version that clients understand, and its indexes.
pub async fn status_is_told(client: &Client) {
    client.put("a", "1").await.unwrap();
    let status = client.status().await.unwrap();
    let header = status.header.unwrap();
    assert_eq!(
        (status.leader, header.revision, status.is_learner),
        (header.member_id, 2, false)
    );
    assert!(status.version.starts_with("3."), "{}", status.version);
    assert!(status.raft_term > 0 && status.raft_index >= status.raft_applied_index);
    assert!(status.raft_applied_index > 0 && status.db_size > 0);
    assert_eq!(status.errors, Vec::<String>::new());
}

/// No alarm is on.
pub async fn no_alarm_is_on(client: &Client) {
    let alarms = client
        .maintenance()
        .alarm(AlarmRequest::default())
        .await
        .unwrap();
    assert!(alarms.into_inner().alarms.is_empty());
}

/// A client that insists on a leader is served where there is one.
pub async fn insisting_on_a_leader_is_served(client: &Client) {
    let mut request = tonic::Request::new(kvorum_proto::etcdserverpb::RangeRequest {
        key: b"a".as_slice().into(),
        ..kvorum_proto::etcdserverpb::RangeRequest::default()
    });
    request.metadata_mut().insert(
        "hasleader",
        tonic::metadata::MetadataValue::from_static("true"),
    );
    client.kv().range(request).await.unwrap();
}
