//! What is kept about a testbed on disk: one directory a testbed, one JSON file in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::addresses::{Addresses, check_name};
use crate::limits::MAX_BLOCKS;

const STATE_ENV: &str = "KVORUM_STATE";
const CACHE_ENV: &str = "KVORUM_CACHE";
const DEFAULT_STATE: &str = "/var/lib/kvorum-testbed";

/// The cache of built tools: `$KVORUM_CACHE`, or `kvorum` in the user's cache directory.
#[must_use]
pub fn cache_root() -> PathBuf {
    if let Some(given) = set(CACHE_ENV) {
        return given;
    }
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    base.unwrap_or_else(|| PathBuf::from("/var/cache"))
        .join("kvorum")
}

fn set(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// One node of a testbed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its name, also that of its link and namespace.
    pub name: String,
    /// Its number in the address plan, from 1.
    pub index: u8,
}

impl NodeRecord {
    /// The letter of its zone.
    #[must_use]
    pub fn zone(&self) -> char {
        self.name.chars().next().unwrap_or('?')
    }
}

/// Where the programs of the testbed are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ProgramPaths {
    pub(crate) k8s: PathBuf,
    pub(crate) etcd: PathBuf,
    pub(crate) coredns: PathBuf,
    pub(crate) pause_image: PathBuf,
}

/// Everything that later commands must know about a testbed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) block: u8,
    pub(crate) nodes: Vec<NodeRecord>,
    pub(crate) grace_seconds: u32,
    pub(crate) programs: ProgramPaths,
    /// Directories of this testbed's groups, one a cgroup v1 hierarchy.
    pub(crate) cgroups: Vec<PathBuf>,
}

impl Record {
    pub(crate) fn addresses(&self) -> Result<Addresses> {
        Addresses::new(self.block)
    }
}

/// The directory of one testbed.
#[derive(Clone, Debug)]
pub struct StateDir {
    name: String,
    path: PathBuf,
}

impl StateDir {
    /// The directory of the testbed `name`, whether it exists or not.
    ///
    /// # Errors
    /// If the name is not allowed.
    pub fn of(name: &str) -> Result<Self> {
        check_name(name)?;
        Ok(Self {
            name: name.to_owned(),
            path: Self::root().join(name),
        })
    }

    fn root() -> PathBuf {
        set(STATE_ENV).unwrap_or_else(|| PathBuf::from(DEFAULT_STATE))
    }

    /// The names of all testbeds that have a directory.
    #[must_use]
    pub fn names() -> Vec<String> {
        let Ok(entries) = fs::read_dir(Self::root()) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter(|entry| entry.path().join("testbed.json").exists())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    /// The testbed's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path below it.
    #[must_use]
    pub fn join(&self, below: &str) -> PathBuf {
        self.path.join(below)
    }

    /// Whether a testbed of this name, alive or dead, has left a directory.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// The kubeconfig for processes of the machine.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.join("kubeconfig")
    }

    /// A network namespace of this testbed.
    pub(crate) fn netns(&self, part: &str) -> String {
        format!("{}{part}", self.netns_prefix())
    }

    pub(crate) fn netns_prefix(&self) -> String {
        // A dot ends the name: "dev" must not match the namespaces of "dev-2".
        format!("kvtb-{}.", self.name)
    }

    pub(crate) fn node_dir(&self, node: &str) -> PathBuf {
        self.path.join("nodes").join(node)
    }

    pub(crate) fn load(&self) -> Result<Record> {
        let file = self.join("testbed.json");
        let text = fs::read_to_string(&file).with_context(|| {
            format!(
                "there is no testbed {:?} ({} cannot be read); start one with `cargo xtask up`",
                self.name,
                file.display()
            )
        })?;
        serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is damaged; run `cargo xtask down --name {}`",
                file.display(),
                self.name
            )
        })
    }

    pub(crate) fn store(&self, record: &Record) -> Result<()> {
        write(
            &self.join("testbed.json"),
            &serde_json::to_string_pretty(record)?,
        )
    }
}

/// The lowest block that no other testbed's directory claims.
pub(crate) fn free_block() -> Result<u8> {
    let taken: Vec<u8> = StateDir::names()
        .iter()
        .filter_map(|name| StateDir::of(name).ok()?.load().ok())
        .map(|record| record.block)
        .collect();
    (0..MAX_BLOCKS)
        .find(|block| !taken.contains(block))
        .with_context(|| format!("{MAX_BLOCKS} testbeds exist already; take one down with `cargo xtask down --name NAME`"))
}

/// Writes a file with an error that names it.
pub(crate) fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Creates a directory and its parents with an error that names it.
pub(crate) fn make_dir(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create the directory {}", directory.display()))
}
