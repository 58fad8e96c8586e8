//! Certificates as Secrets, and back. Pure.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::{Authorities, Authority, Followed, Issued, Kept, Leaf, Pair, issue};
use crate::build::owned;
use crate::validate::ValidCluster;

fn secret(
    cluster: &ValidCluster,
    name: String,
    type_: &str,
    data: impl IntoIterator<Item = (String, String)>,
) -> Secret {
    let data = data.into_iter().filter(|(_, text)| !text.is_empty());
    Secret {
        metadata: owned(cluster, name, cluster.names.labels()),
        type_: Some(type_.to_owned()),
        data: Some(
            data.map(|(key, text)| (key, ByteString(text.into_bytes())))
                .collect(),
        ),
        ..Secret::default()
    }
}

/// The Secret of the CAs; where others sign, it says only how far theirs were taken up.
#[must_use]
pub fn ca_secret(cluster: &ValidCluster, kept: &Kept) -> Secret {
    let of = |name: &'static str, authority: &Authority| {
        let pair = |pair: Option<&Pair>, what: &str| {
            let (cert, key) =
                pair.map_or_else(Default::default, |is| (is.cert.clone(), is.key.clone()));
            [
                (format!("{name}{what}.crt"), cert),
                (format!("{name}{what}.key"), key),
            ]
        };
        let mut data = Vec::new();
        data.extend(pair(authority.signer.as_ref(), ""));
        data.extend(pair(authority.next.as_ref(), "-next"));
        data.push((format!("{name}-previous.crt"), authority.previous.clone()));
        data
    };
    let mut data = Vec::new();
    if let Some(authorities) = &kept.authorities {
        data.extend(of("clients", &authorities.clients));
        data.extend(of("peers", &authorities.peers));
        data.push(("generation".to_owned(), authorities.generation.to_string()));
        data.push(("since".to_owned(), authorities.since.to_string()));
    }
    if let Some(Followed { since, fresh }) = &kept.followed {
        let fresh: Vec<&str> = fresh.iter().map(String::as_str).collect();
        data.push(("followed".to_owned(), since.to_string()));
        data.push(("followed-fresh".to_owned(), fresh.join("\n")));
    }
    secret(cluster, cluster.names.ca_secret(), "Opaque", data)
}

/// The Secret of a signed certificate.
#[must_use]
pub fn leaf_secret(cluster: &ValidCluster, leaf: Leaf, issued: &Issued) -> Secret {
    let data = [
        ("tls.crt", &issued.pair.cert),
        ("tls.key", &issued.pair.key),
        ("ca.crt", &issued.trust),
    ]
    .map(|(key, text)| (key.to_owned(), text.clone()));
    secret(
        cluster,
        cluster.names.leaf_secret(leaf),
        "kubernetes.io/tls",
        data,
    )
}

/// One text of a Secret.
pub(super) fn text(secret: &Secret, key: &str) -> Option<String> {
    String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok()
}

/// Reads Secrets by their names. What somebody has damaged counts as not there, and is made anew.
#[must_use]
pub fn read(cluster: &ValidCluster, found: &BTreeMap<String, Secret>) -> Kept {
    let text = |secret: &str, key: &str| text(found.get(secret)?, key);
    let ca = cluster.names.ca_secret();
    let authority = |name: &str| {
        let pair = |what: &str| {
            let cert = text(&ca, &format!("{name}{what}.crt"))?;
            let key = text(&ca, &format!("{name}{what}.key"))?;
            let pair = Pair { cert, key };
            issue::fits(&pair).then_some(pair)
        };
        let (signer, next) = (pair(""), pair("-next"));
        (signer.is_some() || next.is_some()).then(|| Authority {
            signer,
            next,
            previous: text(&ca, &format!("{name}-previous.crt")).unwrap_or_default(),
        })
    };
    let number = |key: &str| text(&ca, key)?.parse().ok();
    let authorities = || {
        Some(Authorities {
            clients: authority("clients")?,
            peers: authority("peers")?,
            generation: number("generation")?,
            since: number("since")?,
        })
    };
    let leaves = cluster.leaves().into_iter().filter_map(|leaf| {
        let name = cluster.names.leaf_secret(leaf);
        let issued = Issued {
            pair: Pair {
                cert: text(&name, "tls.crt")?,
                key: text(&name, "tls.key")?,
            },
            trust: text(&name, "ca.crt")?,
        };
        (issue::fits(&issued.pair) && !issue::digests(&issued.trust).is_empty())
            .then_some((leaf, issued))
    });
    Kept {
        authorities: authorities(),
        followed: number("followed").map(|since| Followed {
            since,
            fresh: text(&ca, "followed-fresh")
                .unwrap_or_default()
                .lines()
                .map(str::to_owned)
                .collect(),
        }),
        leaves: leaves.collect(),
    }
}
