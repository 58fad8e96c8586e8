//! etcd and the programs of Kubernetes that decide, as processes on the loopback.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use kvorum_testbed::write_account_keys;

use crate::Options;
use crate::limits::API_READY;
use crate::world::until;

const API: &str = "https://127.0.0.1:6443";
const ETCD: &str = "http://127.0.0.1:2379";

/// A process that ends with this.
pub(crate) struct Process {
    child: Child,
    pub(crate) log: PathBuf,
}

impl Process {
    pub(crate) fn start(command: &mut Command, log: PathBuf) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("{} cannot be started", command.get_program().display()))?;
        Ok(Self { child, log })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails, with the end of what it wrote, if it has ended.
    pub(crate) fn alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let text = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().rev().take(10).collect();
            let tail: Vec<&str> = lines.into_iter().rev().collect();
            bail!(
                "{} has ended ({status}): {}",
                self.log.display(),
                tail.join("\n")
            );
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The running programs, in the order in which they must not end.
pub(crate) struct ControlPlane {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) client: Client,
    pub(crate) processes: Vec<Process>,
}

impl ControlPlane {
    /// Starts all of it and waits until the API server answers.
    pub(crate) async fn start(options: &Options) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("kvorum-many-").tempdir()?;
        let at = directory.path();
        write_account_keys(at)?;
        let users = ["admin", "operator", "controllers", "scheduler"];
        let tokens: String = users
            .iter()
            .map(|user| format!("token-of-{user},{user},{user},system:masters\n"))
            .collect();
        std::fs::write(at.join("tokens.csv"), tokens)?;
        std::fs::write(at.join("audit.yaml"), AUDIT)?;
        for user in users {
            std::fs::write(kubeconfig(at, user), kubeconfig_text(user))?;
        }
        let mut processes = vec![Process::start(
            Command::new(&options.etcd).args(etcd_flags(at)),
            at.join("etcd.log"),
        )?];
        let program = |name: &str| options.kubernetes.join(name);
        let mut api = Process::start(
            Command::new(program("kube-apiserver")).args(api_flags(at)),
            at.join("kube-apiserver.log"),
        )?;
        let client = client(at, "admin").await?;
        until("the API server answers", API_READY, || {
            let died = api.alive();
            let client = client.clone();
            async move {
                died?;
                let version = client.apiserver_version().await;
                Ok(version.map(|_| ()).map_err(|error| error.to_string()))
            }
        })
        .await?;
        processes.push(api);
        for (name, user, more) in [
            ("kube-controller-manager", "controllers", controllers(at)),
            ("kube-scheduler", "scheduler", Vec::new()),
        ] {
            let mut command = Command::new(program(name));
            command.args(controller_flags(at, user)).args(more);
            processes.push(Process::start(
                &mut command,
                at.join(format!("{name}.log")),
            )?);
        }
        Ok(Self {
            directory,
            client,
            processes,
        })
    }

    pub(crate) fn kubeconfig(&self, user: &str) -> PathBuf {
        kubeconfig(self.directory.path(), user)
    }

    /// Where the operator's requests are written down.
    pub(crate) fn audit_log(&self) -> PathBuf {
        self.directory.path().join("audit.log")
    }
}

/// What the operator writes, and nothing else, one line each.
const AUDIT: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    users: [operator]
    verbs: [create, update, patch, delete, deletecollection]
  - level: None
";

fn kubeconfig(at: &Path, user: &str) -> PathBuf {
    at.join(format!("{user}.kubeconfig"))
}

fn kubeconfig_text(user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: it\n\
         clusters: [{{name: it, cluster: {{server: \"{API}\", insecure-skip-tls-verify: true}}}}]\n\
         users: [{{name: it, user: {{token: token-of-{user}}}}}]\n\
         contexts: [{{name: it, context: {{cluster: it, user: it}}}}]\n"
    )
}

async fn client(at: &Path, user: &str) -> Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig(at, user))?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

fn etcd_flags(at: &Path) -> Vec<String> {
    vec![
        format!("--data-dir={}", at.join("etcd").display()),
        "--unsafe-no-fsync".to_owned(),
        format!("--listen-client-urls={ETCD}"),
        format!("--advertise-client-urls={ETCD}"),
        // Port 2380 of every address is a member's.
        "--listen-peer-urls=http://127.0.0.1:12380".to_owned(),
        "--initial-advertise-peer-urls=http://127.0.0.1:12380".to_owned(),
        "--initial-cluster=default=http://127.0.0.1:12380".to_owned(),
        "--log-level=error".to_owned(),
    ]
}

fn api_flags(at: &Path) -> Vec<String> {
    let file = |name: &str| at.join(name).display().to_string();
    vec![
        format!("--etcd-servers={ETCD}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--secure-port=6443".to_owned(),
        "--advertise-address=192.0.2.1".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        format!("--token-auth-file={}", file("tokens.csv")),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", file("sa.pub")),
        format!("--service-account-signing-key-file={}", file("sa.key")),
        format!("--cert-dir={}", file("certificates")),
        format!("--audit-policy-file={}", file("audit.yaml")),
        format!("--audit-log-path={}", file("audit.log")),
        // Nothing is told later than it happened.
        "--audit-log-mode=blocking".to_owned(),
        "--v=0".to_owned(),
    ]
}

fn controller_flags(at: &Path, user: &str) -> Vec<String> {
    let config = kubeconfig(at, user).display().to_string();
    vec![
        format!("--kubeconfig={config}"),
        format!("--authentication-kubeconfig={config}"),
        format!("--authorization-kubeconfig={config}"),
        "--authentication-tolerate-lookup-failure=true".to_owned(),
        "--leader-elect=false".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--cert-dir={}", at.join(user).display()),
        "--kube-api-qps=1000".to_owned(),
        "--kube-api-burst=2000".to_owned(),
        "--v=0".to_owned(),
    ]
}

/// Those that a cluster's objects need; what watches over nodes would miss the kubelets.
fn controllers(at: &Path) -> Vec<String> {
    vec![
        "--controllers=statefulset-controller,persistentvolume-binder-controller,disruption-controller,serviceaccount-controller,garbage-collector-controller".to_owned(),
        format!(
            "--service-account-private-key-file={}",
            at.join("sa.key").display()
        ),
        "--concurrent-statefulset-syncs=20".to_owned(),
    ]
}
