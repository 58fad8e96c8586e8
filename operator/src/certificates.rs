//! The certificates of a cluster: two CAs of its own, and what they sign.
//!
//! One CA is for clients and the client port, the other for members among themselves and the operator, so that
//! no client's certificate opens the peer port. Where others make the certificates (cert-manager, or the user),
//! they are judged in [`given`] and taken up by [`follow`] into Secrets of the same names, so that nothing else
//! knows the difference. Decisions are in [`turn`], [`tend`] and [`follow`]; Secrets are read and
//! written by `act`. A member takes up a changed Secret by itself and says which certificates it uses: a change
//! of CAs goes on only when every member has followed.

mod follow;
mod given;
mod issue;
mod keeper;
mod requests;
mod secrets;
mod turn;

use std::collections::{BTreeMap, BTreeSet};

pub use follow::follow;
pub use given::{Given, given};
pub use issue::IssueError;
pub use keeper::{Found, Keeper};
pub use requests::{api as requests_api, requests};
pub use secrets::{ca_secret, leaf_secret, read};
pub use turn::Progress;

use kvorum_api::IssuerRef;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::names::Names;
use turn::Turn;

/// A certificate with its private key, PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub cert: String,
    /// The key.
    pub key: String,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Pair(…)")
    }
}

/// One CA over its life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authority {
    /// Signs. None after its Secret was lost: then the next one takes over.
    pub signer: Option<Pair>,
    /// Is trusted already and will sign.
    pub next: Option<Pair>,
    /// Certificates of CAs that signed before and are trusted still.
    pub previous: String,
}

impl Authority {
    /// Every CA that is trusted, PEM.
    #[must_use]
    pub fn trust(&self) -> String {
        let certs = [&self.signer, &self.next].into_iter().flatten();
        let certs = certs.map(|pair| pair.cert.as_str());
        certs.chain([self.previous.as_str()]).collect()
    }
}

/// Both CAs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorities {
    /// Of clients and the client port.
    pub clients: Authority,
    /// Of members among themselves, and the operator.
    pub peers: Authority,
    /// The newest `spec.tls.caGeneration` that was answered.
    pub generation: i64,
    /// When the last step of a change was taken, in seconds since 1970.
    pub since: i64,
}

impl Authorities {
    fn stand(&self) -> Stand {
        let both = [&self.clients, &self.peers];
        if both.iter().any(|is| is.next.is_some()) {
            Stand::Introducing
        } else if both.iter().any(|is| !is.previous.is_empty()) {
            Stand::Switching
        } else {
            Stand::Steady
        }
    }
}

/// Where a change of CAs stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// None is under way.
    Steady,
    /// The new ones are trusted and do not sign yet.
    Introducing,
    /// They sign, and the old ones are trusted still.
    Switching,
}

impl Stand {
    /// CamelCase, as the status wants it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Steady => "Steady",
            Self::Introducing => "Introducing",
            Self::Switching => "Switching",
        }
    }
}

/// What is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leaf {
    /// Members, towards clients.
    Server,
    /// Members, among themselves.
    Peer,
    /// The operator, towards members.
    Operator,
    /// Clients.
    Client,
}

impl Leaf {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Server, Self::Peer, Self::Operator, Self::Client];

    /// How it is called in names, also its common name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Peer => "peer",
            Self::Operator => "operator",
            Self::Client => "client",
        }
    }

    /// What its certificate is for.
    #[must_use]
    pub fn purpose(self, names: &Names) -> Purpose {
        let hosts = match self {
            Self::Server => names.server_hosts(),
            Self::Peer => names.peer_hosts(),
            Self::Operator => vec![names.operator_host()],
            Self::Client => Vec::new(),
        };
        Purpose {
            hosts,
            // Members are servers and clients of each other.
            server: matches!(self, Self::Server | Self::Peer),
            client: !matches!(self, Self::Server),
        }
    }

    fn authority(self, authorities: &Authorities) -> &Authority {
        match self {
            Self::Server | Self::Client => &authorities.clients,
            Self::Peer | Self::Operator => &authorities.peers,
        }
    }
}

/// What a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purpose {
    /// DNS names and addresses.
    pub hosts: Vec<String>,
    /// Its owner is called.
    pub server: bool,
    /// Its owner calls.
    pub client: bool,
}

/// Where certificates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The operator makes them.
    Own,
    /// cert-manager makes them, by these issuers of clients and peers.
    CertManager(Box<[IssuerRef; 2]>),
    /// The user gives them in these Secrets.
    Secrets(BTreeMap<Leaf, String>),
}

