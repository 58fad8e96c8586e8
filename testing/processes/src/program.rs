//! The server programs that a cluster can be made of.

use std::path::PathBuf;

/// Which server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// kvorum-node.
    Kvorum(PathBuf),
    /// etcd.
    Etcd(PathBuf),
}

fn from_environment(variable: &str, what: &str) -> PathBuf {
    let path = std::env::var_os(variable).map(PathBuf::from);
    assert!(
        path.as_ref().is_some_and(|p| p.is_file()),
        "{variable} must name {what}: run the tests by `cargo xtask test`, which builds it"
    );
    path.unwrap_or_default()
}

impl Program {
    /// kvorum-node, from `KVORUM_NODE_BIN`.
    ///
    /// # Panics
    /// If the variable names no file.
    #[must_use]
    pub fn kvorum() -> Self {
        Self::Kvorum(from_environment("KVORUM_NODE_BIN", "a built kvorum-node"))
    }

    /// kvorum-node with fault points, from `KVORUM_FAULTPOINTS_BIN`.
    ///
    /// # Panics
    /// If the variable names no file.
    #[must_use]
    pub fn kvorum_with_faultpoints() -> Self {
        let what = "a kvorum-node built with the feature faultpoints";
        Self::Kvorum(from_environment("KVORUM_FAULTPOINTS_BIN", what))
    }

    /// etcd, from `KVORUM_ETCD_BIN`.
    ///
    /// # Panics
    /// If the variable names no file.
    #[must_use]
    pub fn etcd() -> Self {
        Self::Etcd(from_environment("KVORUM_ETCD_BIN", "a built etcd server"))
    }

    /// etcd 3.6, from `KVORUM_ETCD36_BIN`.
    ///
    /// # Panics
    /// If the variable names no file.
    #[must_use]
    pub fn etcd_36() -> Self {
        Self::Etcd(from_environment("KVORUM_ETCD36_BIN", "a built etcd 3.6"))
    }

    /// One of etcd's tools, beside the server of `KVORUM_ETCD_BIN`.
    ///
    /// # Panics
    /// If it is not there.
    #[must_use]
    pub fn etcd_tool(name: &str) -> std::process::Command {
        let server = from_environment("KVORUM_ETCD_BIN", "a built etcd server");
        let tool = server.with_file_name(name);
        assert!(tool.is_file(), "there is no {}", tool.display());
        std::process::Command::new(tool)
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &PathBuf {
        match self {
            Self::Kvorum(path) | Self::Etcd(path) => path,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Kvorum(_) => "kvorum",
            Self::Etcd(_) => "etcd",
        }
    }
}
