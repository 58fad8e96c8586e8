//! Events: one for each thing that happened, with its result.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use crate::limits::EVENT_NOTE_BYTES_MAX;
use crate::status::cut;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As expected.
    Normal,
    /// Somebody should look.
    Warning,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How bad it is.
    pub severity: Severity,
    /// What was being done.
    pub action: &'static str,
    /// What came of it, machine-readable.
    pub reason: String,
    /// For people.
    pub text: String,
}

impl Note {
    pub(crate) fn normal(action: &'static str, reason: &str, text: String) -> Self {
        Self {
            severity: Severity::Normal,
            action,
            reason: reason.to_owned(),
            text,
        }
    }

    pub(crate) fn warning(action: &'static str, reason: &str, text: String) -> Self {
        Self {
            severity: Severity::Warning,
            action,
            reason: reason.to_owned(),
            text,
        }
    }
}

/// Writes events. One that cannot be written is logged and forgotten: the status says the same.
#[derive(Clone)]
pub struct Events(Recorder);

impl Events {
    /// Events by this instance of the operator.
    #[must_use]
    pub fn new(client: Client, instance: &str) -> Self {
        let reporter = Reporter {
            controller: "kvorum.dev/operator".to_owned(),
            instance: Some(instance.to_owned()),
        };
        Self(Recorder::new(client, reporter))
    }

    /// Writes one.
    pub async fn publish(&self, about: &ObjectReference, note: &Note) {
        let event = Event {
            type_: match note.severity {
                Severity::Normal => EventType::Normal,
                Severity::Warning => EventType::Warning,
            },
            reason: note.reason.clone(),
            note: Some(cut(&note.text, EVENT_NOTE_BYTES_MAX)),
            action: note.action.to_owned(),
            secondary: None,
        };
        if let Err(error) = self.0.publish(&event, about).await {
            tracing::warn!(%error, reason = note.reason, "An event could not be written");
        }
    }
}
