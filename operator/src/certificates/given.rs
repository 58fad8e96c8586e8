//! Certificates that others make: read, and judged before anybody uses them. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;

use super::{Issued, Leaf, Pair, issue, secrets};
use crate::names::Names;

/// What others made, whole and fitting together; or what is wrong with it, and what to do.
pub type Given = Result<BTreeMap<Leaf, Issued>, String>;

/// Reads what others made, by the names of the Secrets. The certificate for clients is the only one that need not
/// be named.
///
/// # Errors
/// The first thing that is wrong, in words that say what to do.
pub fn given(
    names: &Names,
    sources: &BTreeMap<Leaf, String>,
    found: &BTreeMap<String, Secret>,
    now: i64,
) -> Given {
    let mut given = BTreeMap::new();
    for (leaf, name) in sources {
        let secret = found
            .get(name)
            .ok_or_else(|| format!("Secret {name} is not there: create it"))?;
        let text = |key: &str| {
            secrets::text(secret, key)
                .filter(|text| !text.is_empty())
                .ok_or_else(|| {
                    format!(
                        "Secret {name} has no {key}: it needs tls.crt, tls.key and ca.crt, as PEM"
                    )
                })
        };
        let issued = Issued {
            pair: Pair {
                cert: text("tls.crt")?,
                key: text("tls.key")?,
            },
            trust: text("ca.crt")?,
        };
        if !issue::fits(&issued.pair) {
            return Err(format!(
                "Secret {name}: tls.key is not the key of tls.crt: put both of one certificate there"
            ));
        }
        given.insert(*leaf, issued);
    }
    for (leaf, judge) in JUDGES {
        let (Some(issued), Some(judge)) = (given.get(&leaf), given.get(&judge)) else {
            continue;
        };
        let name = sources.get(&leaf).map_or("", String::as_str);
        check(names, leaf, issued, &judge.trust, now)
            .map_err(|problem| format!("Secret {name}: tls.crt {problem}"))?;
    }
    Ok(given)
}

/// Whose certificate is judged by whose CAs: clients and the operator judge members, members judge them and each
/// other.
pub(super) const JUDGES: [(Leaf, Leaf); 6] = [
    (Leaf::Server, Leaf::Server),
    (Leaf::Server, Leaf::Client),
    (Leaf::Client, Leaf::Server),
    (Leaf::Peer, Leaf::Peer),
    (Leaf::Peer, Leaf::Operator),
    (Leaf::Operator, Leaf::Peer),
];

/// Whether a certificate does what it is for, in the eyes of somebody with this trust.
pub(super) fn check(
    names: &Names,
    leaf: Leaf,
    issued: &Issued,
    trust: &str,
    now: i64,
) -> Result<(), String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("cannot be used: {error}");
    let mut chain: Vec<CertificateDer<'_>> =
        CertificateDer::pem_slice_iter(issued.pair.cert.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| unreadable(&error))?;
    if chain.is_empty() {
        return Err("holds no certificate".to_owned());
    }
    let end = chain.remove(0);
    let mut roots = RootCertStore::empty();
    for ca in CertificateDer::pem_slice_iter(trust.as_bytes()) {
        let ca = ca.map_err(|error| unreadable(&error))?;
        roots.add(ca).map_err(|error| unreadable(&error))?;
    }
    let (roots, provider) = (Arc::new(roots), Arc::new(ring::default_provider()));
    let at = UnixTime::since_unix_epoch(Duration::from_secs(now.unsigned_abs()));
    let purpose = leaf.purpose(names);
    if purpose.client {
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|error| unreadable(&error))?;
        verifier
            .verify_client_cert(&end, &chain, at)
            .map_err(|error| refused(&error, "client auth"))?;
    }
    if purpose.server {
        serves(names, leaf, (&end, &chain), roots, &provider, at)?;
    } else {
        let shown = issue::hosts(&issued.pair.cert);
        if let Some(host) = purpose.hosts.iter().find(|host| !shown.contains(host)) {
            return Err(format!(
                "is not for {host}: have it issued with this DNS name"
            ));
        }
    }
    Ok(())
}

fn serves(
    names: &Names,
    leaf: Leaf,
    (end, chain): (&CertificateDer<'_>, &[CertificateDer<'_>]),
    roots: Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
    at: UnixTime,
) -> Result<(), String> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map_err(|error| format!("cannot be judged by ca.crt: {error}"))?;
    for wanted in names.must_serve(leaf) {
        // Members come and go: one host name of each is not enough, so any name under a wildcard must do.
        let host = wanted.replacen('*', "any-member", 1);
        let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
        verifier
            .verify_server_cert(end, chain, &name, &[], at)
            .map_err(|error| match error {
                rustls::Error::InvalidCertificate(
                    rustls::CertificateError::NotValidForName
                    | rustls::CertificateError::NotValidForNameContext { .. },
                ) => format!("is not for {wanted}: have it issued with this DNS name"),
                error => refused(&error, "server auth"),
            })?;
    }
    Ok(())
}

fn refused(error: &rustls::Error, usage: &str) -> String {
    use rustls::CertificateError as Is;
    let rustls::Error::InvalidCertificate(error) = error else {
        return format!("cannot be used: {error}");
    };
    match error {
        Is::Expired | Is::ExpiredContext { .. } => "has ended: renew it".to_owned(),
        Is::NotValidYet | Is::NotValidYetContext { .. } => {
            "is not valid yet: look at the clocks".to_owned()
        }
        Is::UnknownIssuer => {
            "is signed by none of the CAs that the other side trusts: put its CA into ca.crt of both, and what is between into tls.crt"
                .to_owned()
        }
        Is::InvalidPurpose | Is::InvalidPurposeContext { .. } => {
            format!("is not for {usage}: have it issued with this extended key usage")
        }
        error => format!("cannot be used: {error}"),
    }
}
