//! Who is who: cluster IDs, member IDs and zones.

use std::fmt;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

/// Identity of one replicated cluster: random, never zero, written as 16 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterId(NonZeroU64);

impl ClusterId {
    /// The greatest there is: stands for any where none matters.
    pub const MAX: Self = Self(NonZeroU64::MAX);

    /// The ID with this value; none for zero, which means "no cluster" on the wire.
    #[must_use]
    pub fn new(value: u64) -> Option<Self> {
        NonZeroU64::new(value).map(Self)
    }

    /// Reads the 16 digits that [`fmt::Display`] writes, and nothing else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let canonical = text.len() == 16
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        canonical
            .then(|| u64::from_str_radix(text, 16).ok().and_then(Self::new))
            .flatten()
    }

    /// The number that travels on the wire.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0.get()
    }
}

impl TryFrom<String> for ClusterId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
            .ok_or_else(|| format!("{text:?} is no cluster ID: 16 lower-case hex digits"))
    }
}

impl From<ClusterId> for String {
    fn from(id: ClusterId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// Identity of one member inside its cluster: a small number, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemberId(pub u64);

impl fmt::Display for MemberId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "m{}", self.0)
    }
}

/// One failure domain: a value of the topology key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Zone(String);

impl Zone {
    /// The zone of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The value of the topology key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_id_reads_back_what_it_writes() {
        let id = ClusterId::new(0x00ab_cdef).unwrap();
        assert_eq!(id.to_string(), "0000000000abcdef");
        assert_eq!(ClusterId::parse("0000000000abcdef"), Some(id));
    }

    #[test]
    fn anything_but_sixteen_lower_case_digits_is_no_cluster_id() {
        for text in [
            "",
            "0",
            "0000000000000000",
            "0000000000ABCDEF",
            "+000000000abcdef",
            "0000000000abcdef0",
            "0000000000abcdeg",
        ] {
            assert_eq!(ClusterId::parse(text), None, "{text}");
        }
    }
}
