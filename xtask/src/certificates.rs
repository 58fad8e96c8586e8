//! The certificate for clients of a cluster, as files that etcdctl takes.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::kubernetes::read;

/// The variable of etcdctl, the key in the Secret.
const FILES: [(&str, &str); 3] = [
    ("ETCDCTL_CACERT", "ca.crt"),
    ("ETCDCTL_CERT", "tls.crt"),
    ("ETCDCTL_KEY", "tls.key"),
];

/// What etcdctl has to be told to reach a cluster; None for those it must not be told any more.
pub(crate) type Variables = Vec<(&'static str, Option<PathBuf>)>;

/// Writes the Secret for clients of this KvCluster into a directory that only the user may read; a cluster
/// without TLS needs none.
pub(crate) fn write(
    kubectl: impl Fn() -> Result<Command>,
    cluster: &Value,
    directory: &Path,
) -> Result<Variables> {
    let name = &cluster["status"]["tls"]["clientSecret"];
    let (Some(name), Some(namespace)) = (name.as_str(), cluster["metadata"]["namespace"].as_str())
    else {
        return Ok(FILES.map(|(variable, _)| (variable, None)).to_vec());
    };
    fs::remove_dir_all(directory).ok();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    FILES
        .map(|(variable, key)| {
            let template = format!("go-template={{{{index .data \"{key}\" | base64decode}}}}");
            let text =
                read(kubectl()?.args(["get", "secret", name, "-n", namespace, "-o", &template]))?;
            let file = directory.join(key);
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
            Ok((variable, Some(file)))
        })
        .into_iter()
        .collect()
}

/// Tells a command.
pub(crate) fn tell(command: &mut Command, variables: &Variables) {
    for (variable, file) in variables {
        match file {
            Some(file) => command.env(variable, file),
            None => command.env_remove(variable),
        };
    }
}
