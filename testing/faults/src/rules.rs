//! Which links are cut, and the nftables text that makes it so. Pure.
//!
//! The router forwards everything. Its links are named like the stations behind them, so a
//! zone is a prefix and `a*` means all of zone a.

/// What one end sends does not reach the other; each is a station (`a1`) or a zone (`a*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    from: String,
    to: String,
}

/// One station is not heard by the other, but hears it.
#[must_use]
pub fn one_way(from: &str, to: &str) -> Cut {
    Cut {
        from: from.to_owned(),
        to: to.to_owned(),
    }
}

/// Two stations that do not reach each other.
#[must_use]
pub fn stations(one: &str, two: &str) -> [Cut; 2] {
    [one_way(one, two), one_way(two, one)]
}

/// Two zones that do not reach each other.
#[must_use]
pub fn zones(one: char, two: char) -> [Cut; 2] {
    stations(&format!("{one}*"), &format!("{two}*"))
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
    for Cut { from, to } in cuts {
        text.push_str(&format!(
            "add rule inet wan cut iifname \"{from}\" oifname \"{to}\" drop\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_cut_both_ways_and_healing_is_an_empty_chain() {
        insta::assert_snapshot!(transaction(&[zones('a', 'c'), stations("b1", "b2")].concat()), @r#"
        flush chain inet wan cut
        add rule inet wan cut iifname "a*" oifname "c*" drop
        add rule inet wan cut iifname "c*" oifname "a*" drop
        add rule inet wan cut iifname "b1" oifname "b2" drop
        add rule inet wan cut iifname "b2" oifname "b1" drop
        "#);
        assert_eq!(transaction(&[]), "flush chain inet wan cut\n");
    }
}
