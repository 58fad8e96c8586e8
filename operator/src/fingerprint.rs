//! Short names for what objects say, to see whether they say something else now.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// A hash of anything that can be written as JSON; the same within one run of the program.
#[must_use]
pub fn of(value: &impl Serialize) -> u64 {
    struct Written(DefaultHasher);
    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut written = Written(DefaultHasher::new());
    // What cannot be written as JSON never gets as far as here, and a hasher takes everything.
    let _ = serde_json::to_writer(&mut written, value);
    written.0.finish()
}

/// Another one when anybody has changed an object, but the same when only its status moves: Kubernetes counts
/// generations of most kinds; of the others every write is taken for a change.
#[must_use]
pub fn version(meta: &ObjectMeta) -> u64 {
    let counted = meta.generation.filter(|generation| *generation > 0);
    let version = meta.resource_version.as_ref().filter(|_| counted.is_none());
    let mut hasher = DefaultHasher::new();
    (&meta.uid, counted, version).hash(&mut hasher);
    (&meta.labels, &meta.annotations, &meta.finalizers).hash(&mut hasher);
    for owner in meta.owner_references.iter().flatten() {
        (&owner.uid, owner.controller, owner.block_owner_deletion).hash(&mut hasher);
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn version_of(changes: Value) -> u64 {
        let mut meta = json!({ "uid": "u", "resourceVersion": "1", "labels": { "a": "b" } });
        for (key, value) in changes.as_object().unwrap() {
            meta[key] = value.clone();
        }
        version(&serde_json::from_value(meta).unwrap())
    }

    #[test]
    fn a_version_is_another_one_when_somebody_changes_the_object() {
        let counted = version_of(json!({ "generation": 1 }));
        // Its status moved.
        let moved = version_of(json!({ "generation": 1, "resourceVersion": "2" }));
        assert_eq!(moved, counted);
        let owner = json!([{ "apiVersion": "v1", "kind": "K", "name": "n", "uid": "u" }]);
        for changed in [
            json!({ "generation": 2 }),
            json!({ "generation": 1, "labels": { "a": "c" } }),
            json!({ "generation": 1, "annotations": { "a": "c" } }),
            json!({ "generation": 1, "finalizers": ["f"] }),
            json!({ "generation": 1, "ownerReferences": owner }),
            json!({ "generation": 1, "uid": "v" }),
        ] {
            assert_ne!(version_of(changed.clone()), counted, "{changed}");
        }
        let uncounted = version_of(json!({}));
        assert_ne!(version_of(json!({ "resourceVersion": "2" })), uncounted);
    }
}
