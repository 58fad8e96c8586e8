//! Certificates that others make: judged, taken up, and given back.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;

use super::*;
use crate::limits::LEAF_SECONDS;

const WISH: Wish = Wish {
    generation: 0,
    overlap: 60,
};

/// Somebody's CA, as one that signs everything.
fn somebody() -> Authorities {
    let authority = Authority {
        signer: Some(issue::authority("somebody", NOW).unwrap()),
        ..Authority::default()
    };
    Authorities {
        clients: authority.clone(),
        peers: authority,
        generation: 0,
        since: 0,
    }
}

fn sign(authorities: &Authorities) -> BTreeMap<Leaf, Issued> {
    let names = &cluster().names;
    let of = |leaf: Leaf| {
        let authority = leaf.authority(authorities);
        let pair = issue::leaf(leaf, names, authority, NOW).unwrap();
        let trust = authority.trust();
        (leaf, Issued { pair, trust })
    };
    Leaf::ALL.into_iter().map(of).collect()
}

fn sources() -> BTreeMap<Leaf, String> {
    let all = Leaf::ALL.into_iter();
    all.map(|leaf| (leaf, format!("my-{}", leaf.as_str())))
        .collect()
}

fn secrets(leaves: &BTreeMap<Leaf, Issued>) -> BTreeMap<String, Secret> {
    let of = |(leaf, issued): (&Leaf, &Issued)| {
        let mut secret = leaf_secret(&cluster(), *leaf, issued);
        secret.metadata.owner_references = None;
        (sources()[leaf].clone(), secret)
    };
    leaves.iter().map(of).collect()
}

fn judged(leaves: &BTreeMap<Leaf, Issued>) -> Given {
    given(&cluster().names, &sources(), &secrets(leaves), NOW)
}

/// The first step of all, before any member is.
fn birth(given: &BTreeMap<Leaf, Issued>) -> Kept {
    follow(
        &Kept::default(),
        given,
        &cluster().names,
        WISH.overlap,
        Progress::default(),
        NOW,
    )
}

/// The next step, with members that use what `members` holds.
fn step(kept: &Kept, given: &BTreeMap<Leaf, Issued>, members: &Kept, now: i64) -> Kept {
    let progress = Progress::of(kept, &followed(members), true);
    follow(kept, given, &cluster().names, WISH.overlap, progress, now)
}

#[test]
fn what_fits_together_is_taken_as_it_is() {
    let leaves = sign(&somebody());
    assert_eq!(judged(&leaves).unwrap(), leaves);
    let born = birth(&leaves);
    // It is asked of no member, for there is none.
    assert_eq!(born.leaves, leaves);
    assert_eq!(step(&born, &leaves, &born, NOW + 1), born, "nothing is due");
    assert_eq!(follow::stand(&born, &leaves), Stand::Steady);
}

