//! Whether a stream's watchers may hear what they watch, from the first to the last event.

use super::super::caller::Origin;
use super::super::{Api, errors};
use super::session::Session;
use kvorum_mvcc::KeyRange;
use kvorum_mvcc::auth::{Asked, Caller};
use kvorum_proto::etcdserverpb::{WatchCreateRequest, WatchResponse};
use tonic::Status;

/// Who watches, and under which permissions that was allowed.
pub(super) struct Permission {
    origin: Origin,
    caller: Caller,
    /// Whether authentication was on, and its revision, at the last look.
    seen: (bool, u64),
}

/// What is told to a watcher that may not watch: etcd names some reasons only.
fn reason(status: &Status) -> String {
    let named = [
        errors::invalid_token(),
        errors::old_auth_revision(),
        errors::user_name_empty(),
    ];
    let named = named.iter().find(|n| n.message() == status.message());
    let told = named.map_or_else(errors::permission_denied, Clone::clone);
    // As Go's gRPC prints a status.
    format!(
        "rpc error: code = {:?} desc = {}",
        told.code(),
        told.message()
    )
}

fn now(api: &Api) -> (bool, u64) {
    let auth = api.member.store().auth();
    (auth.enabled(), auth.revision())
}

impl Permission {
    /// For the sender of a stream.
    pub(super) fn new(api: &Api, origin: Origin) -> Self {
        Self {
            origin,
            caller: Caller::default(),
            seen: now(api),
        }
    }

    /// Why a watcher cannot be added; `None`: it can.
    pub(super) async fn refusal(
        &mut self,
        api: &Api,
        request: &WatchCreateRequest,
    ) -> Option<String> {
        // That is refused for another reason, whoever asks.
        if !api.member.store().auth().enabled() || request.start_revision < 0 {
            return None;
        }
        self.caller = match api.caller(&self.origin).await {
            Ok(caller) => caller,
            Err(status) => return Some(reason(&status)),
        };
        let key = if request.key.is_empty() {
            b"\0"
        } else {
            &request.key[..]
        };
        let range = KeyRange::new(key, &request.range_end);
        let permitted = api.permit(&self.caller, Asked::Watch(range));
        permitted.err().map(|status| reason(&status))
    }

    /// Whether permissions changed since the last look.
    pub(super) fn moved(&self, api: &Api) -> bool {
        now(api) != self.seen
    }

    /// Ends the watchers that are not allowed any more.
    pub(super) async fn check(&mut self, api: &Api, session: &mut Session) -> Vec<WatchResponse> {
        self.seen = now(api);
        if self.caller.user.is_empty() {
            // It began while nobody was asked for a name.
            self.caller = api.caller(&self.origin).await.unwrap_or_default();
        } else {
            // A token may have ended meanwhile; its user is still the same.
            self.caller.revision = self.seen.1;
        }
        session.end_where(|range| {
            let permitted = api.permit(&self.caller, Asked::Watch(range));
            permitted.err().map(|status| reason(&status))
        })
    }
}
