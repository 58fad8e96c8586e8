//! Local volumes on demand: a claim that was given a node gets a directory there and a PersistentVolume bound to it.
//!
//! Level-triggered: any change of a claim or a volume leads to one look at all of them. A testbed has few.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use futures::stream::select;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use kvorum_testbed::internal::PROVISIONER;
use serde_json::json;

const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const HOSTNAME: &str = "kubernetes.io/hostname";
/// Changes come in bursts; one look serves a burst.
const SETTLE: Duration = Duration::from_millis(20);
/// How long to wait before another look after one that failed.
const RETRY: Duration = Duration::from_secs(1);

/// Serves claims until the process ends.
pub(crate) async fn run(client: Client, root: &Path) -> Result<()> {
    let claims = watcher(
        Api::<PersistentVolumeClaim>::all(client.clone()),
        watcher::Config::default(),
    )
    .default_backoff()
    .map(|event| event.is_ok());
    let volumes = watcher(
        Api::<PersistentVolume>::all(client.clone()),
        watcher::Config::default(),
    )
    .default_backoff()
    .map(|event| event.is_ok());
    let mut changes = pin!(select(claims, volumes).ready_chunks(64));
    while changes.next().await.is_some() {
        tokio::time::sleep(SETTLE).await;
        while let Err(error) = look(&client, root).await {
            eprintln!("volumes: {error:#}");
            tokio::time::sleep(RETRY).await;
        }
    }
    Ok(())
}

async fn look(client: &Client, root: &Path) -> Result<()> {
    let everything = ListParams::default();
    let claims = Api::<PersistentVolumeClaim>::all(client.clone())
        .list(&everything)
        .await?
        .items;
    let volumes = Api::<PersistentVolume>::all(client.clone())
        .list(&everything)
        .await?
        .items;
    let classes = our_classes(client).await?;
    for claim in &claims {
        let volume = volumes
            .iter()
            .find(|volume| volume.name_any() == volume_name(claim));
        match (reclaim_policy(claim, &classes), volume) {
            (Some(policy), None) if unbound(claim) => {
                provision(client, root, claim, policy).await?;
            }
            (Some(_), Some(volume)) => grow(client, claim, volume).await?,
            _ => {}
        }
    }
    for volume in volumes.iter().filter(|volume| is_to_be_deleted(volume)) {
        delete(client, root, volume).await?;
    }
    Ok(())
}

/// Reclaim policy by name of class, for the classes that name this provisioner.
async fn our_classes(client: &Client) -> Result<BTreeMap<String, String>> {
    let classes = Api::<StorageClass>::all(client.clone())
        .list(&ListParams::default())
        .await?
        .items;
    Ok(classes
        .into_iter()
        .filter(|class| class.provisioner == PROVISIONER)
        .map(|class| {
            (
                class.name_any(),
                class.reclaim_policy.unwrap_or_else(|| "Delete".to_owned()),
            )
        })
        .collect())
}

fn reclaim_policy<'a>(
    claim: &PersistentVolumeClaim,
    classes: &'a BTreeMap<String, String>,
) -> Option<&'a str> {
    classes
        .get(claim.spec.as_ref()?.storage_class_name.as_ref()?)
        .map(String::as_str)
}

fn unbound(claim: &PersistentVolumeClaim) -> bool {
    let volume = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.volume_name.as_ref());
    volume.is_none_or(String::is_empty) && claim.metadata.deletion_timestamp.is_none()
}

fn volume_name(claim: &PersistentVolumeClaim) -> String {
    format!("pvc-{}", claim.uid().unwrap_or_default())
}

fn requested(claim: &PersistentVolumeClaim) -> Option<String> {
    Some(
        claim
            .spec
            .as_ref()?
            .resources
            .as_ref()?
            .requests
            .as_ref()?
            .get("storage")?
            .0
            .clone(),
    )
}

