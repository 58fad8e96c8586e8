//! A short name for what an object says, to see whether it says something else now.

use std::hash::{DefaultHasher, Hash, Hasher};

/// A hash of anything that can be written as JSON; the same within one run of the program.
#[must_use]
pub fn of(value: &serde_json::Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
}
