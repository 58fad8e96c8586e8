//! From nothing to a Kubernetes whose nodes are all Ready, in the order that proved quickest.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, anyhow, bail};

use crate::addresses::{Addresses, node_names};
use crate::limits::{DEFAULT_GRACE_SECONDS, NODES_READY};
use crate::network::CONTROL_PLANE;
use crate::programs::{Launch, helper, launch};
use crate::run::{output, with_input};
use crate::state::{NodeRecord, ProgramPaths, Record, StateDir, free_block, make_dir, write};
use crate::tools::{self, ToolSet};
use crate::{
    Steps, cgroups, control_plane, debian, down, dump, manifests, network, nodes, pki, preflight,
};

/// The group of the testbed's own daemon.
pub(crate) const DAEMON_GROUP: &str = "daemon";

/// The file that says that a testbed came up; without it, what is there is half of one.
pub(crate) const UP_MARK: &str = "up";

/// The sets of programs that a bare Kubernetes needs, in the order in which it needs them.
pub(crate) const NEEDED_TOOLS: [ToolSet; 4] = [
    ToolSet::Etcd37,
    ToolSet::Kubernetes,
    ToolSet::CoreDns,
    ToolSet::Pause,
];

/// What kind of testbed to start.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// Its name; testbeds of different names run side by side.
    pub name: String,
    /// Nodes in each of the three zones.
    pub nodes_per_zone: u8,
    /// Seconds without a sign of life after which a node counts as not ready.
    pub grace_seconds: u32,
    /// The `kvorum-testbed` program, which runs inside the namespaces.
    pub helper: PathBuf,
    /// Leave everything as it is when the start fails, to look into it.
    pub keep_on_failure: bool,
}

impl UpOptions {
    /// One node a zone.
    #[must_use]
    pub fn new(name: &str, helper: &Path) -> Self {
        Self {
            name: name.to_owned(),
            nodes_per_zone: 1,
            grace_seconds: DEFAULT_GRACE_SECONDS,
            helper: helper.to_path_buf(),
            keep_on_failure: false,
        }
    }
}

pub(crate) fn up(options: &UpOptions) -> Result<(StateDir, Record)> {
    preflight::check()?;
    let names = node_names(options.nodes_per_zone)?;
    let state = StateDir::of(&options.name)?;
    refuse_running(&state)?;
    debian::install_missing()?;
    tools::ensure_all(&NEEDED_TOOLS)?;
    let _alone = lock_root(&state)?;
    // Another process may have started it in the meantime.
    refuse_running(&state)?;
    let steps = Steps::new();
    if down::down(&state)? {
        steps.done("leftovers of an earlier run removed");
    }
    let record = claim(&state, options, names)?;
    let booted = boot(&state, &record, &steps);
    if let Err(error) = booted {
        let report =
            std::env::temp_dir().join(format!("kvorum-testbed-{}-failure.txt", state.name()));
        write(&report, &dump::dump(&state, &record)).ok();
        if !options.keep_on_failure {
            down::down(&state)?;
        }
        return Err(error.context(format!(
            "the testbed did not start; logs are in {}",
            report.display()
        )));
    }
    write(&state.join(UP_MARK), "")?;
    Ok((state, record))
}

/// Testbeds start one after the other: they choose address blocks, and one that starts must not be taken for a dead one.
fn lock_root(state: &StateDir) -> Result<fs::File> {
    let root = state
        .path()
        .parent()
        .context("the state directory has no parent")?;
    make_dir(root)?;
    let lock = fs::File::open(root).with_context(|| format!("cannot open {}", root.display()))?;
    if lock.try_lock().is_err() {
        eprintln!("waiting for another testbed that is starting");
        lock.lock()
            .with_context(|| format!("cannot lock {}", root.display()))?;
    }
    Ok(lock)
}

fn refuse_running(state: &StateDir) -> Result<()> {
    if let Ok(running) = crate::Testbed::attach(state.name()) {
        bail!(
            "the testbed {:?} is up already; `cargo xtask down --name {0}` ends it",
            running.name()
        );
    }
    Ok(())
}

/// Takes an address block and writes the record that makes everything after it findable.
fn claim(state: &StateDir, options: &UpOptions, names: Vec<String>) -> Result<Record> {
    let nodes = (1u8..)
        .zip(names)
        .map(|(index, name)| NodeRecord { name, index })
        .collect();
    let record = Record {
        block: free_block()?,
        nodes,
        grace_seconds: options.grace_seconds,
        programs: ProgramPaths {
            k8s: tools::ensure(ToolSet::Kubernetes)?,
            etcd: tools::ensure(ToolSet::Etcd37)?,
            coredns: tools::ensure(ToolSet::CoreDns)?.join("coredns"),
            pause_image: tools::ensure_pause_image()?,
        },
        cgroups: cgroups::bases_for(state.name())?,
    };
    for part in ["log", "bin", "nodes", "pv"] {
        make_dir(&state.join(part))?;
    }
    state.store(&record)?;
    fs::copy(&options.helper, helper(state)).with_context(|| {
        format!(
            "cannot copy the helper program {}",
            options.helper.display()
        )
    })?;
    Ok(record)
}

