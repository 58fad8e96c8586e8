//! Leader election: one operator acts, others stand by.
//!
//! The rules are those of Kubernetes' own components: a Lease is taken over when its record has not changed
//! for its duration *by our own clock* (a timestamp written by another machine is never compared with ours),
//! writes are guarded by the resource version, and a leader that cannot renew in time stops by itself.
//! Correctness does not rest on it: two operators at once would both be refused what they may not do.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};

use crate::limits::{LEASE_DURATION, LEASE_RENEW_DEADLINE, LEASE_RETRY};
use crate::names::FIELD_MANAGER;

/// A candidate for a Lease.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    seen: Option<Seen>,
}

/// The record as we saw it change last.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    version: String,
    since: Instant,
}

/// What to do about a Lease. Pure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    /// Nobody has ever held it.
    Create,
    /// It is ours: say so again.
    Renew,
    /// Its holder is gone.
    TakeOver,
    /// Somebody holds it.
    Wait,
}

fn decide(lease: Option<&Lease>, identity: &str, unchanged_for: Duration) -> Move {
    let Some(lease) = lease else {
        return Move::Create;
    };
    let holder = lease
        .spec
        .as_ref()
        .and_then(|spec| spec.holder_identity.as_deref())
        .unwrap_or_default();
    if holder == identity {
        Move::Renew
    } else if holder.is_empty() || unchanged_for >= LEASE_DURATION {
        Move::TakeOver
    } else {
        Move::Wait
    }
}

impl Candidate {
    /// A candidate for the Lease `name`.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, identity: String) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity,
            seen: None,
        }
    }

    /// Returns once the Lease is ours.
    pub async fn acquire(&mut self) {
        let mut waiting = false;
        loop {
            match self.attempt().await {
                Ok(true) => return,
                Ok(false) if !waiting => {
                    tracing::info!(lease = self.name, "Another operator leads; standing by");
                    waiting = true;
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, lease = self.name, "The Lease cannot be read or written");
                }
            }
            tokio::time::sleep(LEASE_RETRY).await;
        }
    }

    /// Renews until that fails for too long, or somebody else holds the Lease; then returns.
    pub async fn hold(&mut self) {
        let mut renewed = Instant::now();
        while renewed.elapsed() < LEASE_RENEW_DEADLINE {
            tokio::time::sleep(LEASE_RETRY).await;
            match tokio::time::timeout(LEASE_RENEW_DEADLINE, self.attempt()).await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) => return,
                Ok(Err(error)) => {
                    tracing::warn!(%error, lease = self.name, "The Lease could not be renewed");
                }
                Err(_) => {
                    tracing::warn!(lease = self.name, "The Lease could not be renewed in time");
                }
            }
        }
    }

    /// Gives the Lease back, so that the next leader need not wait for it to run out.
    pub async fn release(&mut self) {
        let Ok(Some(mut lease)) = self.api.get_opt(&self.name).await else {
            return;
        };
        if decide(Some(&lease), &self.identity, Duration::ZERO) != Move::Renew {
            return;
        }
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = None;
        spec.lease_duration_seconds = Some(1);
        if let Err(error) = self.api.replace(&self.name, &parameters(), &lease).await {
            tracing::warn!(%error, lease = self.name, "The Lease could not be given back");
        }
    }

    /// One try; true if the Lease is ours now.
    async fn attempt(&mut self) -> Result<bool, kube::Error> {
        let lease = self.api.get_opt(&self.name).await?;
        let unchanged_for = self.watch(lease.as_ref());
        let chosen = decide(lease.as_ref(), &self.identity, unchanged_for);
        let written = match (chosen, lease) {
            (Move::Wait, _) => return Ok(false),
            (Move::Create, _) | (_, None) => {
                let lease = self.record(None, true);
                self.api.create(&parameters(), &lease).await
            }
            (Move::Renew, Some(lease)) => {
                let lease = self.record(Some(lease), false);
                self.api.replace(&self.name, &parameters(), &lease).await
            }
            (Move::TakeOver, Some(lease)) => {
                let lease = self.record(Some(lease), true);
                self.api.replace(&self.name, &parameters(), &lease).await
            }
        };
        match written {
            Ok(_) => Ok(true),
            // Somebody was quicker: look again.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// For how long the record has not changed, by our own clock.
    fn watch(&mut self, lease: Option<&Lease>) -> Duration {
        let version = lease
            .and_then(|lease| lease.metadata.resource_version.clone())
            .unwrap_or_default();
        match &self.seen {
            Some(seen) if seen.version == version => seen.since.elapsed(),
            _ => {
                let since = Instant::now();
                self.seen = Some(Seen { version, since });
                Duration::ZERO
            }
        }
    }

    fn record(&self, lease: Option<Lease>, acquired: bool) -> Lease {
        let mut lease = lease.unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            },
            spec: None,
        });
        let now = MicroTime(Timestamp::now());
        let before = lease.spec.take().unwrap_or_default();
        let transitions = before.lease_transitions.unwrap_or(0);
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
            acquire_time: if acquired {
                Some(now.clone())
            } else {
                before.acquire_time
            },
            renew_time: Some(now),
            lease_transitions: Some(transitions + i32::from(acquired)),
            ..LeaseSpec::default()
        });
        lease
    }
}

fn parameters() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_by(holder: Option<&str>) -> Lease {
        Lease {
            metadata: ObjectMeta::default(),
            spec: Some(LeaseSpec {
                holder_identity: holder.map(str::to_owned),
                // Far in the past by the other machine's clock: must not matter.
                renew_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
                ..LeaseSpec::default()
            }),
        }
    }

    #[test]
    fn only_our_own_clock_decides_that_a_holder_is_gone() {
        let other = held_by(Some("other"));
        assert_eq!(decide(Some(&other), "me", Duration::ZERO), Move::Wait);
        assert_eq!(
            decide(
                Some(&other),
                "me",
                LEASE_DURATION - Duration::from_millis(1)
            ),
            Move::Wait
        );
        assert_eq!(decide(Some(&other), "me", LEASE_DURATION), Move::TakeOver);
    }

    #[test]
    fn a_lease_that_is_free_ours_or_not_there_is_taken_at_once() {
        assert_eq!(decide(None, "me", Duration::ZERO), Move::Create);
        assert_eq!(
            decide(Some(&held_by(None)), "me", Duration::ZERO),
            Move::TakeOver
        );
        assert_eq!(
            decide(Some(&held_by(Some("me"))), "me", Duration::ZERO),
            Move::Renew
        );
    }

    #[test]
    fn a_leader_gives_up_before_another_may_take_over() {
        assert!(LEASE_RENEW_DEADLINE + LEASE_RETRY < LEASE_DURATION);
    }
}
