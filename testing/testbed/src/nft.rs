//! Which links are cut, and the nftables text that makes it so. Pure.
//!
//! The router namespace forwards everything; its one chain is rewritten as a whole from the set of cuts.
//! The links to nodes are named like the nodes, so a zone is a prefix; the control plane's link is `mgmt`.

use serde::{Deserialize, Serialize};

/// The control plane's link in the router namespace. It begins with no zone's letter.
pub const CONTROL_PLANE_LINK: &str = "mgmt";

/// One thing that is cut off.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cut {
    /// Two zones do not reach each other; both reach everything else.
    Zones(char, char),
    /// Traffic from the first zone to the second is lost; the other way works.
    OneWay(char, char),
    /// The zone reaches nothing outside itself, the control plane included.
    Zone(char),
    /// The zone reaches no other zone, but still the control plane.
    ZoneFromZones(char),
    /// The node reaches nothing outside itself.
    Node(String),
}

impl Cut {
    /// The same cut in one spelling: a pair of zones has no order.
    #[must_use]
    pub fn normalised(self) -> Self {
        match self {
            Self::Zones(one, two) if one > two => Self::Zones(two, one),
            other => other,
        }
    }

    fn rules(&self) -> Vec<String> {
        match self {
            Self::Zones(one, two) => vec![
                format!("iifname \"{one}*\" oifname \"{two}*\" drop"),
                format!("iifname \"{two}*\" oifname \"{one}*\" drop"),
            ],
            Self::OneWay(from, to) => vec![format!("iifname \"{from}*\" oifname \"{to}*\" drop")],
            Self::Zone(zone) => vec![
                format!("iifname \"{zone}*\" oifname != \"{zone}*\" drop"),
                format!("iifname != \"{zone}*\" oifname \"{zone}*\" drop"),
            ],
            Self::ZoneFromZones(zone) => crate::addresses::ZONES
                .into_iter()
                .filter(|other| other != zone)
                .flat_map(|other| Self::Zones(*zone, other).rules())
                .collect(),
            Self::Node(node) => {
                vec![
                    format!("iifname \"{node}\" drop"),
                    format!("oifname \"{node}\" drop"),
                ]
            }
        }
    }
}

/// The table as it is when nothing is cut.
#[must_use]
pub fn base_table() -> String {
    "table inet wan {\n chain cut {\n  type filter hook forward priority 0; policy accept;\n }\n}\n"
        .to_owned()
}

/// A transaction that replaces all rules by those of `cuts`.
#[must_use]
pub fn transaction(cuts: &[Cut]) -> String {
    let mut text = "flush chain inet wan cut\n".to_owned();
    for rule in cuts.iter().flat_map(Cut::rules) {
        text.push_str("add rule inet wan cut ");
        text.push_str(&rule);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_cut_both_ways() {
        let text = transaction(&[Cut::Zones('a', 'c')]);
        assert_eq!(
            text,
            "flush chain inet wan cut\n\
             add rule inet wan cut iifname \"a*\" oifname \"c*\" drop\n\
             add rule inet wan cut iifname \"c*\" oifname \"a*\" drop\n"
        );
    }

    #[test]
    fn an_isolated_zone_keeps_its_inner_traffic() {
        let text = transaction(&[Cut::Zone('b')]);
        assert!(text.contains("iifname \"b*\" oifname != \"b*\" drop"));
        assert!(text.contains("iifname != \"b*\" oifname \"b*\" drop"));
    }

    #[test]
    fn keeping_the_control_plane_names_only_zones() {
        let text = transaction(&[Cut::ZoneFromZones('a')]);
        assert_eq!(text.lines().count(), 5);
        assert!(!text.contains("!="));
    }

    #[test]
    fn the_control_plane_link_is_in_no_zone() {
        assert!(
            crate::addresses::ZONES
                .iter()
                .all(|zone| !CONTROL_PLANE_LINK.starts_with(*zone))
        );
    }

    #[test]
    fn healing_is_an_empty_chain() {
        assert_eq!(transaction(&[]), "flush chain inet wan cut\n");
        assert_eq!(Cut::Zones('c', 'a').normalised(), Cut::Zones('a', 'c'));
    }
}
