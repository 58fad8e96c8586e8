//! cert-manager as a process beside the cluster: its controllers, and CAs for tests to sign with.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::cluster::Space;
use crate::limits::CONDITION;
use crate::process::Process;
use crate::world::{World, blocking, until};

/// A running cert-manager; it ends with this.
pub struct CertManager {
    process: Process,
    // What it prints lies here.
    _log: tempfile::NamedTempFile,
}

impl CertManager {
    /// Installs the definitions and starts the controllers; none, and a word about it, where there is no program.
    ///
    /// # Errors
    /// When the definitions are refused, or the program ends.
    pub async fn start(world: &World) -> Result<Option<Self>> {
        let Some(directory) = std::env::var_os("KVORUM_CERT_MANAGER_DIR").map(PathBuf::from) else {
            eprintln!(
                "SKIPPED: KVORUM_CERT_MANAGER_DIR is not set; run `cargo xtask test --layer zones`"
            );
            return Ok(None);
        };
        let testbed = world
            .testbed
            .as_ref()
            .context("cert-manager runs beside a testbed")?;
        let mut apply = testbed.kubectl();
        apply
            .args(["apply", "--server-side", "--force-conflicts", "--filename"])
            .arg(&directory);
        let applied = blocking(move || Ok(apply.output()?)).await?;
        ensure!(
            applied.status.success(),
            "the definitions of cert-manager are refused: {}",
            String::from_utf8_lossy(&applied.stderr)
        );
        let log = tempfile::NamedTempFile::new()?;
        let mut command = Command::new(directory.join("cert-manager"));
        let process = Process::spawn(command.arg(&world.kubeconfig), log.path())?;
        let mut this = Self { process, _log: log };
        this.lives()?;
        Ok(Some(this))
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When it does not, with the end of what it printed.
    pub fn lives(&mut self) -> Result<()> {
        if self.process.ended()? {
            bail!("cert-manager has ended: {}", self.process.tail());
        }
        Ok(())
    }
}

/// An Issuer of this name that signs by a CA of its own, as cert-manager's users make one.
///
/// # Errors
/// When one of its three objects is refused, or it does not get ready.
pub async fn authority(space: &Space, name: &str) -> Result<()> {
    let root = format!("{name}-root");
    apply(space, "Issuer", &root, json!({ "selfSigned": {} })).await?;
    let ca = json!({
        "isCA": true,
        "commonName": name,
        "secretName": root,
        "privateKey": { "algorithm": "ECDSA", "size": 256 },
        "issuerRef": { "name": root, "kind": "Issuer" },
    });
    apply(space, "Certificate", &root, ca).await?;
    apply(
        space,
        "Issuer",
        name,
        json!({ "ca": { "secretName": root } }),
    )
    .await?;
    ready(space, "Issuer", name).await
}

/// A certificate in a Secret of the same name, signed by this Issuer.
///
/// # Errors
/// When it is refused or does not get ready.
pub async fn certificate(
    space: &Space,
    name: &str,
    issuer: &str,
    hosts: &[String],
    usages: &[&str],
) -> Result<()> {
    let spec = json!({
        "secretName": name,
        "commonName": name,
        "dnsNames": hosts,
        "usages": usages,
        "issuerRef": { "name": issuer, "kind": "Issuer" },
    });
    apply(space, "Certificate", name, spec).await?;
    ready(space, "Certificate", name).await
}

fn api(space: &Space, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("cert-manager.io", "v1", kind);
    Api::namespaced_with(
        space.world.client.clone(),
        &space.name,
        &ApiResource::from_gvk(&kind),
    )
}

async fn apply(space: &Space, kind: &str, name: &str, spec: Value) -> Result<()> {
    let object = json!({
        "apiVersion": "cert-manager.io/v1",
        "kind": kind,
        "metadata": { "name": name },
        "spec": spec,
    });
    let parameters = PatchParams::apply("kvorum-tests").force();
    // A definition that was applied a moment ago is served a moment later.
    until(&format!("{kind} {name} is taken"), CONDITION, || async {
        let applied = api(space, kind)
            .patch(name, &parameters, &Patch::Apply(&object))
            .await;
        Ok(applied.map(|_| ()).map_err(|error| error.to_string()))
    })
    .await
}

/// Waits until cert-manager has seen an object as it is now, and says that it is ready.
async fn ready(space: &Space, kind: &str, name: &str) -> Result<()> {
    until(&format!("{kind} {name} is ready"), CONDITION, || async {
        let object = api(space, kind).get(name).await?;
        let conditions = object.data["status"]["conditions"].as_array();
        let is = conditions.into_iter().flatten().any(|is| {
            is["type"] == "Ready"
                && is["status"] == "True"
                && is["observedGeneration"].as_i64() == object.metadata.generation
        });
        let seen = object.data["status"].to_string();
        Ok(if is { Ok(()) } else { Err(seen) })
    })
    .await
}
