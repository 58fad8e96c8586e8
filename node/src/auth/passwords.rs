//! Passwords: hashed on threads of their own, a few at a time.

use crate::api::errors;
use crate::limits::PASSWORDS_WAITING_MAX;
use bytes::Bytes;
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;
use tonic::Status;

/// bcrypt looks at no more bytes.
const LENGTH_MAX: usize = 72;

/// Hashes and compares passwords. Clones share their threads.
#[derive(Clone)]
pub struct Passwords {
    cost: u32,
    /// Compared with where there is no password: a wrong name takes as long as a right one.
    nobody: Arc<OnceLock<String>>,
    /// Hashing is slow on purpose: it may take half of the processors.
    places: Arc<Semaphore>,
    /// Anybody may have a password compared: what waits is bounded.
    queue: Arc<Semaphore>,
}

impl Passwords {
    /// With bcrypt's cost.
    #[must_use]
    pub fn new(cost: u32) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            cost,
            nobody: Arc::default(),
            places: Arc::new(Semaphore::new((processors / 2).max(1))),
            queue: Arc::new(Semaphore::new(PASSWORDS_WAITING_MAX)),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        let waiting = self.queue.clone().try_acquire_owned();
        let waiting = waiting.map_err(|_| errors::too_many_requests())?;
        let place = self.places.clone().acquire_owned().await;
        let place = place.map_err(|_| errors::stopped())?;
        let done = tokio::task::spawn_blocking(move || {
            let _until_done = (place, waiting);
            work()
        });
        done.await.map_err(|e| Status::internal(e.to_string()))?
    }

    /// Hashes a password.
    ///
    /// # Errors
    /// If it is too long for bcrypt, in etcd's words.
    pub async fn hash(&self, password: String) -> Result<String, Status> {
        if password.len() > LENGTH_MAX {
            return Err(errors::password_too_long());
        }
        let cost = self.cost;
        self.run(move || hashed(&password, cost)).await
    }

    /// Whether a password is the one that was hashed; `None`: there is none.
    ///
    /// # Errors
    /// On the way out only.
    pub async fn matches(&self, password: String, hash: Option<Bytes>) -> Result<bool, Status> {
        let this = self.clone();
        self.run(move || {
            let hash = hash.and_then(|h| String::from_utf8(h.to_vec()).ok());
            let Some(hash) = hash.filter(|h| !h.is_empty()) else {
                let cost = this.cost;
                let nobody = this
                    .nobody
                    .get_or_init(|| hashed("", cost).unwrap_or_default());
                let _ = bcrypt::verify(&password, nobody);
                return Ok(false);
            };
            Ok(bcrypt::verify(&password, &hash).unwrap_or(false))
        })
        .await
    }
}

fn hashed(password: &str, cost: u32) -> Result<String, Status> {
    bcrypt::hash(password, cost).map_err(|e| Status::internal(format!("hashing failed: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_more_than_so_many_wait() {
        let passwords = Passwords::new(4);
        let all = u32::try_from(PASSWORDS_WAITING_MAX).unwrap();
        let taken = passwords
            .queue
            .clone()
            .acquire_many_owned(all)
            .await
            .unwrap();
        let refused = passwords.hash("secret".to_owned()).await.unwrap_err();
        assert_eq!(refused.message(), errors::too_many_requests().message());
        drop(taken);
        passwords.hash("secret".to_owned()).await.unwrap();
    }

    #[tokio::test]
    async fn passwords_match_their_hash_only() {
        let passwords = Passwords::new(4);
        let hash = passwords.hash("secret".to_owned()).await.unwrap();
        assert!(hash.starts_with("$2") && !hash.contains("secret"));
        let check = |password: &str, hash: Option<&str>| {
            let hash = hash.map(|h| Bytes::from(h.to_owned()));
            let passwords = passwords.clone();
            let password = password.to_owned();
            async move { passwords.matches(password, hash).await.unwrap() }
        };
        assert!(check("secret", Some(&hash)).await);
        assert!(!check("Secret", Some(&hash)).await);
        assert!(!check("", None).await && !check("", Some("")).await);
        // As etcd (Go) writes it.
        let go = "$2a$04$5jOfyWc3.njTHlqXh2EwReUKzf5VnvoikcfAJ7APbceU9qJRbjGVm";
        assert!(check("secret", Some(go)).await && !check("other", Some(go)).await);
        assert!(passwords.hash("x".repeat(73)).await.is_err());
    }
}
