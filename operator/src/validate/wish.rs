//! What the user asks for, as the planner wants it, and a digest of what pods are made from.

use std::collections::BTreeMap;

use kvorum_api::{
    ClientAuth, ClientTls, KvClusterSpec, Rebalance, ReplacementPolicy, Tls, TlsMode,
    UpdateStrategy, ZoneOutage, ZoneSpread,
};
use kvorum_plan::spec::{self as plan, Spec, ZoneChoice};
use kvorum_plan::{ClusterSize, MemberId, Zone};
use serde_json::Value;

use super::{Invalid, ValidCluster, ValidTls};
use crate::certificates::{Leaf, Source, Wish};
use crate::fingerprint::lasting;

/// What decisions depend on.
pub(super) fn read(spec: &KvClusterSpec, size: ClusterSize) -> Result<Spec, Invalid> {
    let zones = |zones: &[String]| zones.iter().map(Zone::new).collect();
    let placement = &spec.placement;
    Ok(Spec {
        size,
        zones: if placement.zones.is_empty() {
            ZoneChoice::Discover
        } else {
            ZoneChoice::Listed(zones(&placement.zones))
        },
        zone_spread: match placement.zone_spread {
            ZoneSpread::Required => plan::ZoneSpread::Required,
            ZoneSpread::Preferred => plan::ZoneSpread::Preferred,
            ZoneSpread::Disabled => plan::ZoneSpread::Disabled,
        },
        topology_key: placement.topology_key.clone(),
        storage_class: spec.storage.class_name.clone(),
        paused: spec.paused,
        drain_zones: zones(&placement.drain_zones),
        leader_zones: zones(&placement.leader_zones),
        zone_outage: match placement.zone_outage {
            ZoneOutage::Wait => plan::ZoneOutage::Wait,
            ZoneOutage::Relocate => plan::ZoneOutage::Relocate,
        },
        rebalance: match placement.rebalance {
            Rebalance::Manual => plan::Rebalance::Manual,
            Rebalance::Auto => plan::Rebalance::Auto,
        },
        replacement: plan::Replacement {
            policy: match spec.replacement.policy {
                ReplacementPolicy::Automatic => plan::ReplacementPolicy::Automatic,
                ReplacementPolicy::ProvenLossOnly => plan::ReplacementPolicy::ProvenLossOnly,
                ReplacementPolicy::Manual => plan::ReplacementPolicy::Manual,
            },
            unreachable_after_seconds: span(
                "spec.replacement.unreachableAfter",
                &spec.replacement.unreachable_after,
            )?,
            max_per_day: usize::try_from(spec.replacement.max_per_day).unwrap_or(0),
        },
        rollout: match spec.updates.strategy {
            UpdateStrategy::Automatic => plan::Rollout::Automatic,
            UpdateStrategy::PauseBeforeLeader => plan::Rollout::PauseBeforeLeader,
            UpdateStrategy::OnDemand => plan::Rollout::OnDemand,
        },
        keep_replaced_seconds: span(
            "spec.storage.keepReplacedFor",
            &spec.storage.keep_replaced_for,
        )?,
        hibernated: spec.hibernated,
        fenced: spec
            .fenced_members
            .iter()
            .filter_map(|id| u64::try_from(*id).ok())
            .map(MemberId)
            .collect(),
    })
}

fn span(field: &'static str, text: &str) -> Result<i64, Invalid> {
    crate::span::seconds(text).ok_or_else(|| Invalid {
        field,
        problem: format!("must be a span such as 30m or 72h, not {text:?}"),
    })
}

/// TLS, if it is asked for.
pub(super) fn tls(tls: &Tls) -> Result<Option<ValidTls>, Invalid> {
    let source = match tls.mode {
        TlsMode::Disabled => return Ok(None),
        TlsMode::Auto => Source::Own,
        TlsMode::CertManager => {
            let clients = tls.issuer_ref.clone().ok_or_else(|| Invalid {
                field: "spec.tls.issuerRef",
                problem: "must be set with mode CertManager".to_owned(),
            })?;
            let peers = tls.peer_issuer_ref.clone();
            let peers = peers.unwrap_or_else(|| clients.clone());
            Source::CertManager(Box::new([clients, peers]))
        }
        TlsMode::Secret => {
            let given = tls.secrets.clone().ok_or_else(|| Invalid {
                field: "spec.tls.secrets",
                problem: "must be set with mode Secret".to_owned(),
            })?;
            let mut secrets: BTreeMap<Leaf, String> = [
                (Leaf::Server, given.server),
                (Leaf::Peer, given.peer),
                (Leaf::Operator, given.operator),
            ]
            .into();
            secrets.extend(given.client.map(|client| (Leaf::Client, client)));
            Source::Secrets(secrets)
        }
    };
    Ok(Some(ValidTls {
        source,
        clients_permissive: tls.clients == ClientTls::Permissive,
        clients_show: tls.client_auth == ClientAuth::Required,
        wish: Wish {
            generation: tls.ca_generation,
            overlap: span("spec.tls.caOverlap", &tls.ca_overlap)?,
        },
    }))
}

