//! Who the members of a static start are, with the IDs that etcd gives them.

use super::{Start, Wrong, urls, wrong};
use crate::args::{Args, ClusterState};
use crate::consensus::types::MemberId;
use sha1::{Digest, Sha1};
use std::collections::BTreeMap;

/// A member's ID as etcd makes it: from its sorted peer URLs and the token.
fn member_id(peer_urls: &[String], token: &str) -> MemberId {
    let mut sorted = peer_urls.to_vec();
    sorted.sort();
    let mut hash = Sha1::new();
    hash.update(sorted.concat());
    hash.update(token);
    first_eight(&hash.finalize())
}

fn cluster_id(members: impl Iterator<Item = MemberId>) -> u64 {
    let mut hash = Sha1::new();
    for id in members {
        hash.update(id.to_be_bytes());
    }
    first_eight(&hash.finalize())
}

fn first_eight(digest: &[u8]) -> u64 {
    digest.iter().take(8).fold(0, |n, b| n << 8 | u64::from(*b))
}

pub(super) fn static_start(args: &Args) -> Result<Start, Wrong> {
    let flag = "initial-cluster";
    let own = urls(
        "initial-advertise-peer-urls",
        &args.initial_advertise_peer_urls,
    )?;
    let text = args.initial_cluster.clone().unwrap_or_else(|| {
        let own: Vec<String> = own.iter().map(|u| format!("{}={u}", args.name)).collect();
        own.join(",")
    });
    let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let Some((name, url)) = part.split_once('=') else {
            return Err(wrong(
                flag,
                format!("{part}: must be of the form name=http://host:port"),
            ));
        };
        by_name
            .entry(name.to_owned())
            .or_default()
            .extend(urls(flag, url)?);
    }
    let Some(listed) = by_name.get(&args.name) else {
        return Err(wrong(flag, format!("must list this member, {}", args.name)));
    };
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list
    };
    if sorted(listed) != sorted(&own) {
        let reason = format!(
            "lists {} at {}, but --initial-advertise-peer-urls says {}",
            args.name,
            listed.join(","),
            own.join(",")
        );
        return Err(wrong(flag, reason));
    }
    if args.initial_cluster_state == ClusterState::Existing {
        let others = by_name.into_iter().filter(|(name, _)| *name != args.name);
        return Ok(Start::Existing {
            own,
            others: others.flat_map(|(_, urls)| urls).collect(),
        });
    }
    let mut members = BTreeMap::new();
    let mut me = 0;
    for (name, urls) in by_name {
        let id = member_id(&urls, &args.initial_cluster_token);
        if name == args.name {
            me = id;
        }
        if members.insert(id, (name, urls)).is_some() {
            return Err(wrong(flag, "two members have the same peer URLs"));
        }
    }
    Ok(Start::Static {
        cluster_id: cluster_id(members.keys().copied()),
        member_id: me,
        members,
    })
}
