//! The operator's own CAs.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use super::*;
use crate::limits::{CA_RENEW_SECONDS, CA_SECONDS, LEAF_RENEW_SECONDS, LEAF_SECONDS};

const WISH: Wish = Wish {
    generation: 0,
    overlap: 60,
};

/// New CAs are asked for.
const CHANGED: Wish = Wish {
    generation: 1,
    ..WISH
};

fn step(kept: &Kept, wish: Wish, members: &Kept, now: i64) -> Kept {
    let progress = Progress::of(kept, &followed(members), true);
    tend(kept, &cluster().names, wish, progress, now).unwrap()
}

fn founded() -> Kept {
    let progress = Progress::default();
    tend(&Kept::default(), &cluster().names, WISH, progress, NOW).unwrap()
}

fn stand(kept: &Kept) -> Stand {
    kept.authorities.as_ref().unwrap().stand()
}

fn signers(kept: &Kept) -> Vec<Option<String>> {
    let both = kept.authorities.as_ref().unwrap();
    let signers = [&both.clients.signer, &both.peers.signer];
    signers
        .map(|is| is.as_ref().map(|is| is.cert.clone()))
        .into()
}

#[test]
fn certificates_are_made_once_and_each_chain_is_its_own() {
    let kept = founded();
    assert_eq!(step(&kept, WISH, &kept, NOW + 1), kept, "nothing is due");
    let both = kept.authorities.clone().unwrap();
    for leaf in Leaf::ALL {
        let pair = &kept.leaves[&leaf].pair;
        let other = match leaf {
            Leaf::Server | Leaf::Client => &both.peers,
            Leaf::Peer | Leaf::Operator => &both.clients,
        };
        assert!(issue::is_good(pair, leaf.authority(&both), NOW), "{leaf:?}");
        assert!(!issue::is_good(pair, other, NOW), "{leaf:?}");
    }
    assert_eq!(kept.not_after(), Some(NOW + LEAF_SECONDS));
}

#[test]
fn a_certificate_is_renewed_before_it_ends_and_nothing_else_is() {
    let kept = founded();
    let due = NOW + LEAF_SECONDS - LEAF_RENEW_SECONDS;
    assert_eq!(step(&kept, WISH, &kept, due - 1), kept);
    let renewed = step(&kept, WISH, &kept, due);
    assert_eq!(renewed.authorities, kept.authorities);
    assert_eq!(renewed.not_after(), Some(due + LEAF_SECONDS));
}

/// What is there after a crash between the Secret of the CAs and those of what they sign.
fn crashed(before: &Kept, after: &Kept) -> Kept {
    Kept {
        leaves: before.leaves.clone(),
        ..after.clone()
    }
}

#[test]
fn what_a_crash_left_unwritten_is_written_before_a_change_of_cas_goes_on() {
    let old = founded();
    let begun = step(&old, CHANGED, &old, NOW);
    // Nobody trusts the new CAs yet, however long ago the step was taken.
    let late = NOW + 100 * WISH.overlap;
    let found = crashed(&old, &begun);
    let mended = step(&found, CHANGED, &old, late);
    assert_eq!(mended.leaves, begun.leaves);
    assert_eq!(signers(&mended), signers(&old));
    assert_eq!(
        step(&mended, CHANGED, &mended, late + WISH.overlap - 1),
        mended,
        "clients get their time from now on"
    );

    let switched = step(&mended, CHANGED, &mended, late + WISH.overlap);
    assert_ne!(signers(&switched), signers(&old));
    // Everybody shows what is kept, and that is still of the old CAs.
    let later = late + 100 * WISH.overlap;
    let found = crashed(&mended, &switched);
    let mended = step(&found, CHANGED, &mended, later);
    assert_eq!(stand(&mended), Stand::Switching);
    let both = mended.authorities.clone().unwrap();
    for (leaf, issued) in &mended.leaves {
        let authority = leaf.authority(&both);
        assert!(issue::is_good(&issued.pair, authority, later), "{leaf:?}");
        assert_eq!(issued.trust, authority.trust());
    }
    let dropped = step(&mended, CHANGED, &mended, later + WISH.overlap);
    assert_eq!(stand(&dropped), Stand::Steady);
}

