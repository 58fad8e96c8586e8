//! One key written and read by real etcdctl through the client Service.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use kvorum_testbed::tools::{self, ToolSet};
use serde_json::Value;

use crate::certificates::{self, Variables};
use crate::kubernetes::Kubernetes;

/// Puts and gets a key of a KvCluster; gives a line that says so, with the time it took.
pub(crate) fn put_and_get(kubernetes: &Kubernetes, cluster: &Value) -> Result<String> {
    let word = |key: &str| cluster["metadata"][key].as_str().unwrap_or_default();
    let (service, namespace) = (word("name"), word("namespace"));
    let (address, _forward) = match kubernetes {
        Kubernetes::Testbed(_) => (
            format!("{service}.{namespace}.svc.cluster.local:2379"),
            None,
        ),
        Kubernetes::Foreign(_) => {
            let forward = Forward::start(kubernetes, namespace, service)?;
            (forward.address.clone(), Some(forward))
        }
    };
    let directory = kubernetes.client_directory()?;
    let shown = certificates::write(|| kubernetes.kubectl(), cluster, &directory)?;
    let secure = shown.iter().any(|(_, file)| file.is_some());
    let endpoint = format!("http{}://{address}", if secure { "s" } else { "" });
    let etcdctl = |arguments: &[&str]| etcdctl(kubernetes, &endpoint, &shown, arguments);
    let start = Instant::now();
    etcdctl(&["put", "hello", "from three zones"])?;
    let value = etcdctl(&["get", "hello", "--print-value-only"])?;
    ensure!(
        value.trim() == "from three zones",
        "etcdctl read {value:?} back, which is not what it wrote"
    );
    Ok(format!(
        "etcdctl wrote and read a key through {endpoint} in {:.1} s",
        start.elapsed().as_secs_f64()
    ))
}

fn etcdctl(
    kubernetes: &Kubernetes,
    endpoint: &str,
    shown: &Variables,
    arguments: &[&str],
) -> Result<String> {
    let mut command = match kubernetes {
        Kubernetes::Testbed(testbed) => Command::new(testbed.bin_directory().join("etcdctl")),
        Kubernetes::Foreign(_) => Command::new(tools::ensure(ToolSet::Etcd37)?.join("etcdctl")),
    };
    certificates::tell(&mut command, shown);
    let output = command
        .args(["--endpoints", endpoint, "--command-timeout", "10s"])
        .args(arguments)
        .env_remove("ETCDCTL_ENDPOINTS")
        .output()
        .context("cannot run etcdctl")?;
    if !output.status.success() {
        bail!(
            "etcdctl {} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `kubectl port-forward`, ended when dropped.
struct Forward {
    child: Child,
    // Kept open: kubectl ends when it cannot write to it.
    _said: BufReader<ChildStdout>,
    address: String,
}

impl Forward {
    fn start(kubernetes: &Kubernetes, namespace: &str, service: &str) -> Result<Self> {
        let mut child = kubernetes
            .kubectl()?
            .args([
                "port-forward",
                "-n",
                namespace,
                &format!("service/{service}"),
                ":2379",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run kubectl port-forward")?;
        let stdout = child
            .stdout
            .take()
            .context("kubectl has no standard output")?;
        let mut line = String::new();
        let mut said = BufReader::new(stdout);
        said.read_line(&mut line)
            .context("cannot read from kubectl port-forward")?;
        // "Forwarding from 127.0.0.1:40123 -> 2379"
        let address = line
            .split_whitespace()
            .nth(2)
            .unwrap_or_default()
            .to_owned();
        let forward = Self {
            child,
            _said: said,
            address,
        };
        ensure!(
            forward.address.contains(':'),
            "kubectl port-forward said {line:?}"
        );
        Ok(forward)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}
