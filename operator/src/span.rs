//! Spans of time as users write them: a number and s, m or h.

/// Reads a span such as `30m`, in seconds; none if it is none.
#[must_use]
pub fn seconds(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| number.parse::<i64>().ok()?.checked_mul(factor))?
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn spans_are_read_and_nothing_else() {
        assert_eq!(seconds("0s"), Some(0));
        assert_eq!(seconds("90s"), Some(90));
        assert_eq!(seconds("30m"), Some(1800));
        assert_eq!(seconds("72h"), Some(259_200));
        for text in [
            "",
            "h",
            "5",
            "+5m",
            "-5m",
            "1d",
            "5ü",
            "99999999999999999999h",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