/// What the user gives is copied into Secrets of ours, and so must have other names.
pub(super) fn not_ours(valid: &ValidCluster) -> Result<(), Invalid> {
    let Some(Source::Secrets(given)) = valid.tls.as_ref().map(|tls| &tls.source) else {
        return Ok(());
    };
    let names = &valid.names;
    let ours = |name: &&String| {
        **name == names.ca_secret()
            || Leaf::ALL
                .iter()
                .any(|leaf| names.leaf_secret(*leaf) == **name)
    };
    match given.values().find(ours) {
        None => Ok(()),
        Some(name) => Err(Invalid {
            field: "spec.tls.secrets",
            problem: format!(
                "must not name {name}, which the operator writes itself: keep yours under another name"
            ),
        }),
    }
}

/// What of the spec pods are made from, as a digest of all that is not the default: a new version of the
/// operator that knows more fields gets the same digest for the same wish.
pub(super) fn asked(spec: &KvClusterSpec) -> String {
    let mut asked = serde_json::to_value(spec).unwrap_or_default();
    // Who makes the certificates is nothing that pods know.
    if let Some(tls) = asked.get_mut("tls").and_then(Value::as_object_mut) {
        for key in ["issuerRef", "peerIssuerRef", "secrets"] {
            tls.remove(key);
        }
        if spec.tls.mode != TlsMode::Disabled {
            tls.insert("mode".to_owned(), Value::from("Auto"));
        }
    }
    let default = serde_json::to_value(KvClusterSpec::default()).unwrap_or_default();
    strip(&mut asked, &default);
    let keep = [
        "version",
        "image",
        "placement",
        "resources",
        "config",
        "podOverlay",
        "tls",
    ];
    let fields = asked.as_object().into_iter().flatten();
    let mut kept: serde_json::Map<String, Value> = fields
        .filter(|(key, _)| keep.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if let Some(placement) = kept.get_mut("placement").and_then(Value::as_object_mut) {
        // Where members live is theirs for life, and no part of the template that changes.
        for key in [
            "zones",
            "zoneSpread",
            "drainZones",
            "leaderZones",
            "zoneOutage",
            "rebalance",
        ] {
            placement.remove(key);
        }
    }
    if let Some(tls) = kept.get_mut("tls").and_then(Value::as_object_mut) {
        // CAs change beneath a template.
        for key in ["caGeneration", "caOverlap"] {
            tls.remove(key);
        }
    }
    kept.retain(|key, value| {
        !["placement", "tls"].contains(&key.as_str())
            || *value != Value::Object(serde_json::Map::new())
    });
    lasting(&Value::Object(kept))
}

/// Takes everything away that is as in `default`.
fn strip(value: &mut Value, default: &Value) {
    let (Some(object), Some(default)) = (value.as_object_mut(), default.as_object()) else {
        return;
    };
    object.retain(|key, value| default.get(key) != Some(value));
    for (key, default) in default {
        if let Some(inner) = object.get_mut(key) {
            strip(inner, default);
        }
    }
}

#[cfg(test)]
mod tests {
    use kvorum_api::NodeSpread;

    use super::*;

    fn asked_of(change: impl FnOnce(&mut KvClusterSpec)) -> String {
        let mut spec = KvClusterSpec::default();
        change(&mut spec);
        asked(&spec)
    }

    #[test]
    fn what_is_asked_of_pods_changes_with_what_pods_are_made_from_and_nothing_else() {
        let nothing = asked_of(|_| ());
        assert_eq!(
            nothing,
            lasting(&serde_json::json!({})),
            "defaults are no wish"
        );
        assert_eq!(asked_of(|spec| spec.members = 5), nothing);
        assert_eq!(
            asked_of(|spec| spec.placement.zones = vec!["a".to_owned()]),
            nothing
        );
        assert_eq!(asked_of(|spec| spec.paused = true), nothing);
        let changes: [fn(&mut KvClusterSpec); 5] = [
            |spec| spec.version = Some("2.0".to_owned()),
            |spec| spec.config.heartbeat_milliseconds = 60,
            |spec| spec.pod_overlay = Some(serde_json::json!({ "spec": {} })),
            |spec| spec.placement.node_spread = NodeSpread::Preferred,
            |spec| spec.resources.requests.clear(),
        ];
        let mut all: Vec<String> = changes.into_iter().map(asked_of).collect();
        all.push(nothing);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 6);
    }
}
