//! What a shell needs to work with a testbed, and what the caller's own KUBECONFIG means.

use std::ffi::OsStr;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kvorum_testbed::tools::{self, ToolSet};
use kvorum_testbed::{StateDir, Testbed};

use crate::certificates;
use crate::kubernetes::{client_directory, serving_cluster};

/// The caller's KUBECONFIG, if it is set and does not belong to a testbed of ours.
pub(crate) fn kubeconfig_of_user() -> Option<PathBuf> {
    let given = given_kubeconfig()?;
    testbed_of(&given).is_none().then_some(given)
}

/// The testbed that the caller's KUBECONFIG belongs to, after `eval "$(cargo xtask env)"`.
pub(crate) fn testbed_in_use() -> Option<String> {
    testbed_of(&given_kubeconfig()?)
}

fn given_kubeconfig() -> Option<PathBuf> {
    std::env::var_os("KUBECONFIG")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

fn testbed_of(kubeconfig: &Path) -> Option<String> {
    // Also one that is down already: a left-over variable of a shell must not point `up` at nothing.
    let directory = kubeconfig.parent()?;
    let name = directory.file_name()?.to_str()?;
    let state = StateDir::of(name).ok()?;
    (state.kubeconfig() == kubeconfig).then(|| name.to_owned())
}

/// Lines for `eval`.
pub(crate) fn lines(name: &str) -> Result<String> {
    let testbed = Testbed::attach(name)?;
    link_helm(&testbed)?;
    let mut out = String::new();
    writeln!(out, "export KUBECONFIG={}", quoted(testbed.kubeconfig()))?;
    writeln!(
        out,
        "export PATH={}:\"$PATH\"",
        quoted(testbed.bin_directory())
    )?;
    writeln!(out, "export KVORUM_TESTBED={name}")?;
    if let Some((cluster, endpoints)) = serving_cluster(&testbed) {
        writeln!(out, "export ETCDCTL_ENDPOINTS={}", quoted(endpoints))?;
        let directory = client_directory(&testbed);
        for (variable, file) in certificates::write(|| Ok(testbed.kubectl()), &cluster, &directory)?
        {
            match file {
                Some(file) => writeln!(out, "export {variable}={}", quoted(file))?,
                None => writeln!(out, "unset {variable}")?,
            }
        }
    }
    Ok(out)
}

/// Puts helm beside kubectl and etcdctl.
pub(crate) fn link_helm(testbed: &Testbed) -> Result<PathBuf> {
    let helm = tools::ensure(ToolSet::Helm)?.join("helm");
    let link = testbed.bin_directory().join("helm");
    std::fs::remove_file(&link).ok();
    std::os::unix::fs::symlink(&helm, &link)
        .with_context(|| format!("cannot link helm at {}", link.display()))?;
    Ok(helm)
}

fn quoted(value: impl AsRef<OsStr>) -> String {
    format!(
        "'{}'",
        value.as_ref().to_string_lossy().replace('\'', r"'\''")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_testbeds_kubeconfig_is_known_and_others_are_not() {
        let ours = StateDir::of("dev").unwrap().kubeconfig();
        assert_eq!(testbed_of(&ours).as_deref(), Some("dev"));
        assert_eq!(testbed_of(Path::new("/root/.kube/config")), None);
    }

    #[test]
    fn quotes_survive_a_shell() {
        assert_eq!(quoted("a b'c"), r"'a b'\''c'");
    }
}