fn directory(root: &Path, node: &str, volume: &str) -> Result<std::path::PathBuf> {
    let plain = |text: &str| !text.is_empty() && !text.contains('/') && !text.starts_with('.');
    ensure!(
        plain(node) && plain(volume),
        "{node:?} or {volume:?} is no name of a directory"
    );
    Ok(root.join(node).join(volume))
}

async fn provision(
    client: &Client,
    root: &Path,
    claim: &PersistentVolumeClaim,
    policy: &str,
) -> Result<()> {
    let Some(node) = claim.annotations().get(SELECTED_NODE) else {
        return Ok(());
    };
    let name = volume_name(claim);
    let path = directory(root, node, &name)?;
    fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
    // Pods of any user write here; those with an fsGroup get it narrowed by kubelet.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777))?;
    let spec = claim.spec.as_ref().context("a claim without a spec")?;
    let volume: PersistentVolume = serde_json::from_value(json!({
        "metadata": {"name": name, "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": requested(claim)},
            "accessModes": spec.access_modes,
            "storageClassName": spec.storage_class_name,
            "persistentVolumeReclaimPolicy": policy,
            "local": {"path": path},
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.namespace(),
                         "name": claim.name_any(), "uid": claim.uid()},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": [node]}]}]}},
        },
    }))?;
    match Api::<PersistentVolume>::all(client.clone())
        .create(&PostParams::default(), &volume)
        .await
    {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => {
            return Err(error).with_context(|| format!("cannot create the volume {name}"));
        }
    }
    eprintln!(
        "volumes: {}/{} is {}",
        claim.namespace().unwrap_or_default(),
        claim.name_any(),
        path.display()
    );
    Ok(())
}

/// A directory grows by saying so.
async fn grow(
    client: &Client,
    claim: &PersistentVolumeClaim,
    volume: &PersistentVolume,
) -> Result<()> {
    let Some(wanted) = requested(claim) else {
        return Ok(());
    };
    let bound = claim
        .status
        .as_ref()
        .is_some_and(|status| status.phase.as_deref() == Some("Bound"));
    let has = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.capacity.as_ref()?.get("storage"));
    let said = claim
        .status
        .as_ref()
        .and_then(|status| status.capacity.as_ref()?.get("storage"));
    let patch = PatchParams::default();
    if has.is_some_and(|has| has.0 != wanted) {
        let change = json!({"spec": {"capacity": {"storage": wanted}}});
        Api::<PersistentVolume>::all(client.clone())
            .patch(&volume.name_any(), &patch, &Patch::Merge(change))
            .await?;
    }
    if bound && said.is_some_and(|said| said.0 != wanted) {
        let change = json!({"status": {"capacity": {"storage": wanted}}});
        let claims: Api<PersistentVolumeClaim> =
            Api::namespaced(client.clone(), &claim.namespace().unwrap_or_default());
        claims
            .patch_status(&claim.name_any(), &patch, &Patch::Merge(change))
            .await?;
    }
    Ok(())
}

fn is_to_be_deleted(volume: &PersistentVolume) -> bool {
    let ours = volume
        .annotations()
        .get(PROVISIONED_BY)
        .is_some_and(|by| by == PROVISIONER);
    let policy = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    let phase = volume
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    ours && policy == Some("Delete")
        && phase == Some("Released")
        && volume.metadata.deletion_timestamp.is_none()
}

async fn delete(client: &Client, root: &Path, volume: &PersistentVolume) -> Result<()> {
    let name = volume.name_any();
    for node in fs::read_dir(root)?.flatten() {
        let path = node.path().join(&name);
        if path.is_dir() {
            fs::remove_dir_all(&path)
                .with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    match Api::<PersistentVolume>::all(client.clone())
        .delete(&name, &DeleteParams::default())
        .await
    {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => {
            return Err(error).with_context(|| format!("cannot delete the volume {name}"));
        }
    }
    eprintln!("volumes: {name} deleted");
    Ok(())
}
