//! Image archives: one tar that is an OCI image layout and also what `docker load` reads.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// One file or directory of the image.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Path in the image, without the leading slash.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: u64,
    /// The contents, or nothing for a directory.
    pub contents: Option<Vec<u8>>,
}

impl Entry {
    /// A file of root's.
    #[must_use]
    pub fn file(path: &str, mode: u32, contents: Vec<u8>) -> Self {
        Self {
            path: path.to_owned(),
            mode,
            owner: 0,
            contents: Some(contents),
        }
    }

    /// A directory.
    #[must_use]
    pub fn directory(path: &str, mode: u32, owner: u64) -> Self {
        Self {
            path: path.to_owned(),
            mode,
            owner,
            contents: None,
        }
    }
}

/// An image with one layer.
#[derive(Clone, Debug)]
pub struct Image {
    /// Full name with tag, as `kvorum.dev/kvorum-node:0.1.0`.
    pub name: String,
    /// The layer, in the order in which it is written.
    pub entries: Vec<Entry>,
    /// The program.
    pub entrypoint: Vec<String>,
    /// `uid:gid`, or empty for root.
    pub user: String,
}

/// The archive's bytes. Equal input gives equal bytes.
///
/// # Errors
/// If a path is too long for a tar entry.
pub fn archive(image: &Image) -> Result<Vec<u8>> {
    let layer = Blob::new(tar_of(&image.entries)?);
    let config = Blob::new(serde_json::to_vec(&json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {"Entrypoint": image.entrypoint, "User": image.user, "WorkingDir": "/",
                   "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", layer.digest)]},
        "history": [{"created_by": "cargo xtask image"}],
    }))?);
    let manifest = Blob::new(serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": media("manifest.v1+json"),
        "config": config.descriptor("config.v1+json"),
        "layers": [layer.descriptor("layer.v1.tar")],
    }))?);
    let mut pointer = manifest.descriptor("manifest.v1+json");
    pointer["annotations"] = json!({
        "io.containerd.image.name": image.name,
        "org.opencontainers.image.ref.name": image.name.rsplit(':').next(),
    });
    let index =
        json!({"schemaVersion": 2, "mediaType": media("index.v1+json"), "manifests": [pointer]});
    let docker =
        json!([{"Config": config.path(), "RepoTags": [image.name], "Layers": [layer.path()]}]);
    let mut entries = vec![
        Entry::file(
            "oci-layout",
            0o644,
            br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
        ),
        Entry::file("index.json", 0o644, serde_json::to_vec(&index)?),
        Entry::file("manifest.json", 0o644, serde_json::to_vec(&docker)?),
        Entry::directory("blobs", 0o755, 0),
        Entry::directory("blobs/sha256", 0o755, 0),
    ];
    entries
        .extend([config, manifest, layer].map(|blob| Entry::file(&blob.path(), 0o644, blob.bytes)));
    tar_of(&entries)
}

/// Bytes of the archive with their digest, which is computed once: a layer is large.
struct Blob {
    digest: String,
    bytes: Vec<u8>,
}

impl Blob {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            digest: sha256(&bytes),
            bytes,
        }
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.digest)
    }

    fn descriptor(&self, kind: &str) -> Value {
        json!({"mediaType": media(kind), "digest": format!("sha256:{}", self.digest), "size": self.bytes.len()})
    }
}

/// Writes the archive to a file, complete or not at all.
///
/// # Errors
/// If the file cannot be written.
pub fn write_archive(image: &Image, file: &Path) -> Result<()> {
    let bytes = archive(image)?;
    let partial = file.with_extension("partial");
    let mut out = std::fs::File::create(&partial)
        .with_context(|| format!("cannot create {}", partial.display()))?;
    out.write_all(&bytes)
        .with_context(|| format!("cannot write {}", partial.display()))?;
    std::fs::rename(&partial, file)
        .with_context(|| format!("cannot rename {} to {}", partial.display(), file.display()))
}

fn media(what: &str) -> String {
    format!("application/vnd.oci.image.{what}")
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn tar_of(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let contents = entry.contents.as_deref().unwrap_or_default();
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(if entry.contents.is_some() {
            tar::EntryType::Regular
        } else {
            tar::EntryType::Directory
        });
        header.set_mode(entry.mode);
        header.set_uid(entry.owner);
        header.set_gid(entry.owner);
        // No clock: the same input must give the same digest.
        header.set_mtime(0);
        header.set_size(contents.len() as u64);
        builder
            .append_data(&mut header, &entry.path, contents)
            .with_context(|| format!("cannot pack {:?}", entry.path))?;
    }
    builder.into_inner().context("cannot end the archive")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use super::*;

    fn sample() -> Image {
        Image {
            name: "kvorum.dev/sample:1.2".to_owned(),
            entries: vec![
                Entry::directory("data", 0o755, 65532),
                Entry::file("usr/bin/sample", 0o755, b"program".to_vec()),
            ],
            entrypoint: vec!["/usr/bin/sample".to_owned()],
            user: "65532:65532".to_owned(),
        }
    }

    fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        for entry in tar::Archive::new(archive).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            found.insert(path, bytes);
        }
        found
    }

    #[test]
    fn every_digest_is_that_of_its_blob() {
        let found = files(&archive(&sample()).unwrap());
        for (path, bytes) in found
            .iter()
            .filter(|(path, bytes)| path.starts_with("blobs/sha256/") && !bytes.is_empty())
        {
            assert_eq!(path, &format!("blobs/sha256/{}", sha256(bytes)));
        }
        let index: Value = serde_json::from_slice(&found["index.json"]).unwrap();
        let digest = index["manifests"][0]["digest"]
            .as_str()
            .unwrap()
            .replace(':', "/");
        let manifest: Value = serde_json::from_slice(&found[&format!("blobs/{digest}")]).unwrap();
        for pointer in [&manifest["config"], &manifest["layers"][0]] {
            let blob = &found[&format!(
                "blobs/{}",
                pointer["digest"].as_str().unwrap().replace(':', "/")
            )];
            assert_eq!(pointer["size"].as_u64().unwrap(), blob.len() as u64);
        }
    }

    #[test]
    fn docker_and_containerd_find_the_name() {
        let found = files(&archive(&sample()).unwrap());
        let docker: Value = serde_json::from_slice(&found["manifest.json"]).unwrap();
        assert_eq!(docker[0]["RepoTags"][0], "kvorum.dev/sample:1.2");
        assert!(found.contains_key(docker[0]["Config"].as_str().unwrap()));
        assert!(found.contains_key(docker[0]["Layers"][0].as_str().unwrap()));
        let index: Value = serde_json::from_slice(&found["index.json"]).unwrap();
        assert_eq!(
            index["manifests"][0]["annotations"]["io.containerd.image.name"],
            "kvorum.dev/sample:1.2"
        );
    }

    #[test]
    fn equal_input_gives_equal_bytes() {
        assert_eq!(archive(&sample()).unwrap(), archive(&sample()).unwrap());
    }
}
