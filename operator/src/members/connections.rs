//! Connections to members, kept from one look to the next.
//!
//! Opening one takes round trips and, with TLS, more arithmetic than all the rest of a look. Only questions go
//! through those that are kept: where one turns out to be dead, they are asked again through a fresh one.
//! Whoever changes something opens a connection for it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::Instant;

use kvorum_proto::admin::admin_client::AdminClient;
use parking_lot::Mutex;
use tonic::transport::Channel;

use super::Door;
use crate::limits::{CONNECTION_AGE_MAX, CONNECTION_IDLE_MAX, CONNECTIONS_MAX};

/// Those that are kept, by the address they lead to.
#[derive(Debug, Default)]
pub struct Connections(Mutex<HashMap<IpAddr, Kept>>);

#[derive(Debug)]
struct Kept {
    /// Who was expected there, and by which certificates it was opened.
    by: u64,
    client: AdminClient<Channel>,
    opened: Instant,
    used: Instant,
}

impl Connections {
    /// One through which this very member was asked before, by the same certificates.
    pub(super) fn find(&self, door: &Door, now: Instant) -> Option<AdminClient<Channel>> {
        let mut all = self.0.lock();
        let kept = all.get_mut(&door.address)?;
        // Certificates are looked at when a connection is opened: now and then, one is.
        if kept.by != by(door) || now - kept.opened > CONNECTION_AGE_MAX {
            all.remove(&door.address);
            return None;
        }
        kept.used = now;
        Some(kept.client.clone())
    }

    /// Keeps one, as long as there is room: each takes some 55 kB.
    pub(super) fn keep(&self, door: &Door, client: AdminClient<Channel>, now: Instant) {
        let mut all = self.0.lock();
        if all.len() >= CONNECTIONS_MAX {
            // Members that are gone are not asked any more.
            all.retain(|_, kept| now - kept.used < CONNECTION_IDLE_MAX);
        }
        if all.len() < CONNECTIONS_MAX {
            let kept = Kept {
                by: by(door),
                client,
                opened: now,
                used: now,
            };
            all.insert(door.address, kept);
        }
    }

    /// It leads nowhere, or to somebody else.
    pub(super) fn forget(&self, door: &Door) {
        self.0.lock().remove(&door.address);
    }
}

fn by(door: &Door) -> u64 {
    let mut hasher = DefaultHasher::new();
    (door.id.0, &door.host).hash(&mut hasher);
    if let Some(security) = &door.security {
        let issued = &security.issued;
        (&issued.pair.cert, &issued.trust, security.plain_too).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::time::Duration;

    use kvorum_plan::MemberId;
    use tonic::transport::Endpoint;

    use super::*;
    use crate::certificates::{Issued, Pair};
    use crate::members::Security;

    fn door(member: usize, cert: Option<&str>) -> Door {
        let issued = |cert: &str| Issued {
            pair: Pair {
                cert: cert.to_owned(),
                key: String::new(),
            },
            trust: String::new(),
        };
        let security = |cert| {
            Arc::new(Security {
                issued: issued(cert),
                plain_too: false,
            })
        };
        Door {
            id: MemberId(member as u64),
            address: Ipv4Addr::from(member as u32).into(),
            host: "host".to_owned(),
            security: cert.map(security),
        }
    }

    /// One that is never used.
    fn client() -> AdminClient<Channel> {
        AdminClient::new(Endpoint::from_static("http://127.0.0.1:1").connect_lazy())
    }

    fn find(kept: &Connections, door: &Door, now: Instant) -> bool {
        kept.find(door, now).is_some()
    }

    #[tokio::test]
    async fn a_connection_is_for_one_member_and_by_one_certificate() {
        let (kept, now) = (Connections::default(), Instant::now());
        let (plain, one, other) = (door(1, None), door(1, Some("one")), door(1, Some("other")));
        assert!(!find(&kept, &plain, now));
        kept.keep(&plain, client(), now);
        assert!(find(&kept, &plain, now));
        assert!(!find(&kept, &one, now), "opened without TLS");
        assert!(!find(&kept, &plain, now), "and closed");
        kept.keep(&one, client(), now);
        assert!(find(&kept, &one, now));
        let successor = Door {
            id: MemberId(2),
            ..one.clone()
        };
        assert!(!find(&kept, &successor, now), "the address is another's");
        kept.keep(&one, client(), now);
        assert!(!find(&kept, &other, now), "certificates were changed");
        kept.keep(&one, client(), now);
        kept.forget(&one);
        assert!(!find(&kept, &one, now));
    }

    #[tokio::test]
    async fn a_connection_is_opened_anew_at_last() {
        let (kept, now, door) = (Connections::default(), Instant::now(), door(1, None));
        kept.keep(&door, client(), now);
        assert!(find(&kept, &door, now + CONNECTION_AGE_MAX));
        assert!(!find(
            &kept,
            &door,
            now + CONNECTION_AGE_MAX + Duration::from_secs(1)
        ));
    }

    #[tokio::test]
    async fn only_so_many_are_kept_and_those_that_are_used() {
        let (kept, now) = (Connections::default(), Instant::now());
        for member in 0..CONNECTIONS_MAX {
            kept.keep(&door(member, None), client(), now);
        }
        let late = door(CONNECTIONS_MAX, None);
        kept.keep(&late, client(), now);
        assert!(!find(&kept, &late, now), "there is no room");
        let later = now + CONNECTION_IDLE_MAX;
        assert!(find(&kept, &door(7, None), later));
        kept.keep(&late, client(), later);
        assert!(find(&kept, &late, later), "others are gone");
        assert!(find(&kept, &door(7, None), later), "this one was used");
        assert_eq!(kept.0.lock().len(), 2);
    }
}
