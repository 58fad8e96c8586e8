//! KvClusters under test, each in a namespace of its own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use kvorum_api::{KvCluster, KvClusterStatus, MemberRole, MemberStatus};
use serde_json::{Value, json};

use crate::served::Served;
use crate::world::{World, until};

/// A namespace of one test, under the strictest pod security there is.
pub struct Space {
    /// Where.
    pub world: World,
    /// Its name.
    pub name: String,
}

impl Space {
    /// A fresh one.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn new(world: &World, purpose: &str) -> Result<Self> {
        let name = format!("{purpose}-{:06x}", rand::random::<u32>() & 0x00ff_ffff);
        let label = "pod-security.kubernetes.io/enforce".to_owned();
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some([(label, "restricted".to_owned())].into()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        Api::<Namespace>::all(world.client.clone())
            .create(&PostParams::default(), &namespace)
            .await?;
        Ok(Self {
            world: world.clone(),
            name,
        })
    }

    /// Objects in it.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.world.client.clone(), &self.name)
    }

    /// Creates a KvCluster, with small volumes and without TLS unless the spec says otherwise: what most tests do to
    /// a cluster needs clients of every kind, from outside as well.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn create(&self, name: &str, spec: Value) -> Result<Cluster<'_>> {
        self.create_labelled(name, spec, &[]).await
    }

    /// The same, with labels.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn create_labelled(
        &self,
        name: &str,
        mut spec: Value,
        labels: &[(&str, &str)],
    ) -> Result<Cluster<'_>> {
        if spec["storage"]["size"].is_null() {
            spec["storage"]["size"] = json!("1Gi");
        }
        if spec["tls"].is_null() {
            spec["tls"]["mode"] = json!("Disabled");
        }
        let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
        let object = json!({
            "apiVersion": "kvorum.dev/v1alpha1",
            "kind": "KvCluster",
            "metadata": { "name": name, "labels": labels },
            "spec": spec,
        });
        let object = serde_json::from_value(object).context("the test's own spec is wrong")?;
        let created = Instant::now();
        self.api::<KvCluster>()
            .create(&PostParams::default(), &object)
            .await?;
        let selector = format!("kvorum.dev/cluster={name}");
        Ok(Cluster {
            space: self,
            name: name.to_owned(),
            created,
            served: Served::new(&self.world, &self.name, selector),
        })
    }

    /// Removes it with all it holds; a test that failed before leaves it for a look.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn finish(self) -> Result<()> {
        let namespaces = Api::<Namespace>::all(self.world.client.clone());
        namespaces
            .delete(&self.name, &DeleteParams::default())
            .await?;
        Ok(())
    }
}

/// One KvCluster.
pub struct Cluster<'a> {
    /// Where it lives.
    pub space: &'a Space,
    /// Its name.
    pub name: String,
    created: Instant,
    pub(crate) served: Served,
}