#[test]
fn what_does_not_fit_is_refused_with_what_to_do() {
    let authorities = somebody();
    let good = sign(&authorities);
    let wrong = |change: &dyn Fn(&mut BTreeMap<Leaf, Issued>)| {
        let mut leaves = good.clone();
        change(&mut leaves);
        judged(&leaves).unwrap_err()
    };
    let of_another = sign(&somebody());
    let mut all = vec![
        wrong(&|leaves| drop(leaves.remove(&Leaf::Peer))),
        wrong(&|leaves| {
            let key = leaves[&Leaf::Client].pair.key.clone();
            leaves.get_mut(&Leaf::Server).unwrap().pair.key = key;
        }),
        wrong(&|leaves| leaves.get_mut(&Leaf::Server).unwrap().trust.clear()),
        wrong(&|leaves| leaves.get_mut(&Leaf::Server).unwrap().trust = "nonsense".to_owned()),
        wrong(&|leaves| drop(leaves.insert(Leaf::Client, of_another[&Leaf::Client].clone()))),
        // One that only calls where one that is called must be, and the reverse.
        wrong(&|leaves| drop(leaves.insert(Leaf::Peer, leaves[&Leaf::Operator].clone()))),
        wrong(&|leaves| drop(leaves.insert(Leaf::Client, leaves[&Leaf::Server].clone()))),
        // A member's certificate must not make its owner the operator.
        wrong(&|leaves| drop(leaves.insert(Leaf::Operator, leaves[&Leaf::Peer].clone()))),
        wrong(&|leaves| drop(leaves.insert(Leaf::Server, leaves[&Leaf::Peer].clone()))),
    ];
    let late = given(
        &cluster().names,
        &sources(),
        &secrets(&good),
        NOW + LEAF_SECONDS + 1,
    );
    all.push(late.unwrap_err());
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn a_renewal_by_the_same_ca_is_taken_up_at_once() {
    let authorities = somebody();
    let old = sign(&authorities);
    let kept = birth(&old);
    let new = sign(&authorities);
    // A member that is away does not hold it up.
    let silent = follow(
        &kept,
        &new,
        &cluster().names,
        WISH.overlap,
        Progress::default(),
        NOW + 1,
    );
    assert_eq!(silent.leaves, new);
}

#[test]
fn one_who_trusts_both_cas_shows_the_new_one_no_sooner() {
    let old = sign(&somebody());
    let kept = birth(&old);
    // The old CA stays beside the new one, so there is none to drop; and all comes at once.
    let mut new = sign(&somebody());
    for (leaf, issued) in &mut new {
        issued.trust.push_str(&old[leaf].trust);
    }
    let pairs = |kept: &Kept, of: &BTreeMap<Leaf, Issued>| {
        let mut leaves = Leaf::ALL.into_iter();
        leaves.all(|leaf| kept.leaves[&leaf].pair == of[&leaf].pair)
    };
    let begun = step(&kept, &new, &kept, NOW);
    let overlap = NOW + WISH.overlap;
    assert!(pairs(&begun, &old));
    assert_eq!(follow::stand(&begun, &new), Stand::Introducing);
    assert_eq!(step(&begun, &new, &begun, overlap - 1), begun, "clients");
    assert_eq!(step(&begun, &new, &kept, overlap), begun, "members");
    // Nor where the Secret that says since when was lost.
    let lost = Kept {
        followed: None,
        ..begun.clone()
    };
    assert_eq!(step(&lost, &new, &lost, overlap).leaves, begun.leaves);

    let settled = step(&begun, &new, &begun, overlap);
    assert!(pairs(&settled, &new));
    assert_eq!(follow::stand(&settled, &new), Stand::Steady);
    assert_eq!(settled.followed.unwrap().fresh, [].into());
}

#[test]
fn another_ca_is_trusted_before_it_is_shown_and_the_old_one_goes_last() {
    let old = sign(&somebody());
    let first = birth(&old);
    let new = sign(&somebody());
    let both = |kept: &Kept| issue::digests(&kept.leaves[&Leaf::Peer].trust).len() == 2;
    let pairs = |kept: &Kept, of: &BTreeMap<Leaf, Issued>| {
        let mut leaves = Leaf::ALL.into_iter();
        leaves.all(|leaf| kept.leaves[&leaf].pair == of[&leaf].pair)
    };

    let begun = step(&first, &new, &first, NOW);
    assert!(both(&begun) && pairs(&begun, &old));
    assert_eq!(follow::stand(&begun, &new), Stand::Introducing);
    let overlap = NOW + WISH.overlap;
    assert_eq!(step(&begun, &new, &begun, overlap - 1), begun, "clients");
    assert_eq!(step(&begun, &new, &first, overlap), begun, "members");

    let switched = step(&begun, &new, &begun, overlap);
    assert!(both(&switched) && pairs(&switched, &new));
    assert_eq!(follow::stand(&switched, &new), Stand::Switching);
    let later = overlap + WISH.overlap;
    assert_eq!(step(&switched, &new, &switched, later - 1), switched);
    assert_eq!(step(&switched, &new, &begun, later), switched, "members");

    let dropped = step(&switched, &new, &switched, later);
    assert_eq!(dropped.leaves, new);
    assert_eq!(follow::stand(&dropped, &new), Stand::Steady);

    // Taken back midway: the old pairs never went, and the new CA is dropped.
    let back = step(&begun, &old, &begun, overlap);
    assert_eq!(back.leaves, old);
}

#[test]
fn our_own_cas_give_way_and_come_back_like_any_other() {
    let names = cluster().names;
    let own = tend(&Kept::default(), &names, WISH, Progress::default(), NOW).unwrap();
    let given = sign(&somebody());
    let begun = step(&own, &given, &own, NOW);
    assert_eq!(begun.authorities, None);
    assert_eq!(
        begun.leaves[&Leaf::Server].pair,
        own.leaves[&Leaf::Server].pair
    );
    let overlap = NOW + WISH.overlap;
    let switched = step(&begun, &given, &begun, overlap);
    let settled = step(&switched, &given, &switched, overlap + WISH.overlap);
    assert_eq!(settled.leaves, given);

    // As it is read back from Secrets.
    let cluster = cluster();
    let mut secrets: BTreeMap<String, Secret> = BTreeMap::new();
    for (leaf, issued) in &settled.leaves {
        secrets.insert(
            names.leaf_secret(*leaf),
            leaf_secret(&cluster, *leaf, issued),
        );
    }
    let ca = ca_secret(&cluster, &settled);
    let keys: Vec<&str> = ca
        .data
        .iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .collect();
    assert_eq!(keys, ["followed"], "no key of ours is left");
    secrets.insert(names.ca_secret(), ca);
    assert_eq!(read(&cluster, &secrets), settled);

    let progress = Progress::of(&settled, &followed(&settled), true);
    let back = tend(&settled, &names, WISH, progress, NOW).unwrap();
    assert_eq!(
        back.authorities.as_ref().unwrap().stand(),
        Stand::Introducing
    );
    assert_eq!(back.followed, None);
    for leaf in Leaf::ALL {
        assert_eq!(
            back.leaves[&leaf].pair, settled.leaves[&leaf].pair,
            "{leaf:?}"
        );
    }
}

#[test]
fn keys_of_other_kinds_are_read() {
    // PKCS #1, as openssl and cert-manager write RSA keys unless told otherwise.
    let pair = Pair {
        cert: include_str!("rsa.crt").to_owned(),
        key: include_str!("rsa.key").to_owned(),
    };
    assert!(issue::fits(&pair));
}