#[test]
fn a_change_of_cas_waits_for_every_member_and_for_clients() {
    let old = founded();
    let begun = step(&old, CHANGED, &old, NOW);
    assert_eq!(stand(&begun), Stand::Introducing);
    assert_eq!(
        signers(&begun),
        signers(&old),
        "the new ones do not sign yet"
    );
    for leaf in Leaf::ALL {
        let (before, after) = (&old.leaves[&leaf], &begun.leaves[&leaf]);
        assert_eq!(after.pair, before.pair);
        assert!(after.trust.starts_with(&before.trust) && after.trust != before.trust);
    }
    let overlap = NOW + WISH.overlap;
    assert_eq!(step(&begun, CHANGED, &begun, overlap - 1), begun, "clients");
    assert_eq!(step(&begun, CHANGED, &old, overlap), begun, "members");
    let silent = Progress::of(&begun, &[None], true);
    let names = cluster().names;
    let waiting = tend(&begun, &names, CHANGED, silent, overlap).unwrap();
    assert_eq!(waiting, begun, "one does not answer");

    let switched = step(&begun, CHANGED, &begun, overlap);
    assert_eq!(stand(&switched), Stand::Switching);
    assert!(
        signers(&switched)
            .iter()
            .zip(signers(&old))
            .all(|(new, old)| *new != old)
    );
    let both = |kept: &Kept| {
        let mut all = issue::digests(&kept.leaves[&Leaf::Peer].trust);
        all.sort();
        all
    };
    assert_eq!(both(&switched), both(&begun), "both are trusted still");
    let later = overlap + WISH.overlap;
    assert_eq!(step(&switched, CHANGED, &begun, later), switched, "members");
    let dropped = step(&switched, CHANGED, &switched, later);
    assert_eq!(stand(&dropped), Stand::Steady);
    assert_eq!(both(&dropped).len(), 1);
    for leaf in Leaf::ALL {
        assert_eq!(dropped.leaves[&leaf].pair, switched.leaves[&leaf].pair);
    }
    assert_eq!(
        step(&dropped, CHANGED, &dropped, later + 1),
        dropped,
        "once"
    );
}

#[test]
fn cas_are_changed_before_they_end() {
    let old = founded();
    let due = NOW + CA_SECONDS - CA_RENEW_SECONDS;
    assert_eq!(stand(&step(&old, WISH, &old, due)), Stand::Steady);
    assert_eq!(stand(&step(&old, WISH, &old, due + 1)), Stand::Introducing);
}

#[test]
fn lost_cas_are_mended_without_an_outage() {
    let old = founded();
    let lost = Kept {
        leaves: old.leaves.clone(),
        ..Kept::default()
    };
    let begun = step(&lost, WISH, &old, NOW);
    assert_eq!(stand(&begun), Stand::Introducing);
    for leaf in Leaf::ALL {
        assert_eq!(begun.leaves[&leaf].pair, old.leaves[&leaf].pair, "{leaf:?}");
        let trusted = issue::digests(&begun.leaves[&leaf].trust);
        let before = issue::digests(&old.leaves[&leaf].trust);
        assert!(before.iter().all(|ca| trusted.contains(ca)) && trusted.len() == 2);
    }
    let overlap = NOW + WISH.overlap;
    let switched = step(&begun, WISH, &begun, overlap);
    let dropped = step(&switched, WISH, &switched, overlap + WISH.overlap);
    assert_eq!(stand(&dropped), Stand::Steady);
}

#[test]
fn cas_that_were_lost_with_some_of_what_they_signed_are_mended_too() {
    let old = founded();
    let mut lost = Kept {
        leaves: old.leaves.clone(),
        ..Kept::default()
    };
    lost.leaves.remove(&Leaf::Server);
    let begun = step(&lost, WISH, &old, NOW);
    let overlap = NOW + WISH.overlap;
    let switched = step(&begun, WISH, &begun, overlap);
    assert!(signers(&switched).iter().all(Option::is_some), "both sign");
    let dropped = step(&switched, WISH, &switched, overlap + WISH.overlap);
    assert!(signers(&dropped).iter().all(Option::is_some), "both sign");
    assert_eq!(stand(&dropped), Stand::Steady);
}

#[test]
fn secrets_are_read_as_they_were_written_and_damage_counts_as_loss() {
    let cluster = cluster();
    let mut kept = founded();
    kept = step(&kept, CHANGED, &kept, NOW);
    let mut secrets: BTreeMap<String, Secret> = Leaf::ALL
        .into_iter()
        .map(|leaf| leaf_secret(&cluster, leaf, &kept.leaves[&leaf]))
        .chain([ca_secret(&cluster, &kept)])
        .map(|secret| (secret.name_any(), secret))
        .collect();
    assert_eq!(read(&cluster, &secrets), kept);

    let client = cluster.names.leaf_secret(Leaf::Client);
    let server = cluster.names.leaf_secret(Leaf::Server);
    let another = secrets[&server].data.clone().unwrap()["tls.key"].clone();
    let data = secrets.get_mut(&client).unwrap().data.as_mut().unwrap();
    data.insert("tls.key".to_owned(), another);
    let damaged = read(&cluster, &secrets);
    assert!(!damaged.leaves.contains_key(&Leaf::Client), "not its key");
    let mended = step(&damaged, WISH, &kept, NOW);
    assert_ne!(
        mended.leaves[&Leaf::Client].pair,
        kept.leaves[&Leaf::Client].pair
    );
    assert_eq!(mended.leaves[&Leaf::Server], kept.leaves[&Leaf::Server]);
    let garbage = k8s_openapi::ByteString(b"garbage".to_vec());
    let ca = secrets.get_mut(&cluster.names.ca_secret()).unwrap();
    for value in ca.data.as_mut().unwrap().values_mut() {
        *value = garbage.clone();
    }
    assert_eq!(read(&cluster, &secrets).authorities, None);
}
