//! What the derived schema lacks, or says that hurts users.
//!
//! * `nullable` goes: an explicit null (Helm values do this) is then pruned or defaulted by the API server
//!   instead of being stored and failing to decode later.
//! * Quantities get the pattern that Kubernetes itself uses, and a length, so that rules stay cheap.
//! * `status` gets a default, so that a fresh object is not taken for one that is done (kstatus).
//! * Whole numbers are written as such; titles and the long texts of embedded types go.

use serde_json::{Map, Value, json};

/// The pattern of a quantity in Kubernetes' own generated schemas.
const QUANTITY: &str = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";

/// Texts longer than this come from embedded Kubernetes types.
const DESCRIPTION_LENGTH_MAX: usize = 400;

/// Makes the derived definition one that users can live with.
pub(crate) fn polish(definition: &mut Value) {
    let Some(versions) = definition
        .pointer_mut("/spec/versions")
        .and_then(Value::as_array_mut)
    else {
        return;
    };
    for version in versions {
        if let Some(schema) = version.pointer_mut("/schema/openAPIV3Schema") {
            walk(schema);
            if let Some(status) = schema.pointer_mut("/properties/status") {
                status["default"] = json!({ "observedGeneration": -1 });
            }
        }
    }
}

fn walk(schema: &mut Value) {
    let Some(node) = schema.as_object_mut() else {
        return;
    };
    node.remove("nullable");
    node.remove("title");
    trim_description(node);
    for bound in ["minimum", "maximum"] {
        whole_number(node, bound);
    }
    if node.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
        node.insert(
            "anyOf".into(),
            json!([{ "type": "integer" }, { "type": "string" }]),
        );
        node.insert("pattern".into(), QUANTITY.into());
        node.insert("maxLength".into(), 32.into());
        node.remove("type");
    }
    if let Some(Value::Object(properties)) = node.get_mut("properties") {
        properties.values_mut().for_each(walk);
    }
    for child in ["items", "additionalProperties"] {
        if let Some(child) = node.get_mut(child) {
            walk(child);
        }
    }
    // Values of maps of text: bounded, so that rules over them stay cheap.
    if let Some(Value::Object(values)) = node.get_mut("additionalProperties")
        && values.get("type") == Some(&json!("string"))
    {
        values.entry("maxLength").or_insert_with(|| 253.into());
    }
}

fn trim_description(node: &mut Map<String, Value>) {
    let long = node
        .get("description")
        .and_then(Value::as_str)
        .is_some_and(|text| text.len() > DESCRIPTION_LENGTH_MAX);
    if long {
        node.remove("description");
    }
    if let Some(Value::String(text)) = node.get_mut("description") {
        // A doc comment is wrapped for the source file, not for the reader of `kubectl explain`.
        *text = text
            .split("\n\n")
            .map(|paragraph| paragraph.replace('\n', " "))
            .collect::<Vec<_>>()
            .join("\n\n");
    }
}

fn whole_number(node: &mut Map<String, Value>, bound: &str) {
    let whole = node
        .get(bound)
        .and_then(Value::as_f64)
        .filter(|number| number.fract() == 0.0 && number.abs() < 9e15);
    if let Some(number) = whole {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whole and below 2^53, checked above"
        )]
        node.insert(bound.into(), json!(number as i64));
    }
}
