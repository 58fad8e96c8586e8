//! The rules of the definition, run in this process: what the API server would say about an object.
//!
//! `kvorum-operator explain` uses this, so that a file is judged by the very rules that are installed. The
//! part of the schema language that our definition uses is checked here; the CEL rules run in `kube`'s
//! evaluator. The API server stays the authority: this never lets anything into a cluster.

use kube::core::cel::{Validator, apply_defaults};
use serde_json::{Map, Value};

use crate::crd;

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: `spec.members`.
    pub path: String,
    /// What, and what to do.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.path.is_empty() {
            formatter.write_str(&self.message)
        } else {
            write!(formatter, "{}: {}", self.path, self.message)
        }
    }
}

/// Judges a KvCluster as JSON; with `old`, as an update of it.
///
/// # Errors
/// Everything that is wrong with it. Otherwise the object as the API server would store it, defaults and all.
pub fn review(object: &Value, old: Option<&Value>) -> Result<Value, Vec<Problem>> {
    let schema = schema();
    let mut problems = Vec::new();
    for (field, expected) in [("apiVersion", "kvorum.dev/v1alpha1"), ("kind", "KvCluster")] {
        if object.get(field).and_then(Value::as_str) != Some(expected) {
            problems.push(problem(field, format!("must be {expected}")));
        }
    }
    let name = object.pointer("/metadata/name").and_then(Value::as_str);
    if name.is_none_or(str::is_empty) {
        problems.push(problem("metadata.name", "must be set".to_owned()));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let complete = apply_defaults(&schema, &prune_nulls(object));
    for part in ["spec", "status"] {
        match (
            complete.get(part),
            schema.pointer(&format!("/properties/{part}")),
        ) {
            (Some(value), Some(schema)) => check(schema, value, part, &mut problems),
            (None, _) if part == "spec" => problems.push(problem(part, "must be set".to_owned())),
            _ => {}
        }
    }
    // Like the API server: no rules over a value of the wrong shape.
    if problems.is_empty() {
        let failures = Validator::new().validate(&schema, &complete, old).err();
        for failure in failures
            .iter()
            .flat_map(kube::core::cel::ValidationErrors::as_slice)
        {
            problems.push(problem(
                failure.field_path.trim_start_matches('.'),
                failure.message.clone(),
            ));
        }
    }
    if problems.is_empty() {
        Ok(complete)
    } else {
        Err(problems)
    }
}

fn schema() -> Value {
    let definition = serde_json::to_value(crd()).unwrap_or_default();
    definition
        .pointer("/spec/versions/0/schema/openAPIV3Schema")
        .cloned()
        .unwrap_or_default()
}

fn problem(path: &str, message: String) -> Problem {
    Problem {
        path: path.to_owned(),
        message,
    }
}

/// The API server drops nulls of fields that are not nullable, and none of ours is.
fn prune_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.clone(), prune_nulls(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(prune_nulls).collect()),
        _ => value.clone(),
    }
}

fn check(schema: &Value, value: &Value, path: &str, problems: &mut Vec<Problem>) {
    if schema.get("x-kubernetes-int-or-string").is_some() {
        if value.is_i64() || value.is_string() {
            check_text(schema, value, path, problems);
        } else {
            problems.push(problem(path, "must be a number or a string".to_owned()));
        }
        return;
    }
    match (schema.get("type").and_then(Value::as_str), value) {
        (Some("object"), Value::Object(fields)) => check_object(schema, fields, path, problems),
        (Some("array"), Value::Array(items)) => check_array(schema, items, path, problems),
        (Some("string"), Value::String(_)) => check_text(schema, value, path, problems),
        (Some("integer"), value) if value.is_i64() => check_number(schema, value, path, problems),
        (Some("boolean"), Value::Bool(_)) | (None, _) => {}
        (Some(expected), _) => problems.push(problem(path, format!("must be of type {expected}"))),
    }
}

fn check_object(
    schema: &Value,
    fields: &Map<String, Value>,
    path: &str,
    problems: &mut Vec<Problem>,
) {
    for name in schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        if let Some(name) = name.as_str()
            && !fields.contains_key(name)
        {
            problems.push(problem(&format!("{path}.{name}"), "must be set".to_owned()));
        }
    }
    if fields.len() as u64 > bound(schema, "maxProperties").unwrap_or(u64::MAX) {
        problems.push(problem(path, "has too many entries".to_owned()));
    }
    let open = schema.get("x-kubernetes-preserve-unknown-fields").is_some();
    for (name, value) in fields {
        let known = schema
            .get("properties")
            .and_then(|properties| properties.get(name))
            .or_else(|| schema.get("additionalProperties"));
        match known {
            Some(schema) => check(schema, value, &format!("{path}.{name}"), problems),
            None if open => {}
            None => problems.push(problem(
                &format!("{path}.{name}"),
                "is no known field".to_owned(),
            )),
        }
    }
}

fn check_array(schema: &Value, items: &[Value], path: &str, problems: &mut Vec<Problem>) {
    if items.len() as u64 > bound(schema, "maxItems").unwrap_or(u64::MAX) {
        problems.push(problem(path, "has too many entries".to_owned()));
    }
    let unique = schema.get("x-kubernetes-list-type").and_then(Value::as_str) == Some("set");
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if unique && items[..index].contains(item) {
            problems.push(problem(&path, format!("must not be listed twice: {item}")));
        }
        if let Some(schema) = schema.get("items") {
            check(schema, item, &path, problems);
        }
    }
}

fn check_text(schema: &Value, value: &Value, path: &str, problems: &mut Vec<Problem>) {
    let Some(text) = value.as_str() else { return };
    let length = text.chars().count() as u64;
    if length < bound(schema, "minLength").unwrap_or(0) {
        problems.push(problem(path, "must not be empty".to_owned()));
    }
    if let Some(most) = bound(schema, "maxLength").filter(|most| length > *most) {
        problems.push(problem(path, format!("must be at most {most} characters")));
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        let allowed: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
        problems.push(problem(
            path,
            format!("must be one of {}", allowed.join(", ")),
        ));
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && regex::Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(text))
    {
        problems.push(problem(path, format!("must match {pattern}")));
    }
}

fn check_number(schema: &Value, value: &Value, path: &str, problems: &mut Vec<Problem>) {
    // Bounds are floating-point numbers in the API's own types, whatever is written in the file.
    let limit = |name| schema.get(name).and_then(Value::as_f64);
    let Some(number) = value.as_f64() else { return };
    if let Some(least) = limit("minimum").filter(|least| number < *least) {
        problems.push(problem(path, format!("must be at least {least}")));
    }
    if let Some(most) = limit("maximum").filter(|most| number > *most) {
        problems.push(problem(path, format!("must be at most {most}")));
    }
}

fn bound(schema: &Value, name: &str) -> Option<u64> {
    schema.get(name).and_then(Value::as_u64)
}
