//! Whether certificates are there and last; only of clusters with TLS.

use k8s_openapi::jiff::Timestamp;

use super::Conditions;
use crate::certificates::{Leaf, Source, Stand};
use crate::status::Look;

/// Adds the condition.
pub(super) fn add(conditions: &mut Conditions<'_>, look: &Look<'_>) {
    let Some(found) = look.certificates else {
        return;
    };
    let problem = found.given.as_ref().and_then(|given| given.as_ref().err());
    let Some(end) = found
        .kept
        .not_after()
        .filter(|_| found.complete(look.cluster))
    else {
        let (reason, message) = match problem {
            Some(problem) => (
                "NotGiven",
                format!("There are no certificates yet: {problem}"),
            ),
            None => ("NotMade", "Certificates are being made".to_owned()),
        };
        return conditions.add("CertificatesValid", Some(false), reason, &message);
    };
    let until = Timestamp::from_second(end).map_or_else(|_| end.to_string(), |end| end.to_string());
    if end <= look.now {
        let why = problem.map_or(
            "see the events of the KvCluster for why it was not renewed, and that the operator may write Secrets",
            String::as_str,
        );
        let message = format!("A certificate has ended on {until}: {why}");
        return conditions.add("CertificatesValid", Some(false), "Expired", &message);
    }
    if let Some(problem) = problem {
        let message = format!(
            "The certificates in use last until {until} and stay in use, for newer ones cannot be: {problem}"
        );
        return conditions.add("CertificatesValid", Some(false), "NotTakenUp", &message);
    }
    let (reason, what) = match (found.stand(), &found.pending) {
        (Stand::Steady, Some(pending)) => (
            "WaitingForIssuer",
            format!("; a newer one is not there yet: {pending}"),
        ),
        (Stand::Introducing, _) => (
            "IntroducingAuthorities",
            "; new CAs are trusted, and will sign once every member and client has taken them up"
                .to_owned(),
        ),
        (Stand::Switching, _) => (
            "SwitchingAuthorities",
            "; the old CAs are dropped once every member shows its new certificate".to_owned(),
        ),
        (Stand::Steady, None) => ("Valid", String::new()),
    };
    let names = &look.cluster.names;
    let clients = if look.cluster.leaves().contains(&Leaf::Client) {
        format!(
            "; clients find theirs in Secret {}",
            names.leaf_secret(Leaf::Client)
        )
    } else {
        String::new()
    };
    let renewed = match look.cluster.tls.as_ref().map(|tls| &tls.source) {
        Some(Source::Secrets(_)) => "; renew them before in the Secrets of spec.tls.secrets",
        _ => ", and is renewed before",
    };
    let message = format!("Every certificate lasts until {until} at least{renewed}{clients}{what}");
    conditions.add("CertificatesValid", Some(true), reason, &message);
}