impl Cluster<'_> {
    /// The object.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn object(&self) -> Result<KvCluster> {
        Ok(self.space.api::<KvCluster>().get(&self.name).await?)
    }

    /// Its status.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn status(&self) -> Result<KvClusterStatus> {
        Ok(self.object().await?.status.unwrap_or_default())
    }

    /// Waits until a condition has this status, and gives its reason and message.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn condition(
        &self,
        type_: &str,
        wanted: &str,
        deadline: Duration,
    ) -> Result<(String, String)> {
        until(
            &format!("{} {type_}={wanted}", self.name),
            deadline,
            || async {
                let status = self.status().await?;
                let found = kvorum_operator::status::get(&status.conditions, type_);
                Ok(match found {
                    Some(found) if found.status == wanted => {
                        Ok((found.reason.clone(), found.message.clone()))
                    }
                    _ => Err(describe(&status)),
                })
            },
        )
        .await
    }

    /// Waits for Ready and says how long it took from its creation.
    ///
    /// # Errors
    /// When it does not become ready in time.
    pub async fn ready(&self, deadline: Duration) -> Result<Duration> {
        self.condition("Ready", "True", deadline).await?;
        Ok(self.created.elapsed())
    }

    /// Members per zone as the nodes' labels say, not as the operator does.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn layout(&self) -> Result<BTreeMap<String, usize>> {
        let nodes = Api::<Node>::all(self.space.world.client.clone());
        let nodes = nodes.list(&ListParams::default()).await?.items;
        let zone_of: BTreeMap<String, String> = nodes
            .iter()
            .filter_map(|node| {
                let zone = node.labels().get("topology.kubernetes.io/zone")?;
                Some((node.name_any(), zone.clone()))
            })
            .collect();
        let mut layout = BTreeMap::new();
        for pod in self.pods().await? {
            let node = pod.spec.and_then(|spec| spec.node_name).unwrap_or_default();
            let zone = zone_of.get(&node).cloned().unwrap_or_default();
            *layout.entry(zone).or_insert(0) += 1;
        }
        Ok(layout)
    }

    /// Its pods.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn pods(&self) -> Result<Vec<Pod>> {
        Ok(self.space.api::<Pod>().list(&self.selected()).await?.items)
    }

    /// Its volume claims.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn volumes(&self) -> Result<Vec<PersistentVolumeClaim>> {
        Ok(self
            .space
            .api::<PersistentVolumeClaim>()
            .list(&self.selected())
            .await?
            .items)
    }

    fn selected(&self) -> ListParams {
        ListParams::default().labels(&self.served.selector)
    }

    /// Where its clients look for its members.
    #[must_use]
    pub fn served(&self) -> Served {
        self.served.clone()
    }

    /// Changes the spec.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn change(&self, spec: Value) -> Result<()> {
        let patch = Patch::Merge(json!({ "spec": spec }));
        let api = self.space.api::<KvCluster>();
        api.patch(&self.name, &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    /// Waits until it is Ready by its newest spec and nothing is under way; says how long that took.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn settled(&self, deadline: Duration) -> Result<Duration> {
        let started = Instant::now();
        until(&format!("{} settled", self.name), deadline, || async {
            let object = self.object().await?;
            let status = object.status.unwrap_or_default();
            let newest = Some(status.observed_generation) == object.metadata.generation;
            let ready = kvorum_operator::status::is_true(&status.conditions, "Ready");
            let at_rest = newest && ready && status.operation.is_none();
            Ok(if at_rest {
                Ok(())
            } else {
                Err(describe(&status))
            })
        })
        .await?;
        Ok(started.elapsed())
    }

    /// The member that leads.
    ///
    /// # Errors
    /// When none does.
    pub async fn leader(&self) -> Result<MemberStatus> {
        let members = self.status().await?.members;
        let leader = members.into_iter().find(|member| member.leader);
        leader.context("nobody leads")
    }

    /// The IDs of its voters.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn voters(&self) -> Result<Vec<i64>> {
        let members = self.status().await?.members;
        let voters = members
            .into_iter()
            .filter(|member| member.role == MemberRole::Voter);
        Ok(voters.map(|member| member.id).collect())
    }

    /// Deletes the KvCluster and waits until its pods are gone; its volumes stay.
    ///
    /// # Errors
    /// When they do not go in time.
    pub async fn delete(&self, deadline: Duration) -> Result<()> {
        self.space
            .api::<KvCluster>()
            .delete(&self.name, &DeleteParams::default())
            .await?;
        until(&format!("pods of {} gone", self.name), deadline, || async {
            let pods = self.pods().await?.len();
            Ok(if pods == 0 {
                Ok(())
            } else {
                Err(format!("{pods} pods are left"))
            })
        })
        .await
    }
}

/// A status in one line, for failures.
#[must_use]
pub fn describe(status: &KvClusterStatus) -> String {
    let conditions = status.conditions.iter().map(|condition| {
        format!(
            "{}={} ({}: {})",
            condition.type_, condition.status, condition.reason, condition.message
        )
    });
    conditions.collect::<Vec<_>>().join(", ")
}
