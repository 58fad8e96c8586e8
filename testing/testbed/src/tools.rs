//! Kubernetes, etcd, CoreDNS and Helm, built from Go modules of our own into a cache outside the work tree; and clients of
//! etcd in other languages.

mod build;
mod catalog;
pub mod clients;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use catalog::ToolSet;

use crate::node_files::PAUSE_IMAGE;
use crate::oci::{Entry, Image, write_archive};
use crate::state::cache_root;

/// The directory with the programs of a set, built if it is not there yet.
///
/// # Errors
/// If Go is missing or the build fails.
pub fn ensure(set: ToolSet) -> Result<PathBuf> {
    build::ensure(&set.spec(), &cache_root().join("tools"))
}

/// Builds every set that is missing, saying first what will be built and about how long it takes.
///
/// # Errors
/// If Go is missing or a build fails.
pub fn ensure_all(sets: &[ToolSet]) -> Result<()> {
    let root = cache_root().join("tools");
    let missing: Vec<_> = sets
        .iter()
        .map(|set| set.spec())
        .filter(|spec| !build::is_built(spec, &root))
        .collect();
    if missing.len() > 1 {
        let seconds: u32 = missing.iter().map(|spec| spec.cpu_seconds).sum();
        let names: Vec<&str> = missing.iter().map(|spec| spec.title).collect();
        eprintln!(
            "to be built once, into {}: {}\n  about {seconds} CPU-seconds in all if nothing of it is in Go's build cache; it can be stopped at any time and goes on from there",
            root.display(),
            names.join(", ")
        );
    }
    sets.iter().try_for_each(|set| ensure(*set).map(drop))
}

/// The image archive of the program that holds pods' namespaces open.
pub(crate) fn ensure_pause_image() -> Result<PathBuf> {
    let directory = ensure(ToolSet::Pause)?;
    let archive = directory.join("pause.tar");
    if !archive.exists() {
        write_pause(&directory.join("pause"), &archive)?;
    }
    Ok(archive)
}

fn write_pause(program: &Path, archive: &Path) -> Result<()> {
    let bytes =
        std::fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let image = Image {
        name: PAUSE_IMAGE.to_owned(),
        entries: vec![Entry::file("pause", 0o755, bytes)],
        entrypoint: vec!["/pause".to_owned()],
        user: "65535:65535".to_owned(),
    };
    write_archive(&image, archive)
}
