//! What the operator has written to the API server, as the API server itself wrote it down.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// Writes by what was written, such as `patch kvclusters/status`.
pub(crate) type Writes = BTreeMap<String, usize>;

/// All writes so far, renewals of the Lease apart.
pub(crate) fn read(log: &Path) -> Result<(Writes, usize)> {
    let text = std::fs::read_to_string(log)
        .with_context(|| format!("{} cannot be read", log.display()))?;
    Ok(count(&text))
}

fn count(text: &str) -> (Writes, usize) {
    let (mut writes, mut renewals) = (Writes::new(), 0);
    // A line that is being written counts when it is.
    for event in text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
    {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let about = &event["objectRef"];
        let (resource, part) = (word(&about["resource"]), word(&about["subresource"]));
        if resource == "leases" {
            renewals += 1;
            continue;
        }
        let slash = if part.is_empty() { "" } else { "/" };
        let what = format!("{} {resource}{slash}{part}", word(&event["verb"]));
        *writes.entry(what).or_insert(0) += 1;
    }
    (writes, renewals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_counted_by_kind_and_renewals_apart() {
        let line = |verb: &str, resource: &str, part: &str| {
            let about = serde_json::json!({ "resource": resource, "subresource": part });
            serde_json::json!({ "verb": verb, "objectRef": about }).to_string()
        };
        let text = [
            line("patch", "kvclusters", "status"),
            line("update", "leases", ""),
            line("patch", "kvclusters", "status"),
            line("create", "events", ""),
            "{\"half".to_owned(),
        ]
        .join("\n");
        let (writes, renewals) = count(&text);
        let expected = [("create events", 1), ("patch kvclusters/status", 2)];
        let expected = expected.map(|(what, times)| (what.to_owned(), times));
        assert_eq!((writes, renewals), (expected.into(), 1));
    }
}
