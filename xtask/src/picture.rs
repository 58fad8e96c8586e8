//! The zones of a cluster with their members and leader, as text.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

const WIDTH: usize = 24;

/// Draws a KvCluster from its JSON: one box a zone, one line a member.
pub(crate) fn draw(cluster: &Value) -> String {
    let status = &cluster["status"];
    let empty = Vec::new();
    let members = status["members"].as_array().unwrap_or(&empty);
    let mut zones: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for zone in status["zones"].as_array().unwrap_or(&empty) {
        zones.entry(text(&zone["name"])).or_default();
    }
    for member in members {
        zones
            .entry(text(&member["zone"]))
            .or_default()
            .push(line(member));
    }
    let height = zones.values().map(Vec::len).max().unwrap_or(0);
    let row = |cells: Vec<String>| format!("  {}\n", cells.join("  ").trim_end());
    let border = || {
        row(zones
            .keys()
            .map(|_| format!("+{}+", "-".repeat(WIDTH)))
            .collect())
    };
    let mut picture = row(zones
        .keys()
        .map(|zone| format!(" {zone:<width$}", width = WIDTH + 1))
        .collect());
    picture.push_str(&border());
    for index in 0..height {
        let cell = |lines: &Vec<String>| {
            format!("|{:<WIDTH$}|", lines.get(index).map_or("", String::as_str))
        };
        picture.push_str(&row(zones.values().map(cell).collect()));
    }
    picture.push_str(&border());
    picture.push_str(&summary(status));
    picture
}

fn line(member: &Value) -> String {
    let mark = match (member["leader"].as_bool(), member["ready"].as_bool()) {
        (Some(true), _) => "leader",
        (_, Some(true)) => "",
        _ => "not ready",
    };
    let mut line = format!(" {} {mark}", text(&member["name"]))
        .trim_end()
        .to_owned();
    line.truncate(
        line.char_indices()
            .nth(WIDTH)
            .map_or(line.len(), |(end, _)| end),
    );
    line
}

fn summary(status: &Value) -> String {
    let summary = &status["summary"];
    let mut out = String::new();
    // Writing to a string cannot fail.
    writeln!(
        out,
        "  voters {}; it goes on after losing {} more member(s); zones it can lose: {}",
        text(&summary["voters"]),
        summary["canLoseMembers"],
        text(&summary["canLoseZone"])
    )
    .ok();
    out
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_stand_side_by_side_with_the_leader_marked() {
        let cluster = serde_json::json!({"status": {
        "summary": {"voters": "3/3", "canLoseMembers": 1, "canLoseZone": "any"},
        "zones": [{"name": "zone-a"}, {"name": "zone-b"}, {"name": "zone-c"}],
        "members": [
            {"name": "kv-m1", "zone": "zone-a", "ready": true, "leader": false},
            {"name": "kv-m2", "zone": "zone-b", "ready": true, "leader": true},
            {"name": "kv-m3", "zone": "zone-c", "ready": false, "leader": false},
        ]}});
        let expected = "   zone-a                      zone-b                      zone-c\n\
            \u{20} +------------------------+  +------------------------+  +------------------------+\n\
            \u{20} | kv-m1                  |  | kv-m2 leader           |  | kv-m3 not ready        |\n\
            \u{20} +------------------------+  +------------------------+  +------------------------+\n\
            \u{20} voters 3/3; it goes on after losing 1 more member(s); zones it can lose: any\n";
        assert_eq!(draw(&cluster), expected);
    }
}