impl Source {
    /// The Secrets that others write.
    #[must_use]
    pub fn secrets(&self, names: &Names) -> BTreeMap<Leaf, String> {
        match self {
            Self::Own => BTreeMap::new(),
            Self::CertManager(_) => {
                let all = Leaf::ALL.into_iter();
                all.map(|leaf| (leaf, names.issued_secret(leaf))).collect()
            }
            Self::Secrets(secrets) => secrets.clone(),
        }
    }
}

/// A signed certificate and whom its owner trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate.
    pub pair: Pair,
    /// CAs, PEM.
    pub trust: String,
}

impl Issued {
    /// How a client that has this connects.
    #[must_use]
    pub fn client(&self) -> ClientTlsConfig {
        ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&self.trust))
            .identity(Identity::from_pem(&self.pair.cert, &self.pair.key))
    }
}

/// How far what others signed was taken up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// When the last step was taken, in seconds since 1970.
    pub since: i64,
    /// SHA-256 of the CAs that perhaps not everybody trusts yet.
    pub fresh: BTreeSet<String>,
}

/// Everything that is kept in Secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The CAs, if there are any of our own.
    pub authorities: Option<Authorities>,
    /// How far what others signed was taken up, where others sign.
    pub followed: Option<Followed>,
    /// What was signed.
    pub leaves: BTreeMap<Leaf, Issued>,
}

impl Kept {
    /// When the first of the certificates ends, in seconds since 1970.
    #[must_use]
    pub fn not_after(&self) -> Option<i64> {
        let leaves = self.leaves.values();
        leaves.filter_map(|leaf| issue::ends(&leaf.pair.cert)).min()
    }
}

/// What the user asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// `spec.tls.caGeneration`
    pub generation: i64,
    /// `spec.tls.caOverlap`, in seconds.
    pub overlap: i64,
}

/// One step: what should be kept, from what is. Pure but for the keys that it draws.
///
/// # Errors
/// When a certificate cannot be made.
pub fn tend(
    kept: &Kept,
    names: &Names,
    wish: Wish,
    progress: Progress,
    now: i64,
) -> Result<Kept, IssueError> {
    let mut authorities = match (
        turn::next(kept, wish, progress, now),
        kept.authorities.clone(),
    ) {
        (Turn::Stay, Some(authorities)) => authorities,
        (Turn::Begin, Some(mut authorities)) => {
            authorities.clients.next = Some(issue::authority("clients", now)?);
            authorities.peers.next = Some(issue::authority("peers", now)?);
            authorities.generation = wish.generation;
            authorities.since = now;
            authorities
        }
        (Turn::Switch, Some(mut authorities)) => {
            for authority in [&mut authorities.clients, &mut authorities.peers] {
                // One of the two may have nobody to give way to: it was founded when only the other was in use.
                let Some(next) = authority.next.take() else {
                    continue;
                };
                if let Some(old) = authority.signer.replace(next) {
                    authority.previous.push_str(&old.cert);
                }
            }
            authorities.since = now;
            authorities
        }
        (Turn::Drop, Some(mut authorities)) => {
            authorities.clients.previous.clear();
            authorities.peers.previous.clear();
            authorities.since = now;
            authorities
        }
        (_, None) => found(kept, wish, now)?,
    };
    let mut leaves = BTreeMap::new();
    for leaf in Leaf::ALL {
        let authority = leaf.authority(&authorities);
        let old = kept.leaves.get(&leaf);
        let pair = match old.filter(|old| issue::is_good(&old.pair, authority, now)) {
            Some(old) => old.pair.clone(),
            None => issue::leaf(leaf, names, authority, now)?,
        };
        let trust = authority.trust();
        leaves.insert(leaf, Issued { pair, trust });
    }
    if authorities.stand() != Stand::Steady && leaves != kept.leaves {
        // Also where a crash left them unwritten: clients get their time from when there is something to take up.
        authorities.since = now;
    }
    Ok(Kept {
        authorities: Some(authorities),
        followed: None,
        leaves,
    })
}

/// New CAs. Where certificates of older ones are in use, those stay trusted and the new ones do not sign before
/// everybody trusts them: this is how the loss of a CA is mended without an outage.
fn found(kept: &Kept, wish: Wish, now: i64) -> Result<Authorities, IssueError> {
    let authority = |name: &str, leaf: Leaf| {
        let pair = issue::authority(name, now)?;
        Ok::<_, IssueError>(match kept.leaves.get(&leaf) {
            None => Authority {
                signer: Some(pair),
                ..Authority::default()
            },
            Some(issued) => Authority {
                signer: None,
                next: Some(pair),
                previous: issued.trust.clone(),
            },
        })
    };
    Ok(Authorities {
        clients: authority("clients", Leaf::Server)?,
        peers: authority("peers", Leaf::Peer)?,
        generation: wish.generation,
        since: now,
    })
}

#[cfg(test)]
mod tests;
