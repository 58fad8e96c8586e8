//! The JSON gateway, byte by byte (but for spaces between values, which etcd's library sets
//! as it likes).

use crate::http::{Answer, Posted, post};
use crate::lock::grant;
use kvorum_processes::Client;

const HEADER_1: &str =
    r#""header":{"cluster_id":"C","member_id":"M","revision":"1","raft_term":"T"}"#;

/// Removes what differs between servers: IDs, the term, spaces outside of strings.
async fn plain(client: &Client, text: &str) -> String {
    let header = client.status().await.unwrap().header.unwrap();
    let mut out = String::new();
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        if quoted || c != ' ' {
            out.push(c);
        }
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
    }
    for (number, letter) in [(header.cluster_id, "C"), (header.member_id, "M")] {
        out = out.replace(&format!("\"{number}\""), &format!("\"{letter}\""));
    }
    out.replace(
        &format!("\"raft_term\":\"{}\"", header.raft_term),
        "\"raft_term\":\"T\"",
    )
}

/// Asserts what a request is answered.
async fn answers(client: &Client, path: &str, body: &str, status: u16, expected: &str) {
    let answer = post(client, path, body).await.whole().await;
    let text = plain(client, &answer.body).await;
    assert_eq!(
        (answer.status, text.as_str()),
        (status, expected),
        "{path} {body}"
    );
    assert_eq!(
        answer.header("content-type"),
        Some("application/json"),
        "{path}"
    );
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("*"),
        "{path}"
    );
}

fn header(revision: i64) -> String {
    HEADER_1.replace(
        "\"revision\":\"1\"",
        &format!("\"revision\":\"{revision}\""),
    )
}