fn boot(state: &StateDir, record: &Record, steps: &Steps) -> Result<()> {
    let addresses = record.addresses()?;
    thread::scope(|scope| {
        let certificates =
            scope.spawn(|| pki::create(&state.join("pki"), addresses, &record.nodes));
        network::create(state, addresses, &record.nodes)?;
        certificates
            .join()
            .map_err(|_| anyhow!("the thread that makes certificates panicked"))?
    })?;
    let server = format!("https://{}", addresses.api_on_machine());
    write(
        &state.kubeconfig(),
        &pki::kubeconfig(&server, &state.join("pki"), "admin"),
    )?;
    fs::set_permissions(state.kubeconfig(), fs::Permissions::from_mode(0o600))?;
    steps.done("namespaces, links, certificates");
    control_plane::start_api(state, record)?;
    start_daemon(state, record, addresses)?;
    for node in &record.nodes {
        nodes::start(state, record, node)?;
    }
    write_wrappers(state, record)?;
    control_plane::wait_api(state, record)?;
    steps.done("API server ready");
    control_plane::start_controllers(state, record)?;
    // The nodes' kubelets wait for this file.
    write(&state.join("go"), "")?;
    create_base_objects(state, record)?;
    wait_nodes(state, record.nodes.len())?;
    steps.done(&format!(
        "{} nodes Ready: {}",
        record.nodes.len(),
        node_list(&record.nodes)
    ));
    control_plane::start_client_side(state, record)
}

fn node_list(nodes: &[NodeRecord]) -> String {
    nodes
        .iter()
        .map(|node| node.name.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

fn start_daemon(state: &StateDir, record: &Record, addresses: Addresses) -> Result<()> {
    let groups = cgroups::create(
        std::slice::from_ref(cgroups::freezer(&record.cgroups)?),
        DAEMON_GROUP,
    )?;
    let mut command = vec![helper(state).to_string_lossy().into_owned()];
    command.extend(["internal", "daemon", "--listen"].map(str::to_owned));
    command.push(addresses.api_on_machine().to_string());
    command.extend(["--netns".to_owned(), state.netns(CONTROL_PLANE)]);
    command.extend([
        "--target".to_owned(),
        format!("{}:6443", addresses.control_plane()),
    ]);
    command.extend([
        "--kubeconfig".to_owned(),
        state.kubeconfig().to_string_lossy().into_owned(),
    ]);
    command.extend([
        "--volumes".to_owned(),
        state.join("pv").to_string_lossy().into_owned(),
    ]);
    launch(
        state,
        &Launch {
            groups: &groups,
            log: &state.join("log/daemon.log"),
            command,
        },
    )
}

fn create_base_objects(state: &StateDir, record: &Record) -> Result<()> {
    let mut kubectl = Command::new(record.programs.k8s.join("kubectl"));
    kubectl
        .arg("--kubeconfig")
        .arg(state.kubeconfig())
        .arg("--cache-dir")
        .arg(state.join("kubectl-cache"));
    with_input(
        kubectl.args(["create", "--validate=false", "-f", "-"]),
        &manifests::base(),
    )
    .map(drop)
}

fn wait_nodes(state: &StateDir, count: usize) -> Result<()> {
    let limit = NODES_READY.as_secs().to_string();
    let mut command = Command::new(helper(state));
    command.args([
        "internal",
        "wait-nodes",
        "--limit",
        &limit,
        "--count",
        &count.to_string(),
        "--kubeconfig",
    ]);
    output(command.arg(state.kubeconfig())).map(drop)
}

/// Programs for people: what `cargo xtask env` puts on PATH.
fn write_wrappers(state: &StateDir, record: &Record) -> Result<()> {
    let namespace = state.netns(CONTROL_PLANE);
    // `ip netns exec` gives a mount namespace of its own, so the binding is seen by this one command only.
    let enter = format!(
        "#!/bin/sh\n# Runs a program where pod and service addresses and names of the testbed work.\n\
         exec ip netns exec {namespace} sh -c 'mount --bind {} /etc/resolv.conf && exec \"$@\"' in-cluster \"$@\"\n",
        state.join("resolv.conf").display()
    );
    script(&state.join("bin/in-cluster"), &enter)?;
    let etcd = record.programs.etcd.display();
    for program in ["etcdctl", "etcdutl", "benchmark"] {
        let text = format!(
            "#!/bin/sh\nexec {} {etcd}/{program} \"$@\"\n",
            state.join("bin/in-cluster").display()
        );
        script(&state.join(&format!("bin/{program}")), &text)?;
    }
    symlink(
        record.programs.k8s.join("kubectl"),
        state.join("bin/kubectl"),
    )
    .context("cannot link kubectl")
}

fn script(file: &Path, text: &str) -> Result<()> {
    write(file, text)?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} executable", file.display()))
}
