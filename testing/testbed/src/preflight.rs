//! Can a testbed run here at all? One sentence when it cannot.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

const CONTROLLERS: [&str; 6] = ["cpu", "cpuacct", "cpuset", "memory", "pids", "freezer"];

/// Checks the machine: Linux, root, cgroup v1.
///
/// # Errors
/// One sentence that says what is missing and what to do instead.
pub fn check() -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("a testbed needs Linux: set KUBECONFIG to use another Kubernetes instead");
    }
    if !nix::unistd::geteuid().is_root() {
        bail!(
            "a testbed needs root (namespaces and cgroups): run it with sudo, or set KUBECONFIG to use another Kubernetes"
        );
    }
    let missing = missing_controllers(
        &fs::read_to_string("/proc/self/cgroup").unwrap_or_default(),
        |controller| {
            Path::new("/sys/fs/cgroup")
                .join(controller)
                .join("cgroup.procs")
                .exists()
        },
    );
    if !missing.is_empty() {
        bail!(
            "a testbed needs the cgroup v1 controllers {} mounted below /sys/fs/cgroup: set KUBECONFIG to use another Kubernetes instead",
            missing.join(", ")
        );
    }
    Ok(())
}

/// Checks that network namespaces can be made: Linux, root.
///
/// # Errors
/// One sentence that says what is missing.
pub fn check_namespaces() -> Result<()> {
    if !cfg!(target_os = "linux") || !nix::unistd::geteuid().is_root() {
        bail!("network namespaces need Linux and root: run it with sudo");
    }
    Ok(())
}

/// Checks that a Go compiler is there.
///
/// # Errors
/// One sentence that says what to install.
pub fn check_go() -> Result<()> {
    match std::process::Command::new("go").arg("version").output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => bail!(
            "Kubernetes and etcd are built from their Go modules, and there is no `go` on PATH: install Go 1.26 or newer"
        ),
    }
}

/// Which of the needed controllers this process is in no v1 hierarchy of.
fn missing_controllers(own: &str, mounted: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let joined: Vec<&str> = own
        .lines()
        .filter_map(|line| line.split(':').nth(1))
        .flat_map(|names| names.split(','))
        .collect();
    CONTROLLERS
        .into_iter()
        .filter(|wanted| !joined.contains(wanted) || !mounted(wanted))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v2_only_lacks_them_all() {
        assert_eq!(
            missing_controllers("0::/user.slice\n", |_| true).len(),
            CONTROLLERS.len()
        );
    }

    #[test]
    fn v1_with_joint_mounts_is_fine() {
        let own = "5:cpu,cpuacct:/\n4:memory:/x\n3:cpuset:/\n2:pids:/\n1:freezer:/\n0::/\n";
        assert!(missing_controllers(own, |_| true).is_empty());
        assert_eq!(
            missing_controllers(own, |name| name != "memory"),
            ["memory"]
        );
    }
}
