//! Asking cert-manager: one Certificate per leaf, and what became of it.

use futures::future::try_join_all;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::{Leaf, Source};
use crate::build::owned;
use crate::limits::{LEAF_RENEW_SECONDS, LEAF_SECONDS};
use crate::validate::ValidCluster;

/// The API of cert-manager's Certificates.
#[must_use]
pub fn api(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &resource())
}

fn resource() -> ApiResource {
    let kind = GroupVersionKind::gvk("cert-manager.io", "v1", "Certificate");
    ApiResource::from_gvk_with_plural(&kind, "certificates")
}

/// What cert-manager is asked for; nothing where it is not asked.
#[must_use]
pub fn requests(cluster: &ValidCluster) -> Vec<DynamicObject> {
    let source = cluster.tls.as_ref().map(|tls| &tls.source);
    let Some(Source::CertManager(issuers)) = source else {
        return Vec::new();
    };
    let [clients, peers] = &**issuers;
    let of = |leaf: Leaf| {
        let names = &cluster.names;
        let purpose = leaf.purpose(names);
        let issuer = match leaf {
            Leaf::Server | Leaf::Client => clients,
            Leaf::Peer | Leaf::Operator => peers,
        };
        let address = |host: &&String| host.parse::<std::net::IpAddr>().is_ok();
        let (addresses, hosts): (Vec<&String>, Vec<&String>) =
            purpose.hosts.iter().partition(address);
        let usages = [
            (true, "digital signature"),
            (purpose.server, "server auth"),
            (purpose.client, "client auth"),
        ];
        let usages = usages.iter().filter(|(is, _)| *is);
        let usages: Vec<&str> = usages.map(|(_, usage)| *usage).collect();
        let mut spec = json!({
            "secretName": names.issued_secret(leaf),
            "secretTemplate": { "labels": names.labels() },
            "commonName": leaf.as_str(),
            "usages": usages,
            "duration": format!("{}h0m0s", LEAF_SECONDS / 3600),
            "renewBefore": format!("{}h0m0s", LEAF_RENEW_SECONDS / 3600),
            "privateKey": { "algorithm": "ECDSA", "size": 256, "encoding": "PKCS8", "rotationPolicy": "Always" },
            "issuerRef": { "name": issuer.name, "kind": issuer.kind, "group": issuer.group },
        });
        if !hosts.is_empty() {
            spec["dnsNames"] = json!(hosts);
        }
        if !addresses.is_empty() {
            spec["ipAddresses"] = json!(addresses);
        }
        let mut request =
            DynamicObject::new(&names.certificate(leaf), &resource()).data(json!({ "spec": spec }));
        request.metadata = owned(cluster, names.certificate(leaf), names.labels());
        request
    };
    Leaf::ALL.into_iter().map(of).collect()
}

/// The requests that are not there, or not as they should be; and what cert-manager says of those that are.
pub(super) async fn look(
    client: &Client,
    cluster: &ValidCluster,
) -> Result<(Vec<DynamicObject>, Option<String>), kube::Error> {
    let wanted = requests(cluster);
    let api = api(client, &cluster.names.namespace);
    let names: Vec<String> = wanted.iter().map(ResourceExt::name_any).collect();
    let found = try_join_all(names.iter().map(|name| api.get_opt(name))).await?;
    Ok(compare(&cluster.uid, wanted, &found))
}

fn compare(
    uid: &str,
    wanted: Vec<DynamicObject>,
    found: &[Option<DynamicObject>],
) -> (Vec<DynamicObject>, Option<String>) {
    let foreign = |is: &&DynamicObject| is.owner_references().iter().all(|owner| owner.uid != uid);
    let there = || found.iter().flatten();
    let said = match there().find(foreign) {
        Some(is) => Some(format!(
            "Certificate {} is there already and is not this cluster's: delete it, or give the KvCluster another name",
            is.name_any()
        )),
        None => there().find_map(unready),
    };
    let due = wanted.into_iter().zip(found);
    let due = due.filter(|(wanted, found)| {
        found.as_ref().is_none_or(|found| {
            !foreign(&found) && !holds(&found.data["spec"], &wanted.data["spec"])
        })
    });
    (due.map(|(wanted, _)| wanted).collect(), said)
}

/// Why a Certificate is not ready as it is now, in cert-manager's words.
fn unready(certificate: &DynamicObject) -> Option<String> {
    let conditions = certificate.data["status"]["conditions"].as_array();
    let ready = conditions
        .into_iter()
        .flatten()
        .find(|is| is["type"] == "Ready");
    let seen = |is: &&Value| {
        let seen = is["observedGeneration"].as_i64();
        seen.is_none() || seen == certificate.metadata.generation
    };
    let why = match ready.filter(seen) {
        Some(ready) if ready["status"] == "True" => return None,
        Some(ready) => ready["message"].as_str().unwrap_or("no reason is given"),
        None => "cert-manager has not looked at it yet; if it never does, see that it runs",
    };
    Some(format!(
        "Certificate {} is not ready: {why}",
        certificate.name_any()
    ))
}

/// Whether everything that is wanted is there; defaults of the API server may stand beside it.
fn holds(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| found.get(key).is_some_and(|found| holds(found, wanted))),
        (found, wanted) => found == wanted,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

    use super::*;

    #[test]
    fn what_is_missing_or_other_is_asked_for_and_somebody_elses_is_left_alone() {
        let certificate = |size: u64, owner: &str| {
            let spec =
                json!({ "spec": { "privateKey": { "size": size }, "revisionHistoryLimit": 1 } });
            let mut object = DynamicObject::new("orders-peer", &resource()).data(spec);
            object.metadata.owner_references = Some(vec![OwnerReference {
                uid: owner.to_owned(),
                ..OwnerReference::default()
            }]);
            object
        };
        let mut wanted = certificate(256, "ours");
        wanted.data = json!({ "spec": { "privateKey": { "size": 256 } } });
        let asks = |found| compare("ours", vec![wanted.clone()], &[found]);
        assert_eq!(asks(None).0.len(), 1, "missing");
        assert_eq!(asks(Some(certificate(256, "ours"))).0.len(), 0, "defaults");
        assert_eq!(asks(Some(certificate(521, "ours"))).0.len(), 1, "another");
        let (due, said) = asks(Some(certificate(521, "theirs")));
        assert_eq!(due.len(), 0, "not ours");
        assert!(said.unwrap().contains("is not this cluster's: delete it"));
    }

    #[test]
    fn only_what_cert_manager_said_of_the_newest_wish_counts() {
        let said = |status: Value| {
            let mut certificate =
                DynamicObject::new("orders-peer", &resource()).data(json!({ "status": status }));
            certificate.metadata.generation = Some(2);
            unready(&certificate)
        };
        let ready = |status: &str, seen: i64| {
            json!({ "conditions": [{
                "type": "Ready", "status": status, "observedGeneration": seen, "message": "no such issuer",
            }] })
        };
        assert_eq!(said(ready("True", 2)), None);
        let text = |status: Value| said(status).unwrap();
        assert_eq!(
            text(ready("False", 2)),
            "Certificate orders-peer is not ready: no such issuer"
        );
        let unseen = "Certificate orders-peer is not ready: cert-manager has not looked at it yet; if it never does, see that it runs";
        assert_eq!(text(ready("True", 1)), unseen);
        assert_eq!(text(Value::Null), unseen);
    }
}
