//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler in a namespace of their own; and, beside them in the
//! same namespace, kube-proxy and DNS for whoever looks at the cluster from there (etcdctl of `cargo xtask env`).

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::cgroups;
use crate::limits::{API_READY, POLL};
use crate::network::CONTROL_PLANE;
use crate::node_files::{corefile, kube_proxy, resolv_conf};
use crate::programs::{Launch, helper, launch};
use crate::state::{Record, StateDir, write};

/// The group of the four programs.
pub(crate) const GROUP: &str = "control-plane";
/// The group of the programs for onlookers.
pub(crate) const CLIENT_GROUP: &str = "client";

/// Starts etcd and the API server; the others must wait until it answers, or they exit.
pub(crate) fn start_api(state: &StateDir, record: &Record) -> Result<()> {
    start(state, record, GROUP, "etcd", etcd(state, record))?;
    start(
        state,
        record,
        GROUP,
        "kube-apiserver",
        apiserver(state, record)?,
    )
}

/// Waits until the API server says that it is ready; gives up at once when it or its etcd has ended.
pub(crate) fn wait_api(state: &StateDir, record: &Record) -> Result<()> {
    let group = cgroups::freezer(&record.cgroups)?.join(GROUP);
    let limit = API_READY.as_secs().to_string();
    let mut command = Command::new(helper(state));
    command
        .args(["internal", "wait-api", "--limit", &limit, "--kubeconfig"])
        .arg(state.kubeconfig());
    let mut waiting = command
        .spawn()
        .context("cannot start the wait for the API server")?;
    loop {
        if let Some(status) = waiting.try_wait().context("cannot wait for the wait")? {
            ensure!(
                status.success(),
                "the API server did not become ready; its log is {}",
                state.join("log/kube-apiserver.log").display()
            );
            return Ok(());
        }
        if cgroups::processes(&group).len() < 2 {
            waiting.kill().and_then(|()| waiting.wait()).ok();
            bail!(
                "etcd or the API server ended; their logs are in {}",
                state.join("log").display()
            );
        }
        std::thread::sleep(POLL);
    }
}

/// Starts controller manager and scheduler.
pub(crate) fn start_controllers(state: &StateDir, record: &Record) -> Result<()> {
    start(
        state,
        record,
        GROUP,
        "kube-controller-manager",
        controller_manager(state, record),
    )?;
    start(
        state,
        record,
        GROUP,
        "kube-scheduler",
        scheduler(state, record),
    )
}

/// Starts kube-proxy and DNS for onlookers in the control plane's namespace.
pub(crate) fn start_client_side(state: &StateDir, record: &Record) -> Result<()> {
    let pki = state.join("pki");
    let pods = record.addresses()?.pods();
    // It stands for no node; kube-proxy only needs the name of one that exists.
    let node = record.nodes.first().map_or("a1", |node| node.name.as_str());
    write(
        &state.join("client-proxy.yaml"),
        &kube_proxy(node, &pods, &pki),
    )?;
    write(
        &state.join("client-corefile"),
        &corefile(Ipv4Addr::LOCALHOST, &pki),
    )?;
    write(
        &state.join("resolv.conf"),
        &resolv_conf(Ipv4Addr::LOCALHOST),
    )?;
    let proxy = vec![
        text(record.programs.k8s.join("kube-proxy")),
        format!("--config={}", text(state.join("client-proxy.yaml"))),
    ];
    start(state, record, CLIENT_GROUP, "client-kube-proxy", proxy)?;
    let dns = vec![
        text(&record.programs.coredns),
        "-conf".to_owned(),
        text(state.join("client-corefile")),
    ];
    start(state, record, CLIENT_GROUP, "client-coredns", dns)
}

fn start(
    state: &StateDir,
    record: &Record,
    group: &str,
    name: &str,
    command: Vec<String>,
) -> Result<()> {
    let groups = cgroups::create(
        std::slice::from_ref(cgroups::freezer(&record.cgroups)?),
        group,
    )?;
    let mut whole: Vec<String> = ["ip", "netns", "exec"].map(str::to_owned).to_vec();
    whole.push(state.netns(CONTROL_PLANE));
    whole.extend(command);
    launch(
        state,
        &Launch {
            groups: &groups,
            log: &state.join(&format!("log/{name}.log")),
            command: whole,
        },
    )
}

fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().to_string_lossy().into_owned()
}

/// A program and its flags; `{…}` placeholders would hide what is passed, so callers format each flag.
fn command(program: impl AsRef<Path>, flags: impl IntoIterator<Item = String>) -> Vec<String> {
    std::iter::once(text(program)).chain(flags).collect()
}

fn etcd(state: &StateDir, record: &Record) -> Vec<String> {
    let flags = [
        format!("--data-dir={}", text(state.join("etcd"))),
        // This one tests Kubernetes, not etcd: no test here cuts its power.
        "--unsafe-no-fsync".to_owned(),
        "--listen-client-urls=http://127.0.0.1:2379".to_owned(),
        "--advertise-client-urls=http://127.0.0.1:2379".to_owned(),
        "--listen-peer-urls=http://127.0.0.1:2380".to_owned(),
        "--initial-advertise-peer-urls=http://127.0.0.1:2380".to_owned(),
        "--initial-cluster=default=http://127.0.0.1:2380".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    command(record.programs.etcd.join("etcd"), flags)
}

fn apiserver(state: &StateDir, record: &Record) -> Result<Vec<String>> {
    let addresses = record.addresses()?;
    let pki = text(state.join("pki"));
    let flags = [
        "--etcd-servers=http://127.0.0.1:2379".to_owned(),
        "--bind-address=0.0.0.0".to_owned(),
        format!("--advertise-address={}", addresses.control_plane()),
        "--secure-port=6443".to_owned(),
        format!("--service-cluster-ip-range={}", addresses.services()),
        format!("--tls-cert-file={pki}/apiserver.crt"),
        format!("--tls-private-key-file={pki}/apiserver.key"),
        format!("--client-ca-file={pki}/ca.crt"),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        format!("--kubelet-client-certificate={pki}/kubelet-client.crt"),
        format!("--kubelet-client-key={pki}/kubelet-client.key"),
        format!("--kubelet-certificate-authority={pki}/ca.crt"),
        // Else logs, exec and stats ask the machine's DNS for node names.
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        format!("--service-account-key-file={pki}/sa.pub"),
        format!("--service-account-signing-key-file={pki}/sa.key"),
        "--enable-aggregator-routing=true".to_owned(),
        format!("--cert-dir={}", text(state.join("apiserver"))),
        "--allow-privileged=true".to_owned(),
        "--v=1".to_owned(),
    ];
    Ok(command(record.programs.k8s.join("kube-apiserver"), flags))
}

/// Flags that controller manager and scheduler share.
fn controller_flags(pki: &str, user: &str) -> Vec<String> {
    vec![
        format!("--kubeconfig={pki}/{user}.kubeconfig"),
        format!("--authentication-kubeconfig={pki}/{user}.kubeconfig"),
        format!("--authorization-kubeconfig={pki}/{user}.kubeconfig"),
        "--authentication-tolerate-lookup-failure=true".to_owned(),
        "--leader-elect=false".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        // The default of 20 requests a second costs five seconds at the start.
        "--kube-api-qps=500".to_owned(),
        "--kube-api-burst=1000".to_owned(),
        "--v=1".to_owned(),
    ]
}

fn controller_manager(state: &StateDir, record: &Record) -> Vec<String> {
    let pki = text(state.join("pki"));
    let mut flags = controller_flags(&pki, "kcm");
    flags.extend([
        format!("--service-account-private-key-file={pki}/sa.key"),
        format!("--root-ca-file={pki}/ca.crt"),
        // Else RBAC forbids it to write node taints and volume status.
        "--use-service-account-credentials=true".to_owned(),
        format!("--cert-dir={}", text(state.join("kcm"))),
        "--node-monitor-period=1s".to_owned(),
        format!("--node-monitor-grace-period={}s", record.grace_seconds),
    ]);
    command(record.programs.k8s.join("kube-controller-manager"), flags)
}

fn scheduler(state: &StateDir, record: &Record) -> Vec<String> {
    let mut flags = controller_flags(&text(state.join("pki")), "scheduler");
    flags.push(format!("--cert-dir={}", text(state.join("scheduler"))));
    command(record.programs.k8s.join("kube-scheduler"), flags)
}
