//! Sending an operation, and what came back as the history holds it.

use super::{Action, Answer, Condition, Entry, Reply, Request, key};
use kvorum_processes::Client;
use kvorum_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use kvorum_proto::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, request_op,
    response_op,
};
use kvorum_proto::mvccpb::KeyValue;
use tonic::Status;

fn entry(kv: &KeyValue) -> Entry {
    Entry {
        value: String::from_utf8_lossy(&kv.value).into_owned(),
        create: kv.create_revision,
        modified: kv.mod_revision,
        version: kv.version,
    }
}

fn found(kvs: &[KeyValue]) -> Reply {
    Reply {
        found: kvs.first().map(entry),
        deleted: 0,
    }
}

fn put(action: &Action) -> PutRequest {
    PutRequest {
        key: key(action.key).into(),
        value: action.value.clone().into(),
        ..PutRequest::default()
    }
}

fn range(action: &Action, serializable: bool) -> RangeRequest {
    RangeRequest {
        key: key(action.key).into(),
        serializable,
        ..RangeRequest::default()
    }
}

fn delete(action: &Action) -> DeleteRangeRequest {
    DeleteRangeRequest {
        key: key(action.key).into(),
        ..DeleteRangeRequest::default()
    }
}

fn operation(action: &Action) -> RequestOp {
    let request = match action.kind {
        "put" => request_op::Request::RequestPut(put(action)),
        "delete" => request_op::Request::RequestDeleteRange(delete(action)),
        _ => request_op::Request::RequestRange(range(action, false)),
    };
    RequestOp {
        request: Some(request),
    }
}

fn compare(condition: &Condition) -> Compare {
    let number = condition.number;
    let (target, union) = match condition.field {
        "mod" => (CompareTarget::Mod, TargetUnion::ModRevision(number)),
        "create" => (CompareTarget::Create, TargetUnion::CreateRevision(number)),
        "version" => (CompareTarget::Version, TargetUnion::Version(number)),
        _ => {
            let text = condition.text.clone().into();
            (CompareTarget::Value, TargetUnion::Value(text))
        }
    };
    let result = match condition.is {
        "=" => CompareResult::Equal,
        "!=" => CompareResult::NotEqual,
        "<" => CompareResult::Less,
        _ => CompareResult::Greater,
    };
    Compare {
        key: key(condition.key).into(),
        target: target.into(),
        result: result.into(),
        target_union: Some(union),
        ..Compare::default()
    }
}

fn told(revision: Option<i64>, succeeded: bool, replies: Vec<Reply>) -> Answer {
    Answer {
        revision: revision.unwrap_or(0),
        told: true,
        succeeded,
        replies,
    }
}

/// Sends a request: a single action without conditions by its own call, all else as a
/// transaction.
///
/// # Errors
/// The server's or the connection's: the outcome is unknown.
pub async fn send(client: &Client, request: &Request) -> Result<Answer, Status> {
    if let ([], [action], []) = (
        &request.conditions[..],
        &request.success[..],
        &request.failure[..],
    ) {
        return alone(client, action).await;
    }
    let mut kv = client.kv();
    let response = kv.txn(TxnRequest {
        compare: request.conditions.iter().map(compare).collect(),
        success: request.success.iter().map(operation).collect(),
        failure: request.failure.iter().map(operation).collect(),
    });
    let response = response.await?.into_inner();
    let reply = |response: &Option<response_op::Response>| match response {
        Some(response_op::Response::ResponseRange(r)) => found(&r.kvs),
        Some(response_op::Response::ResponseDeleteRange(r)) => Reply {
            found: None,
            deleted: r.deleted,
        },
        _ => Reply::default(),
    };
    let replies = response.responses.iter().map(|r| reply(&r.response));
    let revision = response.header.as_ref().map(|h| h.revision);
    Ok(told(revision, response.succeeded, replies.collect()))
}

async fn alone(client: &Client, action: &Action) -> Result<Answer, Status> {
    let mut kv = client.kv();
    let (header, reply) = match action.kind {
        "put" => {
            let response = kv.put(put(action)).await?.into_inner();
            (response.header, Reply::default())
        }
        "delete" => {
            let response = kv.delete_range(delete(action)).await?.into_inner();
            let reply = Reply {
                found: None,
                deleted: response.deleted,
            };
            (response.header, reply)
        }
        _ => {
            let response = kv.range(range(action, false)).await?.into_inner();
            (response.header, found(&response.kvs))
        }
    };
    Ok(told(header.map(|h| h.revision), true, vec![reply]))
}

/// A get that the member answers by itself, whatever it has missed: for showing that the
/// checker finds it.
///
/// # Errors
/// The server's.
pub async fn stale_get(client: &Client, action: &Action) -> Result<Answer, Status> {
    let response = client.kv().range(range(action, true)).await?.into_inner();
    let revision = response.header.map(|h| h.revision);
    Ok(told(revision, true, vec![found(&response.kvs)]))
}
