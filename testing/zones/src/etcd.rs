//! The floor: etcd in a plain StatefulSet, as people run it without an operator.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, Service};
use kube::api::{Patch, PatchParams, PostParams};
use kvorum_processes::Client;
use kvorum_proto::etcdserverpb::MemberListRequest;
use kvorum_testbed::Testbed;
use kvorum_testbed::oci::{Entry, Image, write_archive};
use serde_json::{Value, json};

use crate::cluster::Space;
use crate::limits::{HEALED, READY, REQUEST};
use crate::served::Served;
use crate::world::{blocking, until};

const NAME: &str = "etcd";
const IMAGE: &str = "kvorum.dev/etcd:floor";
const USER: u64 = 65532;
/// Members that it is born with; a plain StatefulSet knows no others.
const MEMBERS: usize = 3;

/// One etcd cluster.
pub struct Etcd<'a> {
    space: &'a Space,
    created: Instant,
}

impl<'a> Etcd<'a> {
    /// Brings etcd's image to the nodes and applies the StatefulSet.
    ///
    /// # Errors
    /// When there is no etcd (`KVORUM_ETCD_BIN`), or the API server refuses.
    pub async fn create(space: &'a Space, testbed: &Testbed) -> Result<Self> {
        load_image(testbed.clone()).await?;
        let created = Instant::now();
        let service = serde_json::from_value(service())?;
        let created_by = PostParams::default();
        space.api::<Service>().create(&created_by, &service).await?;
        let set = serde_json::from_value(stateful_set())?;
        space.api::<StatefulSet>().create(&created_by, &set).await?;
        Ok(Self { space, created })
    }

    /// Where it lives.
    #[must_use]
    pub fn space(&self) -> &Space {
        self.space
    }

    /// Where its clients look for its members.
    #[must_use]
    pub fn served(&self) -> Served {
        Served::new(&self.space.world, &self.space.name, format!("app={NAME}"))
    }

    /// Waits until Kubernetes calls all pods ready; says how long that took from its creation.
    ///
    /// # Errors
    /// When they are not in time.
    pub async fn ready(&self) -> Result<Duration> {
        let sets = self.space.api::<StatefulSet>();
        until("etcd's pods are ready", READY, || async {
            let ready = sets.get(NAME).await?.status;
            let ready = ready.and_then(|status| status.ready_replicas).unwrap_or(0);
            Ok(if usize::try_from(ready) == Ok(MEMBERS) {
                Ok(())
            } else {
                Err(format!("{ready} are"))
            })
        })
        .await?;
        Ok(self.created.elapsed())
    }

    /// Asks for so many pods.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn scale(&self, replicas: usize) -> Result<()> {
        let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        let sets = self.space.api::<StatefulSet>();
        sets.patch(NAME, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Waits until these pods are ready, or have failed and been started again; gives why the first one failed.
    ///
    /// # Errors
    /// When neither comes to be in time.
    pub async fn failure_of(&self, pods: &[String]) -> Result<Option<String>> {
        until("new pods serve or fail", HEALED, || async {
            let mut why = None;
            for name in pods {
                let pod = self.space.api::<Pod>().get(name).await?;
                let status = container(&pod).context("its container has not started")?;
                let failed = status.last_state.and_then(|state| state.terminated);
                match failed {
                    Some(failed) => why = why.or_else(|| failed.message.map(|text| reason(&text))),
                    None if status.ready => {}
                    None => return Ok(Err(format!("{name} is not ready and has not failed"))),
                }
            }
            Ok(Ok(why))
        })
        .await
    }

    /// How many members it counts as its own.
    ///
    /// # Errors
    /// When none answers in time.
    pub async fn members(&self) -> Result<usize> {
        let served = self.served();
        until("a list of members", HEALED, || async {
            let mut seen = "nobody answers".to_owned();
            for endpoint in served.endpoints().await? {
                let mut cluster = Client::new(&endpoint).cluster();
                let list = cluster.member_list(MemberListRequest { linearizable: true });
                match tokio::time::timeout(REQUEST, list).await {
                    Ok(Ok(list)) => return Ok(Ok(list.into_inner().members.len())),
                    other => seen = format!("{other:?}"),
                }
            }
            Ok(Err(seen))
        })
        .await
    }
}

/// The name of the claim of one of its pods.
#[must_use]
pub fn claim_of(pod: &str) -> String {
    format!("data-{pod}")
}

/// The name of one of its pods.
#[must_use]
pub fn pod(ordinal: usize) -> String {
    format!("{NAME}-{ordinal}")
}

fn container(pod: &Pod) -> Option<ContainerStatus> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.first().cloned()
}