/// Numbers are strings, bytes are base64, defaults are left out.
pub async fn keys_are_put_and_read(client: &Client) {
    let put = |revision| format!("{{{}}}", header(revision));
    answers(
        client,
        "/v3/kv/put",
        r#"{"key":"YQ==","value":"MQ=="}"#,
        200,
        &put(2),
    )
    .await;
    let previous = format!(
        r#"{{{},"prev_kv":{{"key":"YQ==","create_revision":"2","mod_revision":"2","version":"1","value":"MQ=="}}}}"#,
        header(3)
    );
    let body = r#"{"key":"YQ==","value":"Mg==","prevKv":true,"nosuch":1}"#;
    answers(client, "/v3/kv/put", body, 200, &previous).await;
    let found = format!(
        r#"{{{},"kvs":[{{"key":"YQ==","create_revision":"2","mod_revision":"3","version":"2","value":"Mg=="}}],"count":"1"}}"#,
        header(3)
    );
    for body in [
        r#"{"key":"YQ=="}"#,
        r#"{"key":"YQ","limit":"1","sort_order":"NOPE"}"#,
        r#"{"key":"YQ==","limit":1,"sortOrder":"ASCEND"} trailing"#,
    ] {
        answers(client, "/v3/kv/range", body, 200, &found).await;
    }
    answers(client, "/v3beta/kv/range", r#"{"key":"YQ=="}"#, 200, &found).await;
    let deleted = format!(r#"{{{},"deleted":"1"}}"#, header(4));
    answers(
        client,
        "/v3/kv/deleterange",
        r#"{"key":"YQ=="}"#,
        200,
        &deleted,
    )
    .await;
    let compacted = format!("{{{}}}", header(4));
    answers(
        client,
        "/v3/kv/compaction",
        r#"{"revision":"3"}"#,
        200,
        &compacted,
    )
    .await;
}

/// Unions are written as the one that is set.
pub async fn transactions_work(client: &Client) {
    let body = r#"{"compare":[{"key":"YQ==","target":"VERSION","result":"EQUAL","version":"0"}],
        "success":[{"requestPut":{"key":"YQ==","value":"Mw=="}},{"request_range":{"key":"YQ=="}}]}"#;
    let expected = format!(
        r#"{{{},"succeeded":true,"responses":[{{"response_put":{{"header":{{"revision":"2"}}}}}},{{"response_range":{{"header":{{"revision":"2"}},"kvs":[{{"key":"YQ==","create_revision":"2","mod_revision":"2","version":"1","value":"Mw=="}}],"count":"1"}}}}]}}"#,
        header(2)
    );
    answers(client, "/v3/kv/txn", body, 200, &expected).await;
}

/// Codes and texts are gRPC's, the HTTP status follows from the code.
pub async fn errors_have_codes(client: &Client) {
    let cases: &[(&str, &str, u16, &str)] = &[
        (
            "/v3/kv/range",
            "{}",
            400,
            r#"{"code":3,"message":"etcdserver: key is not provided"}"#,
        ),
        (
            "/v3/kv/range",
            "",
            400,
            r#"{"code":3,"message":"etcdserver: key is not provided"}"#,
        ),
        (
            "/v3/kv/range",
            r#"{"key":"YQ=="#,
            400,
            r#"{"code":3,"message":"unexpected EOF"}"#,
        ),
        (
            "/v3/kv/range",
            r#"{"key":"YQ==","revision":"99"}"#,
            400,
            r#"{"code":11,"message":"etcdserver: mvcc: required revision is a future revision"}"#,
        ),
        (
            "/v3/lease/revoke",
            r#"{"ID":77}"#,
            404,
            r#"{"code":5,"message":"etcdserver: requested lease not found"}"#,
        ),
        (
            "/v3/kv/lease/revoke",
            r#"{"ID":"77"}"#,
            404,
            r#"{"code":5,"message":"etcdserver: requested lease not found"}"#,
        ),
        (
            "/v3/election/leader",
            r#"{"name":"ZQ=="}"#,
            500,
            r#"{"code":2,"message":"election: no leader"}"#,
        ),
        (
            "/v3/nosuch",
            "{}",
            404,
            r#"{"code":5,"message":"Not Found"}"#,
        ),
        (
            "/v3/kv/range/",
            "{}",
            404,
            r#"{"code":5,"message":"Not Found"}"#,
        ),
    ];
    for (path, body, status, expected) in cases {
        answers(client, path, body, *status, expected).await;
    }
}

/// What is no JSON of the message is refused; etcd's words for it are its library's.
pub async fn what_cannot_be_read_is_refused(client: &Client) {
    for body in [
        r#"{"key":5}"#,
        r#"{"key":"!!"}"#,
        r#"{"key":"YQ==","limit":1.5}"#,
        "[]",
    ] {
        let answer = post(client, "/v3/kv/range", body).await.whole().await;
        assert_eq!(answer.status, 400, "{body}");
        let text = plain(client, &answer.body).await;
        assert!(text.starts_with(r#"{"code":3,"message":""#), "{text}");
    }
}

/// Only POST calls; pages of other origins may ask first.
pub async fn other_methods_are_refused(client: &Client) {
    let got = Posted::send(client, "GET", "/v3/kv/range", &[], "").await;
    let got: Answer = got.whole().await;
    let text = plain(client, &got.body).await;
    assert_eq!(
        (got.status, text.as_str()),
        (501, r#"{"code":12,"message":"Method Not Allowed"}"#)
    );
    let asked = Posted::send(client, "OPTIONS", "/v3/kv/range", &[], "").await;
    let asked = asked.whole().await;
    assert_eq!((asked.status, asked.body.as_str()), (200, ""));
    assert_eq!(
        asked.header("access-control-allow-methods"),
        Some("POST, GET, OPTIONS, PUT, DELETE")
    );
}

/// Each answer of a stream is a line.
pub async fn leases_are_kept_alive(client: &Client) {
    let granted = format!(r#"{{{HEADER_1},"ID":"5","TTL":"60"}}"#);
    answers(
        client,
        "/v3/lease/grant",
        r#"{"TTL":"60","ID":5}"#,
        200,
        &granted,
    )
    .await;
    let listed = format!(r#"{{{HEADER_1},"leases":[{{"ID":"5"}}]}}"#);
    answers(client, "/v3/lease/leases", "", 200, &listed).await;
    let line = format!(r#"{{"result":{{{HEADER_1},"ID":"5","TTL":"60"}}}}"#);
    let two = format!("{line}\n{line}\n");
    let alive = post(client, "/v3/lease/keepalive", r#"{"ID":"5"}{"ID":5}"#).await;
    let alive = alive.whole().await;
    let text = plain(client, &alive.body).await;
    assert_eq!((alive.status, text), (200, two));
}

/// A watch goes on after its requests have ended.
pub async fn changes_are_watched(client: &Client) {
    client.put("a", "1").await.unwrap();
    let body = r#"{"create_request":{"key":"YQ==","start_revision":"1","prev_kv":true}}
        {"create_request":{"key":"Yg==","start_revision":-1}}"#;
    let mut watching = post(client, "/v3/watch", body).await;
    let mut expected = vec![
        format!(r#"{{"result":{{{},"created":true}}}}"#, header(2)),
        format!(
            r#"{{"result":{{{},"watch_id":"-1","created":true,"canceled":true,"cancel_reason":"etcdserver: mvcc: required revision has been compacted"}}}}"#,
            header(2)
        ),
        format!(
            r#"{{"result":{{{},"events":[{{"kv":{{"key":"YQ==","create_revision":"2","mod_revision":"2","version":"1","value":"MQ=="}}}}]}}}}"#,
            header(2)
        ),
    ];
    let mut lines = Vec::new();
    for _ in 0..3 {
        lines.push(plain(client, &watching.line().await).await);
    }
    // The refusal of one watcher and the events of the other may come in either order.
    expected.sort();
    lines.sort();
    assert_eq!(lines, expected);
    assert_eq!(watching.head.status, 200);
    client.delete("a").await.unwrap();
    let deleted = format!(
        r#"{{"result":{{{},"events":[{{"type":"DELETE","kv":{{"key":"YQ==","mod_revision":"3"}},"prev_kv":{{"key":"YQ==","create_revision":"2","mod_revision":"2","version":"1","value":"MQ=="}}}}]}}}}"#,
        header(3)
    );
    assert_eq!(plain(client, &watching.line().await).await, deleted);
}

/// Members, locks and elections.
pub async fn other_services_are_there(client: &Client) {
    let answer = post(client, "/v3/cluster/member/list", "{}")
        .await
        .whole()
        .await;
    let text = plain(client, &answer.body).await;
    let (_, members) = text.split_once("\"members\":").unwrap();
    let address = client.endpoint.trim_end_matches(":2379");
    assert_eq!(
        members,
        format!(
            r#"[{{"ID":"M","name":"m1","peerURLs":["http://{address}:2380"],"clientURLs":["http://{address}:2379"]}}]}}"#
        )
    );
    grant(client, 7).await;
    let locked = format!(r#"{{{},"key":"bC83"}}"#, header(2));
    answers(
        client,
        "/v3/lock/lock",
        r#"{"name":"bA==","lease":"7"}"#,
        200,
        &locked,
    )
    .await;
    let unlocked = format!("{{{}}}", header(3));
    answers(
        client,
        "/v3/lock/unlock",
        r#"{"key":"bC83"}"#,
        200,
        &unlocked,
    )
    .await;
    let elected = format!(
        r#"{{{},"leader":{{"name":"ZQ==","key":"ZS83","rev":"4","lease":"7"}}}}"#,
        header(4)
    );
    let body = r#"{"name":"ZQ==","lease":"7","value":"YQ=="}"#;
    answers(client, "/v3/election/campaign", body, 200, &elected).await;
    let mut observing = post(client, "/v3/election/observe", r#"{"name":"ZQ=="}"#).await;
    let line = plain(client, &observing.line().await).await;
    assert_eq!(
        line,
        format!(
            r#"{{"result":{{{},"kv":{{"key":"ZS83","create_revision":"4","mod_revision":"4","version":"1","value":"YQ==","lease":"7"}}}}}}"#,
            header(4)
        )
    );
}
