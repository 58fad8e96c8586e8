//! Short names for what objects say, to see whether they say something else now.

use std::hash::{DefaultHasher, Hash, Hasher};

use sha2::{Digest, Sha256};

/// A hash of anything that can be written as JSON; the same within one run of the program.
#[must_use]
pub fn of(value: &serde_json::Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
}

/// One that may be written down: the same in every version of the operator.
#[must_use]
pub fn lasting(value: &serde_json::Value) -> String {
    let mut digest = sha256(value.to_string().as_bytes());
    digest.truncate(16);
    digest
}

/// SHA-256 in hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