/// What etcd's last words say: its log is JSON, the error of the line that ended it is what counts.
fn reason(log: &str) -> String {
    let line = log.trim().lines().last().unwrap_or_default();
    let said: Option<Value> = serde_json::from_str(line).ok();
    let error = said.and_then(|said| said["error"].as_str().map(str::to_owned));
    error.unwrap_or_else(|| line.to_owned())
}

async fn load_image(testbed: Testbed) -> Result<()> {
    let program = std::env::var_os("KVORUM_ETCD_BIN")
        .context("KVORUM_ETCD_BIN names no etcd; run `cargo xtask test --layer zones`")?;
    blocking(move || {
        let program = std::fs::read(&program)
            .with_context(|| format!("cannot read {}", program.display()))?;
        let image = Image {
            name: IMAGE.to_owned(),
            entries: vec![
                Entry::directory("tmp", 0o1777, 0),
                Entry::directory("usr", 0o755, 0),
                Entry::directory("usr/bin", 0o755, 0),
                Entry::file("usr/bin/etcd", 0o755, program),
            ],
            entrypoint: vec!["/usr/bin/etcd".to_owned()],
            user: format!("{USER}:{USER}"),
        };
        let directory = tempfile::tempdir()?;
        let archive = directory.path().join("etcd.tar");
        write_archive(&image, &archive)?;
        testbed.load_images(&[&archive])
    })
    .await
}

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": NAME },
        "spec": {
            "clusterIP": "None", "publishNotReadyAddresses": true, "selector": { "app": NAME },
            "ports": [{ "name": "client", "port": 2379 }, { "name": "peer", "port": 2380 }],
        },
    })
}

fn stateful_set() -> Value {
    let labels = json!({ "app": NAME });
    let volume = json!({
        "metadata": { "name": "data" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    });
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": NAME },
        "spec": {
            "replicas": MEMBERS, "serviceName": NAME, "podManagementPolicy": "Parallel",
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": pod_spec() },
            "volumeClaimTemplates": [volume],
        },
    })
}

fn pod_spec() -> Value {
    let zones = json!({
        "topologyKey": "topology.kubernetes.io/zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": { "matchLabels": { "app": NAME } },
    });
    json!({
        "topologySpreadConstraints": [zones],
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": USER, "fsGroup": USER,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": [{
            "name": NAME, "image": IMAGE, "imagePullPolicy": "Never", "args": flags(),
            "env": [{ "name": "POD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }],
            "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
            },
            // Its last words are where it says why it will not start.
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "readinessProbe": { "httpGet": { "path": "/readyz", "port": 2379 }, "periodSeconds": 1, "timeoutSeconds": 3 },
            "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
        }],
    })
}

fn flags() -> Vec<String> {
    let peers: Vec<String> = (0..MEMBERS)
        .map(|ordinal| format!("{0}=http://{0}.{NAME}:2380", pod(ordinal)))
        .collect();
    vec![
        "--name=$(POD)".to_owned(),
        "--data-dir=/data/etcd".to_owned(),
        "--listen-client-urls=http://0.0.0.0:2379".to_owned(),
        format!("--advertise-client-urls=http://$(POD).{NAME}:2379"),
        "--listen-peer-urls=http://0.0.0.0:2380".to_owned(),
        format!("--initial-advertise-peer-urls=http://$(POD).{NAME}:2380"),
        format!("--initial-cluster={}", peers.join(",")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_error_of_the_last_line() {
        let log = "{\"level\":\"info\",\"msg\":\"x\"}\n{\"level\":\"fatal\",\"msg\":\"y\",\"error\":\"why\"}\n";
        assert_eq!(reason(log), "why");
        assert_eq!(reason("not JSON\n"), "not JSON");
    }
}
