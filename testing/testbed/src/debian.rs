//! The Debian packages that a testbed needs, installed when they are missing, saying so.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A program and the package that brings it.
type Need = (&'static str, &'static str);

/// What makes network namespaces and cuts links between them.
const NAMESPACES: [Need; 2] = [("ip", "iproute2"), ("nft", "nftables")];

/// What else a testbed needs.
const NEEDED: [Need; 7] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("/usr/lib/cni/ptp", "containernetworking-plugins"),
    ("conntrack", "conntrack"),
    ("tini", "tini"),
    ("unshare", "util-linux"),
];

/// What builds clients from .proto files.
const PROTOC: [Need; 2] = [
    ("protoc", "protobuf-compiler"),
    (
        "/usr/include/google/protobuf/descriptor.proto",
        "libprotobuf-dev",
    ),
];

/// Installs what a testbed needs and is missing with apt-get.
///
/// # Errors
/// If apt-get is not there or fails; the message names the packages.
pub fn install_missing() -> Result<()> {
    install(&[&NAMESPACES[..], &NEEDED].concat())
}

/// Installs what network namespaces need and is missing.
///
/// # Errors
/// If apt-get is not there or fails; the message names the packages.
pub fn install_for_namespaces() -> Result<()> {
    install(&NAMESPACES)
}

/// Installs protoc with the types of its own.
///
/// # Errors
/// If apt-get is not there or fails; the message names the packages.
pub fn install_protoc() -> Result<()> {
    install(&PROTOC)
}

fn install(needed: &[Need]) -> Result<()> {
    let mut packages: Vec<&str> = needed
        .iter()
        .filter(|(program, _)| find_program(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if find_program("apt-get").is_none() {
        bail!("these packages are missing and there is no apt-get to install them: {list}");
    }
    eprintln!("installing Debian packages: {list}");
    apt(&["update", "-qq"])?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(&packages);
    with_services_off(|| apt(&arguments))
        .with_context(|| format!("install them by hand: apt-get install {list}"))
}

/// Keeps the packages from starting services: a testbed starts its own containerd, in a namespace.
fn with_services_off(act: impl FnOnce() -> Result<()>) -> Result<()> {
    let policy = Path::new("/usr/sbin/policy-rc.d");
    if policy.exists() {
        return act();
    }
    crate::state::write(policy, "#!/bin/sh\nexit 101\n")?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    let result = std::fs::set_permissions(policy, mode)
        .map_err(anyhow::Error::from)
        .and_then(|()| act());
    std::fs::remove_file(policy).ok();
    result
}

fn apt(arguments: &[&str]) -> Result<()> {
    let status = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("cannot run apt-get")?;
    if !status.success() {
        bail!("apt-get {} failed ({status})", arguments.join(" "));
    }
    Ok(())
}

/// Finds a program by absolute path, on PATH, or in the directories of system programs.
#[must_use]
pub fn find_program(name: &str) -> Option<std::path::PathBuf> {
    if name.starts_with('/') {
        return Some(Path::new(name))
            .filter(|path| path.exists())
            .map(Path::to_path_buf);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(std::path::PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}
