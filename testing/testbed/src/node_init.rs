//! The first process of a node, inside its namespaces: mounts, containerd, kube-proxy, DNS, then it becomes kubelet.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};

use crate::limits::{API_READY, CONTAINERD_READY};
use crate::node_files::{self, KERNEL_SETTINGS, NodeConfig};
use crate::run::{output, wait_until};
use crate::state::{make_dir, write};

/// Reads the node's configuration and becomes its kubelet. Returns only on failure.
pub(crate) fn run(file: &Path) -> Result<()> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let config: NodeConfig =
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", file.display()))?;
    mount_system(&config)?;
    mount_own_directories(&config)?;
    start_containerd(&config)?;
    wait_until("the API server being ready", API_READY, || {
        config.go.exists()
    })?;
    start_network(&config)?;
    become_kubelet(&config)
}

fn mount_system(config: &NodeConfig) -> Result<()> {
    mount_new("proc", Path::new("/proc"), "proc", None)?;
    write(Path::new("/proc/sys/kernel/hostname"), &config.name)?;
    for (setting, value) in KERNEL_SETTINGS {
        let own = config.directory.join("etc").join(setting.replace('/', "_"));
        write(&own, &format!("{value}\n"))?;
        bind(&own, &Path::new("/proc/sys").join(setting))?;
    }
    // The cgroup namespace makes the node's own groups the root of what is mounted here.
    let root = Path::new("/sys/fs/cgroup");
    mount_new("cgroup", root, "tmpfs", Some("mode=755"))?;
    let own = fs::read_to_string("/proc/self/cgroup").context("cannot read /proc/self/cgroup")?;
    for controllers in own
        .lines()
        .filter_map(|line| line.split(':').nth(1))
        .filter(|names| !names.is_empty())
    {
        let (directory, options) = match controllers.strip_prefix("name=") {
            Some(name) => (name, format!("none,{controllers}")),
            None => (controllers, controllers.to_owned()),
        };
        let target = root.join(directory);
        make_dir(&target)?;
        mount_new("cgroup", &target, "cgroup", Some(&options))?;
    }
    Ok(())
}

fn mount_own_directories(config: &NodeConfig) -> Result<()> {
    let disk = &config.directory;
    write(
        &disk.join("etc/resolv.conf"),
        &format!("nameserver {}\n", config.address),
    )?;
    for (own, target) in [
        ("run", "/run"),
        ("kubelet", "/var/lib/kubelet"),
        ("containerd", "/var/lib/containerd"),
        ("cni", "/var/lib/cni"),
        ("netd", "/etc/cni/net.d"),
        ("log", "/var/log"),
        ("etc/resolv.conf", "/etc/resolv.conf"),
    ] {
        let target = Path::new(target);
        if !target.exists() {
            make_dir(target)?;
        }
        bind(&disk.join(own), target)?;
    }
    let flags = MsFlags::MS_SHARED | MsFlags::MS_REC;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
        .context("cannot make the node's mounts shared")?;
    make_dir(Path::new("/run/lock"))?;
    make_dir(Path::new("/run/netns"))
}

fn start_containerd(config: &NodeConfig) -> Result<()> {
    write(
        Path::new("/etc/cni/net.d/10-testbed.conflist"),
        &node_files::cni(config),
    )?;
    write(Path::new("/run/containerd.toml"), &node_files::containerd())?;
    background(
        Command::new("containerd").args(["-c", "/run/containerd.toml"]),
        "containerd",
    )?;
    let socket = Path::new("/run/containerd/containerd.sock");
    wait_until("containerd answering", CONTAINERD_READY, || {
        socket.exists() && output(Command::new("ctr").arg("version")).is_ok()
    })?;
    let imported = config.directory.join("etc/pause-imported");
    if !imported.exists() {
        output(
            Command::new("ctr")
                .args(["-n", "k8s.io", "images", "import"])
                .arg(&config.pause_image),
        )?;
        write(&imported, "")?;
    }
    Ok(())
}

fn start_network(config: &NodeConfig) -> Result<()> {
    let proxy = node_files::kube_proxy(&config.name, &config.all_pods, &config.pki);
    write(Path::new("/run/proxy.yaml"), &proxy)?;
    background(
        Command::new(config.k8s.join("kube-proxy")).arg("--config=/run/proxy.yaml"),
        "kube-proxy",
    )?;
    write(
        Path::new("/run/Corefile"),
        &node_files::corefile(config.address, &config.pki),
    )?;
    background(
        Command::new(&config.coredns).args(["-conf", "/run/Corefile"]),
        "coredns",
    )
}

fn become_kubelet(config: &NodeConfig) -> Result<()> {
    write(Path::new("/run/kubelet.yaml"), &node_files::kubelet(config))?;
    let log = log_file("kubelet")?;
    let errors = log
        .try_clone()
        .context("cannot duplicate the log's handle")?;
    let failure = Command::new(config.k8s.join("kubelet"))
        .arg("--config=/run/kubelet.yaml")
        .arg(format!(
            "--kubeconfig={}/node-{}.kubeconfig",
            config.pki.display(),
            config.name
        ))
        .arg(format!("--hostname-override={}", config.name))
        .arg(format!("--node-ip={}", config.address))
        .arg(format!(
            "--node-labels=topology.kubernetes.io/zone={},topology.kubernetes.io/region=testbed",
            config.zone
        ))
        .arg("--v=1")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .exec();
    Err(failure).context("cannot start kubelet")
}

/// Starts a program beside this one. It is not waited for here: the node's init reaps it after the exec.
fn background(command: &mut Command, name: &str) -> Result<()> {
    let log = log_file(name)?;
    let errors = log
        .try_clone()
        .context("cannot duplicate the log's handle")?;
    command
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map(drop)
        .with_context(|| format!("cannot start {name}"))
}

fn log_file(name: &str) -> Result<fs::File> {
    let path = format!("/var/log/{name}.log");
    fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("cannot open {path}"))
}

fn mount_new(source: &str, target: &Path, kind: &str, options: Option<&str>) -> Result<()> {
    mount(Some(source), target, Some(kind), MsFlags::empty(), options)
        .with_context(|| format!("cannot mount {kind} on {}", target.display()))
}

fn bind(source: &Path, target: &Path) -> Result<()> {
    mount(
        Some(source),
        target,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )
    .with_context(|| format!("cannot bind {} over {}", source.display(), target.display()))
}
