//! Which links are cut, and the nftables text that makes it so. Pure.
//!
//! The router forwards everything. Its links are named like the stations behind them, so a
//! zone is a prefix and `a*` means all of zone a.

/// Two ends that do not reach each other, each a station (`a1`) or a zone (`a*`).
pub type Cut = (String, String);

/// Two zones that do not reach each other.
#[must_use]
pub fn zones(one: char, two: char) -> Cut {
    (format!("{one}*"), format!("{two}*"))
}

/// Two stations that do not reach each other.
#[must_use]
pub fn stations(one: &str, two: &str) -> Cut {
    (one.to_owned(), two.to_owned())
}

/// The table as it is when nothing is cut.
#[must_use]
pub fn base_table() -> &'static str {
    "table inet wan {\n chain cut {\n  type filter hook forward priority 0; policy accept;\n }\n}\n"
}

/// A transaction that replaces all rules by those of `cuts`.
#[must_use]
pub fn transaction(cuts: &[Cut]) -> String {
    let mut text = "flush chain inet wan cut\n".to_owned();
    for (one, two) in cuts {
        for (from, to) in [(one, two), (two, one)] {
            text.push_str(&format!(
                "add rule inet wan cut iifname \"{from}\" oifname \"{to}\" drop\n"
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_both_ways_and_healing_is_an_empty_chain() {
        insta::assert_snapshot!(transaction(&[zones('a', 'c'), stations("b1", "b2")]), @r#"
        flush chain inet wan cut
        add rule inet wan cut iifname "a*" oifname "c*" drop
        add rule inet wan cut iifname "c*" oifname "a*" drop
        add rule inet wan cut iifname "b1" oifname "b2" drop
        add rule inet wan cut iifname "b2" oifname "b1" drop
        "#);
        assert_eq!(transaction(&[]), "flush chain inet wan cut\n");
    }
}
