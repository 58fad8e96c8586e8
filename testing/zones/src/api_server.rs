//! A kube-apiserver of its own, whose etcd is a cluster of our members: a drop-in has to carry it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use kube::config::AuthInfo;
use kube::{Client, Config};
use kvorum_testbed::write_account_keys;

use crate::limits::{API_READY, POLL};
use crate::process::Process;

/// Who may do everything, by this word alone.
const TOKEN: &str = "of-a-test";

/// A running API server; it ends with this.
pub struct ApiServer {
    /// A client that may do everything.
    pub client: Client,
    process: Process,
    // What it writes lies here.
    _directory: tempfile::TempDir,
}

impl ApiServer {
    /// The program, if there is one; says so if not, as on a foreign Kubernetes.
    #[must_use]
    pub fn program() -> Option<PathBuf> {
        let program = std::env::var_os("KVORUM_APISERVER_BIN").map(PathBuf::from);
        if program.is_none() {
            eprintln!(
                "SKIPPED: KVORUM_APISERVER_BIN is not set; run `cargo xtask test --layer api`"
            );
        }
        program
    }

    /// Starts one on a loopback address with these etcd endpoints, and waits until it is ready.
    ///
    /// # Errors
    /// When it cannot be started or does not get ready.
    pub async fn start(program: &Path, address: &str, etcd: &[String]) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("kvorum-api-").tempdir()?;
        let log = directory.path().join("kube-apiserver.log");
        write_account_keys(directory.path())?;
        let tokens = format!("{TOKEN},tester,tester,system:masters\n");
        std::fs::write(directory.path().join("tokens.csv"), tokens)?;
        let mut command = Command::new(program);
        command.args(flags(address, etcd, directory.path()));
        let process = Process::spawn(&mut command, &log)?;
        let mut server = Self {
            client: client(address)?,
            process,
            _directory: directory,
        };
        server.ready().await?;
        Ok(server)
    }

    async fn ready(&mut self) -> Result<()> {
        let started = Instant::now();
        loop {
            let request = http::Request::get("/readyz").body(Vec::new())?;
            if self.client.request_text(request).await.is_ok() {
                return Ok(());
            }
            if self.process.ended()? || started.elapsed() > API_READY {
                bail!("the API server is not ready: {}", self.process.tail());
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

fn flags(address: &str, etcd: &[String], directory: &Path) -> Vec<String> {
    let file = |name: &str| directory.join(name).display().to_string();
    let etcd: Vec<String> = etcd.iter().map(|e| format!("http://{e}")).collect();
    vec![
        format!("--etcd-servers={}", etcd.join(",")),
        format!("--bind-address={address}"),
        "--secure-port=6443".to_owned(),
        // It serves no cluster network, so nobody is to be told where it is.
        "--advertise-address=192.0.2.1".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        "--service-cluster-ip-range=10.255.0.0/24".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        format!("--token-auth-file={}", file("tokens.csv")),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", file("sa.pub")),
        format!("--service-account-signing-key-file={}", file("sa.key")),
        // Signs a certificate for itself there.
        format!("--cert-dir={}", file("certificates")),
        "--v=1".to_owned(),
    ]
}

fn client(address: &str) -> Result<Client> {
    let mut config = Config::new(format!("https://{address}:6443").parse()?);
    config.accept_invalid_certs = true;
    config.auth_info = AuthInfo {
        token: Some(TOKEN.to_owned().into()),
        ..AuthInfo::default()
    };
    Client::try_from(config).context("no client for the API server")
}
