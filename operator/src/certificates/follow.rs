//! Taking up certificates that others make: like a change of CAs of our own, step by step. Pure.

use std::collections::{BTreeMap, BTreeSet};

use x509_parser::pem::Pem;

use super::given::{JUDGES, check};
use super::{Followed, Issued, Kept, Leaf, Progress, Stand, issue};
use crate::fingerprint::sha256;
use crate::names::Names;

/// Where taking up what others made stands.
#[must_use]
pub(super) fn stand(kept: &Kept, given: &BTreeMap<Leaf, Issued>) -> Stand {
    let both = |ask: &dyn Fn(&Issued, &Issued) -> bool| {
        let mut leaves = given.iter();
        leaves.any(|(leaf, given)| kept.leaves.get(leaf).is_some_and(|kept| ask(kept, given)))
    };
    if both(&|kept, given| kept.pair != given.pair) {
        Stand::Introducing
    } else if both(&|kept, given| !covers(&given.trust, &kept.trust)) {
        Stand::Switching
    } else {
        Stand::Steady
    }
}

/// One step: whoever is to be trusted is, before anybody shows what they signed; and nobody loses trust before
/// nobody shows theirs any more. What is signed by a CA that everybody trusts already is taken up at once, so
/// that a member that is away does not hold up a renewal.
#[must_use]
pub fn follow(
    kept: &Kept,
    given: &BTreeMap<Leaf, Issued>,
    names: &Names,
    overlap: i64,
    progress: Progress,
    now: i64,
) -> Kept {
    let Followed { since, mut fresh } = followed(kept, now);
    let waited = now.saturating_sub(since) >= overlap;
    let pairs = || {
        given
            .iter()
            .filter_map(|(leaf, is)| Some((kept.leaves.get(leaf)?, is)))
    };
    let introduced = pairs().all(|(old, new)| covers(&old.trust, &new.trust));
    if !introduced {
        fresh.extend(pairs().flat_map(|(old, new)| strangers(&old.trust, &new.trust)));
    } else if waited && progress.trusted {
        fresh.clear();
    }
    let same = pairs().all(|(old, new)| old.pair == new.pair);
    let step = |leaf: Leaf, old: &Issued, new: &Issued| Issued {
        pair: if old.pair != new.pair && vouched(names, leaf, new, &kept.leaves, &fresh, now) {
            new.pair.clone()
        } else {
            old.pair.clone()
        },
        trust: if !introduced {
            union(&old.trust, &new.trust)
        } else if same && waited && progress.shown {
            new.trust.clone()
        } else {
            old.trust.clone()
        },
    };
    let taken = |(leaf, new): (&Leaf, &Issued)| {
        let old = kept.leaves.get(leaf);
        let is = old.map_or_else(|| new.clone(), |old| step(*leaf, old, new));
        (*leaf, is)
    };
    let leaves: BTreeMap<Leaf, Issued> = given.iter().map(taken).collect();
    let since = if leaves == kept.leaves { since } else { now };
    Kept {
        authorities: None,
        followed: Some(Followed { since, fresh }),
        leaves,
    }
}

/// How far others were followed. Where that was lost, nothing that is trusted is taken to be settled.
fn followed(kept: &Kept, now: i64) -> Followed {
    let lost = || {
        let leaves = kept.leaves.values().filter(|_| kept.authorities.is_none());
        Followed {
            since: now,
            fresh: leaves
                .flat_map(|leaf| issue::digests(&leaf.trust))
                .collect(),
        }
    };
    kept.followed.clone().unwrap_or_else(lost)
}

/// Whether everybody who judges this certificate trusts its CA, and not only since now.
fn vouched(
    names: &Names,
    leaf: Leaf,
    new: &Issued,
    kept: &BTreeMap<Leaf, Issued>,
    fresh: &BTreeSet<String>,
    now: i64,
) -> bool {
    let judges = JUDGES.iter().filter(|(judged, _)| *judged == leaf);
    let mut judges = judges.filter_map(|(_, judge)| kept.get(judge));
    judges.all(|judge| {
        let settled = certificates(&judge.trust);
        let settled = settled
            .iter()
            .filter(|(digest, _)| !fresh.contains(*digest));
        let trust: String = settled.map(|(_, block)| format!("{block}\n")).collect();
        check(names, leaf, new, &trust, now).is_ok()
    })
}

/// Each certificate of a PEM text, by its digest.
fn certificates(pem: &str) -> BTreeMap<String, &str> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let mut found = BTreeMap::new();
    let mut rest = pem;
    while let Some(begin) = rest.find(BEGIN) {
        let Some(length) = rest[begin..].find(END) else {
            break;
        };
        let (block, after) = rest[begin..].split_at(length + END.len());
        if let Some(Ok(parsed)) = Pem::iter_from_buffer(block.as_bytes()).next() {
            found.insert(sha256(&parsed.contents), block);
        }
        rest = after;
    }
    found
}

/// Who is in `other` and not in `trust`, by digest.
fn strangers(trust: &str, other: &str) -> Vec<String> {
    let trust = issue::digests(trust);
    let mut other = issue::digests(other);
    other.retain(|ca| !trust.contains(ca));
    other
}

/// Whether everybody in `trusted` is also in `trust`.
fn covers(trust: &str, trusted: &str) -> bool {
    strangers(trust, trusted).is_empty()
}

fn union(one: &str, other: &str) -> String {
    let mut all = certificates(one);
    all.extend(certificates(other));
    all.values().map(|block| format!("{block}\n")).collect()
}
