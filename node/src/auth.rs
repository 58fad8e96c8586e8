//! Who asks: passwords and tokens. The third way, certificates: `tls/names.rs`.

mod jwt;
mod passwords;
mod settings;
mod simple;

pub use passwords::Passwords;
pub use settings::{Kind, Settings};

use jwt::Jwt;
use kvorum_mvcc::Store;
use kvorum_mvcc::auth::Caller;
use simple::Simple;
use std::sync::Arc;

/// What tells users by their tokens.
pub enum Tokens {
    /// Known to every member through the log.
    Simple(Simple),
    /// Signed.
    Jwt(Box<Jwt>),
}

/// What a member needs to know its users.
pub struct Auth {
    /// Hashing and comparing.
    pub passwords: Passwords,
    /// Kind of token.
    pub tokens: Tokens,
}

impl Auth {
    /// By the flags.
    ///
    /// # Errors
    /// If the keys of signed tokens cannot be used.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let tokens = match &settings.kind {
            Kind::Simple => Tokens::Simple(Simple::new(settings.simple_ttl)),
            Kind::Jwt(options) => Tokens::Jwt(Box::new(Jwt::new(options)?)),
        };
        Ok(Self {
            passwords: Passwords::new(settings.bcrypt_cost),
            tokens,
        })
    }

    /// Whether a token is good whatever changes, as long as its user is the same; one that
    /// is signed is good under the permissions that it was given under only.
    pub(crate) fn tokens_follow(&self) -> bool {
        matches!(self.tokens, Tokens::Simple(_))
    }

    /// The user of a token that this member's store has got, if it is good.
    pub(crate) fn user_of(&self, store: &Store, token: &str) -> Option<Caller> {
        match &self.tokens {
            Tokens::Simple(simple) => simple.user_of(store, token),
            Tokens::Jwt(jwt) => jwt.user_of(token),
        }
    }
}

/// The random part of a new simple token.
#[must_use]
pub(crate) fn new_secret() -> String {
    Simple::secret()
}

/// The log index at which a simple token was given; `None`: this is no such token.
pub(crate) fn token_index(token: &str) -> Option<u64> {
    Simple::index_of(token)
}

/// Forgets tokens whose time is up, until the member is gone.
pub async fn forget_old_tokens(member: Arc<crate::member::Member>) {
    let Tokens::Simple(simple) = &member.auth().tokens else {
        return;
    };
    let mut tick = tokio::time::interval(crate::limits::TOKEN_SWEEP_INTERVAL);
    loop {
        tokio::select! {
            _ = tick.tick() => simple.sweep(member.store()),
            () = member.stopping().cancelled() => return,
        }
    }
}
