//! Whether certificates are there and last; only of clusters with TLS.

use k8s_openapi::jiff::Timestamp;

use super::Conditions;
use crate::certificates::{Leaf, Stand};
use crate::status::Look;

/// Adds the condition.
pub(super) fn add(conditions: &mut Conditions<'_>, look: &Look<'_>) {
    let Some(kept) = look.certificates else {
        return;
    };
    let names = &look.cluster.names;
    let client = names.leaf_secret(Leaf::Client);
    let Some(end) = kept
        .not_after()
        .filter(|_| kept.leaves.len() == Leaf::ALL.len())
    else {
        let message = "Certificates are being made";
        return conditions.add("CertificatesValid", Some(false), "NotMade", message);
    };
    let until = Timestamp::from_second(end).map_or_else(|_| end.to_string(), |end| end.to_string());
    if end <= look.now {
        let message = format!(
            "A certificate has ended on {until}: see the events of the KvCluster for why it was not renewed, and that the operator may write Secrets"
        );
        return conditions.add("CertificatesValid", Some(false), "Expired", &message);
    }
    let (reason, what) = match kept.stand() {
        Stand::Introducing => (
            "IntroducingAuthorities",
            "; new CAs are trusted, and will sign once every member and client has taken them up",
        ),
        Stand::Switching => (
            "SwitchingAuthorities",
            "; the old CAs are dropped once every member shows its new certificate",
        ),
        Stand::Steady => ("Valid", ""),
    };
    let message = format!(
        "Every certificate lasts until {until} at least, and is renewed before; clients find theirs in Secret {client}{what}"
    );
    conditions.add("CertificatesValid", Some(true), reason, &message);
}
