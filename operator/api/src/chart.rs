//! What Helm checks the values of chart kvorum-cluster against: the spec is the definition's own, so a value
//! that the API server would refuse is refused on the way there, and none is forgotten.

use serde_json::{Map, Value, json};

use crate::crd::definition;

/// `charts/kvorum-cluster/values.schema.json`.
///
/// # Panics
/// Never for the types of this crate, which the tests of this crate show.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "the definition is fixed at build time and covered by tests"
)]
pub fn cluster_chart_schema() -> String {
    let definition = definition();
    let mut spec = definition
        .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
        .cloned()
        .expect("the definition has a spec");
    plain(&mut spec);
    // The one rule in CEL that everybody meets.
    spec["properties"]["members"]["enum"] = json!([1, 3, 5, 7, 9]);
    let mut schema = serde_json::to_string_pretty(&values(spec)).expect("a schema is JSON");
    schema.push('\n');
    schema
}

/// From what Kubernetes takes to what JSON Schema takes: its extensions go, and what is not named is refused.
fn plain(schema: &mut Value) {
    let Some(node) = schema.as_object_mut() else {
        return;
    };
    let open = node.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    node.retain(|key, _| !key.starts_with("x-kubernetes-") && !is_for_servers(key));
    if let Some(Value::Object(properties)) = node.get_mut("properties") {
        properties.values_mut().for_each(plain);
        if !open {
            node.insert("additionalProperties".into(), Value::Bool(false));
        }
    } else {
        close_map(node);
    }
    if let Some(items) = node.get_mut("items") {
        plain(items);
    }
}

fn close_map(node: &mut Map<String, Value>) {
    if let Some(values @ Value::Object(_)) = node.get_mut("additionalProperties") {
        plain(values);
    }
}

/// Defaults are the API server's: Helm would only copy them, and then keep them when they change.
fn is_for_servers(key: &str) -> bool {
    matches!(key, "default" | "format")
}

fn values(spec: Value) -> Value {
    let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let peers = json!({ "type": "array", "items": { "type": "object" } });
    let switch = |more: Value| {
        let mut properties = json!({ "enabled": { "type": "boolean" } });
        if let (Some(properties), Value::Object(more)) = (properties.as_object_mut(), more) {
            properties.extend(more);
        }
        json!({ "type": "object", "additionalProperties": false, "properties": properties })
    };
    let image = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "registry": { "type": "string", "pattern": "^([0-9A-Za-z][0-9A-Za-z.:/_-]*)?$" },
            "repository": { "type": "string", "minLength": 1, "pattern": "^[a-z0-9]+([._/-]+[a-z0-9]+)*$" },
            "tag": { "type": "string", "maxLength": 128, "pattern": "^([0-9A-Za-z_][0-9A-Za-z_.-]*)?$" },
            "digest": { "type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$" },
            "pullPolicy": { "enum": ["Always", "IfNotPresent", "Never"] },
            "pullSecrets": { "type": "array", "items": { "type": "string", "minLength": 1 } },
        },
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "Written by `cargo xtask codegen` from operator/api. Do not edit.",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "global": { "type": "object" },
            "name": { "type": "string", "maxLength": 40, "pattern": "^([a-z]([-a-z0-9]*[a-z0-9])?)?$" },
            "labels": texts,
            "annotations": texts,
            "spec": spec,
            "networkPolicy": switch(json!({ "clients": peers, "monitoring": peers, "operator": peers })),
            "podMonitor": switch(json!({
                "interval": { "type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$" },
                "labels": texts,
            })),
            "prometheusRule": switch(json!({
                "labels": texts,
                "runbookUrl": { "type": "string", "pattern": "^https?://.*/$" },
            })),
            "test": switch(json!({ "image": image })),
            "extraObjects": { "type": "array", "items": { "type": ["object", "string"] } },
        },
    })
}
