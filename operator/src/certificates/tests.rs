//! Certificates over a cluster's life, members simulated by what they say they use.

mod given;
mod own;

use kvorum_api::{KvCluster, KvClusterSpec};
use kvorum_proto::admin::PortSecurity;

use super::*;
use crate::validate::{ValidCluster, validate};

const NOW: i64 = 1_700_000_000;

fn cluster() -> ValidCluster {
    let mut cluster = KvCluster::new("orders", KvClusterSpec::default());
    cluster.metadata.namespace = Some("shop".to_owned());
    validate(&cluster, "kvorum-node:1").unwrap()
}

/// What members say that use exactly what is kept.
fn followed(kept: &Kept) -> Vec<Option<(PortSecurity, PortSecurity)>> {
    let port = |leaf: Leaf| PortSecurity {
        mode: "required".to_owned(),
        certificate: issue::digests(&kept.leaves[&leaf].pair.cert).remove(0),
        trusted: issue::digests(&kept.leaves[&leaf].trust),
        not_after_seconds: 0,
    };
    vec![Some((port(Leaf::Peer), port(Leaf::Server)))]
}
