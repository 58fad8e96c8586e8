//! The user's addition to the pod template: merged under what the operator sets, which wins.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::{Map, Value};

/// An overlay that does not make a pod template.
#[derive(Debug, thiserror::Error)]
#[error("spec.podOverlay does not fit a pod template: {0}")]
pub struct OverlayRefused(#[source] serde_json::Error);

/// Merges an overlay under a template.
///
/// # Errors
/// When the result is no pod template.
pub fn merge(
    template: PodTemplateSpec,
    overlay: Option<&Value>,
) -> Result<PodTemplateSpec, OverlayRefused> {
    let Some(overlay) = overlay else {
        return Ok(template);
    };
    let ours = serde_json::to_value(&template).map_err(OverlayRefused)?;
    serde_json::from_value(over(overlay.clone(), ours)).map_err(OverlayRefused)
}

/// `ours` over `theirs`: maps key by key, lists of named things by name, everything else ours.
fn over(theirs: Value, ours: Value) -> Value {
    match (theirs, ours) {
        (Value::Object(mut theirs), Value::Object(ours)) => {
            for (key, value) in ours {
                let merged = match theirs.remove(&key) {
                    Some(other) => over(other, value),
                    None => value,
                };
                theirs.insert(key, merged);
            }
            Value::Object(theirs)
        }
        (Value::Array(theirs), Value::Array(ours)) => Value::Array(lists(theirs, ours)),
        (_, ours) => ours,
    }
}

/// Ours first and in our order; theirs of the same name go under ours, the others behind.
fn lists(theirs: Vec<Value>, ours: Vec<Value>) -> Vec<Value> {
    let key = list_key(&ours).or_else(|| list_key(&theirs));
    let Some(key) = key else {
        // Nothing to tell the items apart by, such as arguments: ours alone.
        return if ours.is_empty() { theirs } else { ours };
    };
    let name = |item: &Value| item.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut rest: Vec<Value> = theirs;
    let mut merged = Vec::new();
    for item in ours {
        let same = rest
            .iter()
            .position(|other| name(other).is_some() && name(other) == name(&item));
        merged.push(match same {
            Some(index) => over(rest.remove(index), item),
            None => item,
        });
    }
    merged.extend(rest);
    merged
}

fn list_key(items: &[Value]) -> Option<&'static str> {
    let all = |key: &str| {
        let has = |item: &Map<String, Value>| item.get(key).is_some_and(Value::is_string);
        !items.is_empty() && items.iter().all(|item| item.as_object().is_some_and(has))
    };
    // Mounts have a name and a path, and the path is what tells them apart.
    ["mountPath", "name", "key"]
        .into_iter()
        .find(|key| all(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn merged(theirs: Value, ours: Value) -> Value {
        over(theirs, ours)
    }

    #[test]
    fn ours_wins_and_theirs_stays() {
        assert_eq!(
            merged(
                json!({ "metadata": { "labels": { "team": "a", "x": "theirs" } }, "spec": { "hostNetwork": true } }),
                json!({ "metadata": { "labels": { "x": "ours" } }, "spec": { "enableServiceLinks": false } })
            ),
            json!({
                "metadata": { "labels": { "team": "a", "x": "ours" } },
                "spec": { "hostNetwork": true, "enableServiceLinks": false }
            })
        );
    }

    #[test]
    fn containers_and_their_environment_are_merged_by_name() {
        let theirs = json!([
            { "name": "sidecar", "image": "s" },
            { "name": "kvorum", "image": "theirs", "env": [{ "name": "A", "value": "1" }, { "name": "Z", "value": "theirs" }] },
        ]);
        let ours = json!([{ "name": "kvorum", "image": "ours", "env": [{ "name": "Z", "value": "ours" }] }]);
        assert_eq!(
            merged(theirs, ours),
            json!([
                { "name": "kvorum", "image": "ours", "env": [{ "name": "Z", "value": "ours" }, { "name": "A", "value": "1" }] },
                { "name": "sidecar", "image": "s" },
            ])
        );
    }

    #[test]
    fn mounts_are_told_apart_by_path_and_arguments_are_ours() {
        assert_eq!(
            merged(
                json!([{ "name": "data", "mountPath": "/extra" }]),
                json!([{ "name": "data", "mountPath": "/var/lib/kvorum" }])
            ),
            json!([
                { "name": "data", "mountPath": "/var/lib/kvorum" },
                { "name": "data", "mountPath": "/extra" },
            ])
        );
        assert_eq!(
            merged(json!(["--mine"]), json!(["--ours"])),
            json!(["--ours"])
        );
    }
}
