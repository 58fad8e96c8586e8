//! Kubernetes quantities as whole numbers of bytes.

/// Reads a quantity such as `8Gi`, `1.5G` or `1e9`, rounded up; none if it is none, or not positive.
#[must_use]
pub fn bytes(text: &str) -> Option<u64> {
    let split = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    let value: u128 = digits.parse().ok()?;
    let places = u32::try_from(fraction.len()).ok()?;
    let (numerator, denominator) = factor(suffix)?;
    let divisor = 10_u128.checked_pow(places)?.checked_mul(denominator)?;
    let bytes = value.checked_mul(numerator)?.div_ceil(divisor);
    u64::try_from(bytes).ok().filter(|bytes| *bytes > 0)
}

fn factor(suffix: &str) -> Option<(u128, u128)> {
    let binary = |power: u32| Some((1_u128 << (10 * power), 1));
    let decimal = |power: u32| Some((10_u128.pow(power), 1));
    match suffix {
        "" => Some((1, 1)),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        "n" => Some((1, 1_000_000_000)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1000)),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        exponent => {
            let power = exponent.strip_prefix(['e', 'E'])?;
            let power = power.strip_prefix('+').unwrap_or(power);
            decimal(power.parse().ok().filter(|power| *power <= 18)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn quantities_as_kubernetes_reads_them() {
        let table = [
            ("8Gi", Some(8 << 30)),
            ("1.5Gi", Some(3 << 29)),
            ("1G", Some(1_000_000_000)),
            ("1e9", Some(1_000_000_000)),
            ("2E", Some(2_000_000_000_000_000_000)),
            ("1048576", Some(1 << 20)),
            ("1500m", Some(2)),
            (".5k", Some(500)),
            ("0", None),
            ("", None),
            ("banana", None),
            ("-1Gi", None),
            ("99999E", None),
        ];
        for (text, expected) in table {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
