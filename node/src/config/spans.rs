//! Spans of time, and what is compacted by itself.

use super::{AutoCompaction, Wrong, wrong};
use crate::args::CompactionMode;
use std::time::Duration;

/// A duration as Go writes it: 10m, 1h30m, 500ms.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let number: u64 = number.parse().ok()?;
        total += match unit {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(3600)?),
            _ => return None,
        };
        rest = tail;
    }
    Some(total)
}

pub(super) fn auto_compaction(
    mode: CompactionMode,
    retention: &str,
) -> Result<AutoCompaction, Wrong> {
    let flag = "auto-compaction-retention";
    let number = retention.parse::<i64>().ok();
    match (mode, number) {
        (_, Some(0)) => Ok(AutoCompaction::Off),
        (_, Some(n)) if n < 0 => Err(wrong(flag, format!("{n}: must not be negative"))),
        (CompactionMode::Revision, Some(n)) => Ok(AutoCompaction::Revisions(n)),
        (CompactionMode::Revision, None) => Err(wrong(
            flag,
            format!("{retention}: must be a number of revisions"),
        )),
        (CompactionMode::Periodic, Some(hours)) => {
            let hours = u64::try_from(hours).unwrap_or(0);
            Ok(AutoCompaction::Periodic(Duration::from_secs(
                hours.saturating_mul(3600),
            )))
        }
        (CompactionMode::Periodic, None) => duration(retention)
            .map(AutoCompaction::Periodic)
            .ok_or_else(|| {
                wrong(
                    flag,
                    format!("{retention}: must be a duration such as 5m or 1h"),
                )
            }),
    }
}

/// A flag that holds a duration.
pub(super) fn span(flag: &'static str, text: &str) -> Result<Duration, Wrong> {
    let known = if text == "0" {
        Some(Duration::ZERO)
    } else {
        duration(text)
    };
    known.ok_or_else(|| wrong(flag, format!("{text}: must be a duration such as 10m")))
}

pub(super) fn some(span: Duration) -> Option<Duration> {
    (!span.is_zero()).then_some(span)
}
