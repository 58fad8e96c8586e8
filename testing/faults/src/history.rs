//! What clients asked and were told, as the checker reads it: one operation a line. Pure.
//!
//! The checker is `testing/testbed/gomod/linearizability`; its model.go says what the fields
//! mean.

pub mod checker;
pub mod clients;
pub mod requests;
pub mod watched;

use serde::Serialize;
use std::collections::BTreeSet;
use watched::Event;

/// Keys of a history: numbers below this.
pub const KEYS: usize = 8;

/// The key of a number.
#[must_use]
pub fn key(number: usize) -> String {
    format!("k/{number:02}")
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// Who asked.
    pub client: usize,
    /// When, in nanoseconds.
    pub called: u64,
    /// When it was answered; `None`: the outcome is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returned: Option<u64>,
    /// What was asked.
    pub request: Request,
    /// What was answered.
    pub answer: Answer,
}

/// A transaction; a put, get or delete is one without conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Request {
    /// All must hold.
    #[serde(rename = "if")]
    pub conditions: Vec<Condition>,
    /// Done if they do.
    #[serde(rename = "then")]
    pub success: Vec<Action>,
    /// Done if not.
    #[serde(rename = "else")]
    pub failure: Vec<Action>,
}

/// One condition on one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// Of which key.
    pub key: usize,
    /// value, mod, create or version.
    pub field: &'static str,
    /// =, !=, < or >.
    pub is: &'static str,
    /// What a number is compared with.
    pub number: i64,
    /// What a value is compared with.
    pub text: String,
}

/// One action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Action {
    /// put, get or delete.
    #[serde(rename = "do")]
    pub kind: &'static str,
    /// Which key.
    pub key: usize,
    /// What is put.
    pub value: String,
}

/// What the client was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The revision; 0: not known.
    pub revision: i64,
    /// Whether what follows was told.
    pub told: bool,
    /// Whether the conditions held.
    pub succeeded: bool,
    /// One for each action.
    pub replies: Vec<Reply>,
}

/// What an action gave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reply {
    /// What a get found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<Entry>,
    /// How many a delete deleted.
    pub deleted: i64,
}

/// A key's value and what etcd keeps of its history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its value.
    pub value: String,
    /// Revision at which it came to be.
    pub create: i64,
    /// Revision of its last change.
    #[serde(rename = "mod")]
    pub modified: i64,
    /// Changes since it came to be.
    pub version: i64,
}

impl Operation {
    /// Whether it is known to have changed something.
    fn wrote(&self) -> bool {
        let done = if self.answer.succeeded {
            &self.request.success
        } else {
            &self.request.failure
        };
        let mut done = done.iter().zip(&self.answer.replies);
        self.answer.told && done.any(|(a, reply)| a.kind == "put" || reply.deleted > 0)
    }
}

impl Request {
    fn actions(&self) -> impl Iterator<Item = &Action> {
        self.success.iter().chain(&self.failure)
    }

    /// Whether it is a delete and nothing else.
    fn deletes_alone(&self) -> bool {
        self.conditions.is_empty() && self.actions().all(|a| a.kind == "delete")
    }
}

/// Settles unknown outcomes from the complete list of changes, so that the checker need not try
/// them everywhere: whatever changed nothing is dropped, whatever changed something gets its
/// revision.
///
/// Values are put once each, so they say who put them. Deletes of a key that nobody answered
/// are told apart by nothing but when they were asked, and any of them may come late: so the
/// first asked is given the first change that nobody else explains.
///
/// This cannot make a wrong history pass: it takes possibilities away, and an operation that is
/// dropped although it took effect leaves reads that nothing explains.
#[must_use]
pub fn settle(operations: Vec<Operation>, changes: &[Event]) -> Vec<Operation> {
    let put_at = |value: &str| {
        let found = changes.iter().find(|c| c.value.as_deref() == Some(value));
        found.map(|change| change.revision)
    };
    let (mut settled, open): (Vec<_>, Vec<_>) = operations.into_iter().partition(|o| o.answer.told);
    let mut deletes = Vec::new();
    for mut operation in open {
        let puts = operation.request.actions().filter(|a| a.kind == "put");
        let revision = puts.filter_map(|a| put_at(&a.value)).next();
        if let Some(revision) = revision {
            operation.answer.revision = revision;
            settled.push(operation);
        } else if operation.request.deletes_alone() {
            deletes.push(operation);
        }
    }
    let explained = settled.iter().filter(|o| o.wrote() || !o.answer.told);
    let explained: BTreeSet<i64> = explained.map(|o| o.answer.revision).collect();
    deletes.sort_by_key(|o| o.called);
    let changes = changes.iter();
    for change in changes.filter(|c| c.value.is_none() && !explained.contains(&c.revision)) {
        let of_this = |o: &Operation| o.request.actions().any(|a| a.key == change.key);
        if let Some(at) = deletes.iter().position(of_this) {
            let mut first = deletes.remove(at);
            first.answer.revision = change.revision;
            settled.push(first);
        }
    }
    settled
}

/// The lines that the checker reads.
///
/// # Panics
/// Never: there is nothing in an operation that has no form as text.
#[must_use]
pub fn lines(operations: &[Operation]) -> String {
    let line = |o: &Operation| serde_json::to_string(o).unwrap_or_else(|e| panic!("{e}"));
    let mut text = operations.iter().map(line).collect::<Vec<_>>().join("\n");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(request: Request) -> Operation {
        Operation {
            client: 0,
            called: 1,
            returned: None,
            request,
            answer: Answer::default(),
        }
    }

    fn one(kind: &'static str, value: &str) -> Request {
        Request {
            success: vec![Action {
                kind,
                key: 3,
                value: value.to_owned(),
            }],
            ..Request::default()
        }
    }

    fn known(kind: &'static str, revision: i64, deleted: i64) -> Operation {
        Operation {
            returned: Some(5),
            answer: Answer {
                revision,
                told: true,
                succeeded: true,
                replies: vec![Reply {
                    found: None,
                    deleted,
                }],
            },
            ..unknown(one(kind, ""))
        }
    }

    #[test]
    fn what_is_in_no_change_never_was() {
        let change = |revision, value: Option<&str>| Event {
            revision,
            key: 3,
            value: value.map(str::to_owned),
            ..Event::default()
        };
        let changes = [change(2, Some("there")), change(3, None), change(4, None)];
        let mut later = unknown(one("delete", ""));
        later.called = 2;
        let all = vec![
            later,
            unknown(one("put", "there")),
            unknown(one("put", "nowhere")),
            unknown(one("get", "")),
            unknown(one("delete", "")),
            known("delete", 3, 1),
            // A read at a revision does not explain it.
            known("get", 4, 0),
        ];
        let told = |operations: Vec<Operation>| -> Vec<(u64, i64)> {
            let one = |o: &Operation| (o.called, o.answer.revision);
            operations.iter().map(one).collect()
        };
        // Answered at 3 and 4; put at 2; the delete that was asked first at 4.
        let settled = told(settle(all.clone(), &changes));
        assert_eq!(settled, [(1, 3), (1, 4), (1, 2), (1, 4)]);
        // Without the delete at 4 there is none that nobody else did.
        let settled = told(settle(all, &changes[..2]));
        assert_eq!(settled, [(1, 3), (1, 4), (1, 2)]);
    }

    #[test]
    fn a_line_is_what_the_checker_reads() {
        let mut operation = unknown(one("put", "v"));
        operation.returned = Some(9);
        operation.answer.replies = vec![Reply {
            found: Some(Entry::default()),
            deleted: 0,
        }];
        insta::assert_snapshot!(lines(&[operation]));
    }
}
