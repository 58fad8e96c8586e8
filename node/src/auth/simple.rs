//! Simple tokens: random words that every member learns through the log. Each member
//! forgets one that was not shown to it for a while.

use kvorum_mvcc::Store;
use kvorum_mvcc::auth::Caller;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Letters of the random part, as with etcd: about 91 bits.
const SECRET_LETTERS: usize = 16;

/// Simple tokens as this member sees them.
pub struct Simple {
    ttl: Duration,
    /// When each was last shown, or first seen.
    shown: Mutex<HashMap<String, Instant>>,
}

impl Simple {
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            shown: Mutex::default(),
        }
    }

    /// The random part of a new token.
    pub(crate) fn secret() -> String {
        let letter = |_| {
            let n = rand::random_range(0..52_u8);
            char::from(if n < 26 { b'a' + n } else { b'A' + n - 26 })
        };
        (0..SECRET_LETTERS).map(letter).collect()
    }

    /// The log index at which a token was given; `None`: this is no such token.
    pub(crate) fn index_of(token: &str) -> Option<u64> {
        let (_, index) = token.split_once('.')?;
        index.parse().ok()
    }

    pub(super) fn user_of(&self, store: &Store, token: &str) -> Option<Caller> {
        self.user_at(store, token, Instant::now())
    }

    fn user_at(&self, store: &Store, token: &str, now: Instant) -> Option<Caller> {
        let caller = store.token(token)?;
        let mut shown = self.shown.lock();
        match shown.get_mut(token) {
            Some(last) if now.duration_since(*last) > self.ttl => return None,
            Some(last) => *last = now,
            None => drop(shown.insert(token.to_owned(), now)),
        }
        Some(caller)
    }

    /// Forgets tokens that were not shown for long.
    pub(super) fn sweep(&self, store: &Store) {
        self.sweep_at(store, Instant::now());
    }

    fn sweep_at(&self, store: &Store, now: Instant) {
        let tokens = store.tokens();
        let mut shown = self.shown.lock();
        if tokens.is_empty() {
            shown.clear();
            return;
        }
        let mut kept = HashMap::with_capacity(tokens.len());
        let mut old = Vec::new();
        for token in tokens {
            let last = shown.get(&token).copied().unwrap_or(now);
            if now.duration_since(last) > self.ttl {
                old.push(token);
            } else {
                kept.insert(token, last);
            }
        }
        *shown = kept;
        drop(shown);
        if !old.is_empty() {
            store.forget_tokens(&old);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kvorum_mvcc::Position;
    use kvorum_mvcc::engine::MemoryEngine;
    use kvorum_proto::etcdserverpb::{
        AuthEnableRequest, AuthUserAddRequest, AuthUserGrantRoleRequest,
    };
    use kvorum_proto::log::auth_change::Change;
    use kvorum_proto::log::{AssignToken, AuthChange, Command, command, reply};
    use std::sync::Arc;

    /// A store with authentication on and one token of root's.
    fn with_token() -> (Store, String) {
        let store = Store::open(Arc::new(MemoryEngine::default())).unwrap();
        let changes = [
            Change::UserAdd(AuthUserAddRequest {
                name: "root".to_owned(),
                ..AuthUserAddRequest::default()
            }),
            Change::UserGrantRole(AuthUserGrantRoleRequest {
                user: "root".to_owned(),
                role: "root".to_owned(),
            }),
            Change::Enable(AuthEnableRequest {}),
            Change::AssignToken(AssignToken {
                user: "root".to_owned(),
                secret: Simple::secret(),
            }),
        ];
        let mut token = String::new();
        for (index, change) in (1..).zip(changes) {
            let command = Command {
                op: Some(command::Op::Auth(AuthChange {
                    change: Some(change),
                })),
                auth_revision: store.auth().revision(),
                ..Command::default()
            };
            let position = Position { term: 1, index };
            let reply = store.applier().apply(position, command).unwrap();
            if let Some(reply::Op::Token(given)) = reply.op {
                token = given;
            }
        }
        (store, token)
    }

    #[test]
    fn a_token_lives_as_long_as_it_is_shown() {
        let (store, token) = with_token();
        assert_eq!(Simple::index_of(&token), Some(4));
        let simple = Simple::new(Duration::from_secs(10));
        let start = Instant::now();
        let shown = |seconds| {
            let at = start + Duration::from_secs(seconds);
            simple.user_at(&store, &token, at).map(|c| c.user)
        };
        for seconds in [0, 9, 18, 28] {
            assert_eq!(shown(seconds).as_deref(), Some("root"), "{seconds}");
        }
        assert_eq!(shown(39), None);
        assert_eq!(simple.user_at(&store, "other.4", start), None);
    }

    #[test]
    fn a_sweep_forgets_what_was_never_shown() {
        let (store, token) = with_token();
        let simple = Simple::new(Duration::from_secs(10));
        let start = Instant::now();
        simple.sweep_at(&store, start);
        simple.sweep_at(&store, start + Duration::from_secs(10));
        assert_eq!(store.tokens(), [token]);
        simple.sweep_at(&store, start + Duration::from_secs(11));
        assert_eq!(store.tokens(), Vec::<String>::new());
    }

    #[test]
    fn secrets_are_letters_and_differ() {
        let (a, b) = (Simple::secret(), Simple::secret());
        assert!(a.len() == 16 && a.chars().all(|c| c.is_ascii_alphabetic()));
        assert_ne!(a, b);
        assert_eq!(Simple::index_of("word"), None);
        assert_eq!(Simple::index_of("word.x"), None);
    }
}
