//! Goal: what the policies protect cannot be deleted or changed by accident, and nothing else is held up.
//! Method: the chart's policies in a real API server, for a class of its own; every rule tried as an ordinary
//! user with all rights, as the operator and as Kubernetes' own controllers, each in a dry run, so that no row
//! of the table depends on another.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fmt::Debug;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    Api, DeleteParams, DynamicObject, EvictParams, ListParams, Patch, PatchParams, PostParams,
};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Resource, ResourceExt};
use kvorum_api::KvCluster;
use kvorum_zones::cluster::Space;
use kvorum_zones::install::{chart, install_definition, run_helm_alone};
use kvorum_zones::limits::CONDITION;
use kvorum_zones::world::{World, until};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const NAMESPACE_CONTROLLER: &str = "system:serviceaccount:kube-system:namespace-controller";
const GARBAGE_COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";
const SCHEDULER: &str = "system:kube-scheduler";
const ALICE: &str = "alice";
const BACKUP: &str = "system:serviceaccount:velero:velero";
/// As the chart below names it.
const OPERATOR: &str = "system:serviceaccount:home:kv-kvorum-operator";

/// The rendered policies, for one class.
fn policies(class: &str) -> Vec<Value> {
    let chart = chart();
    let class = format!("class={class}");
    let exempt = format!("protection.exemptUsers={{{BACKUP}}}");
    let rendered = run_helm_alone(&[
        "template",
        "kv",
        &chart.to_string_lossy(),
        "--namespace=home",
        "--kube-version=1.36.0",
        "--show-only=templates/protection.yaml",
        "--set",
        &class,
        "--set",
        &exempt,
    ])
    .unwrap();
    let documents = rendered.split("\n---\n");
    documents
        .map(|text| serde_saphyr::from_str(text.trim_start_matches("---\n")).unwrap())
        .collect()
}

/// A policy or a binding, and where it goes.
fn place(world: &World, policy: &Value) -> (Api<DynamicObject>, String) {
    let kind = policy["kind"].as_str().unwrap();
    let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
    let plural = match kind.kind.as_str() {
        "ValidatingAdmissionPolicy" => "validatingadmissionpolicies",
        _ => "validatingadmissionpolicybindings",
    };
    let resource = ApiResource::from_gvk_with_plural(&kind, plural);
    let name = policy["metadata"]["name"].as_str().unwrap().to_owned();
    (Api::all_with(world.client.clone(), &resource), name)
}

async fn apply_policies(world: &World, policies: &[Value]) {
    for policy in policies {
        let (api, name) = place(world, policy);
        let parameters = PatchParams::apply("kvorum-tests").force();
        api.patch(&name, &parameters, &Patch::Apply(policy))
            .await
            .unwrap();
    }
}

async fn remove_policies(world: &World, policies: &[Value]) {
    for policy in policies {
        let (api, name) = place(world, policy);
        api.delete(&name, &DeleteParams::default()).await.unwrap();
    }
}

fn labels(class: &str) -> Value {
    json!({
        "app.kubernetes.io/managed-by": "kvorum-operator",
        "kvorum.dev/cluster": "orders",
        "kvorum.dev/member": "1",
        "kvorum.dev/class": class,
    })
}

async fn create<K>(space: &Space, object: Value) -> K
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + Debug
        + serde::Serialize
        + DeserializeOwned,
{
    let object: K = serde_json::from_value(object).unwrap();
    space
        .api::<K>()
        .create(&PostParams::default(), &object)
        .await
        .unwrap()
}

async fn cluster(space: &Space, name: &str, class: &str, protected: bool) -> KvCluster {
    create(
        space,
        json!({
            "apiVersion": "kvorum.dev/v1alpha1",
            "kind": "KvCluster",
            "metadata": { "name": name, "labels": { "kvorum.dev/class": class } },
            "spec": if protected { json!({}) } else { json!({ "deletionProtection": false }) },
        }),
    )
    .await
}

async fn statefulset(space: &Space, name: &str, class: &str, owner: &KvCluster) {
    let pod_labels = json!({ "kvorum.dev/cluster": "orders", "kvorum.dev/member": "1" });
    let _: StatefulSet = create(
        space,
        json!({
            "metadata": {
                "name": name,
                "labels": labels(class),
                "ownerReferences": [{
                    "apiVersion": "kvorum.dev/v1alpha1", "kind": "KvCluster",
                    "name": owner.name_any(), "uid": owner.uid(), "controller": true,
                }],
            },
            "spec": {
                // No pod of it is needed.
                "replicas": 0,
                "serviceName": "orders-peers",
                "updateStrategy": { "type": "OnDelete" },
                "selector": { "matchLabels": pod_labels },
                "template": {
                    "metadata": { "labels": pod_labels },
                    "spec": { "containers": [{ "name": "kvorum", "image": "one" }] },
                },
            },
        }),
    )
    .await;
}

async fn claim(space: &Space, name: &str, class: &str, protection: Option<&str>) {
    let mut annotations = json!({ "kvorum.dev/cluster-id": "00000000000000ab" });
    if let Some(protection) = protection {
        annotations["kvorum.dev/protection"] = protection.into();
    }
    let _: PersistentVolumeClaim = create(
        space,
        json!({
            "metadata": {
                "name": name,
                "labels": labels(class),
                "annotations": annotations,
                "finalizers": ["kvorum.dev/in-membership"],
            },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": "1Gi" } },
                // Nobody makes a volume for it.
                "storageClassName": "none-at-all",
            },
        }),
    )
    .await;
}

async fn pod(space: &Space) {
    let _: Pod = create(
        space,
        json!({
            "metadata": {
                "name": "orders-m9-0",
                // Not one that the StatefulSet above would take for its own.
                "labels": { "kvorum.dev/cluster": "orders", "kvorum.dev/member": "9" },
            },
            "spec": {
                "automountServiceAccountToken": false,
                // Nowhere: it only has to be there.
                "nodeSelector": { "nowhere": "true" },
                "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
                "containers": [{
                    "name": "kvorum", "image": "one",
                    "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
                }],
            },
        }),
    )
    .await;
}

/// What somebody tries, in a dry run.
enum Attempt {
    /// Changes an object.
    Patch(Kind, &'static str, Value),
    /// Deletes it.
    Delete(Kind, &'static str),
    /// `kubectl scale` of a StatefulSet.
    Scale(&'static str),
    /// What a drain does to a pod.
    Evict(&'static str),
    /// `kubectl delete kvc --all`, in one request.
    DeleteAllClusters,
    /// With every KvCluster there is.
    DeleteDefinition,
}

#[derive(Clone, Copy)]
enum Kind {
    Cluster,
    Set,
    Claim,
    Pod,
}

/// Somebody at work in a namespace.
struct Hand(Client, String);

impl Hand {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.0.clone(), &self.1)
    }

    async fn patch<K>(&self, name: &str, patch: &Value) -> Result<(), kube::Error>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let api = self.api::<K>();
        let patched = api.patch(name, &dry_patch(), &Patch::Merge(patch)).await;
        patched.map(|_| ())
    }

    async fn delete<K>(&self, name: &str) -> Result<(), kube::Error>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        self.api::<K>().delete(name, &dry()).await.map(|_| ())
    }

    async fn attempt(&self, attempt: &Attempt) -> Result<(), kube::Error> {
        match attempt {
            Attempt::Patch(kind, name, patch) => match kind {
                Kind::Cluster => self.patch::<KvCluster>(name, patch).await,
                Kind::Set => self.patch::<StatefulSet>(name, patch).await,
                Kind::Claim => self.patch::<PersistentVolumeClaim>(name, patch).await,
                Kind::Pod => self.patch::<Pod>(name, patch).await,
            },
            Attempt::Delete(kind, name) => match kind {
                Kind::Cluster => self.delete::<KvCluster>(name).await,
                Kind::Set => self.delete::<StatefulSet>(name).await,
                Kind::Claim => self.delete::<PersistentVolumeClaim>(name).await,
                Kind::Pod => self.delete::<Pod>(name).await,
            },
            Attempt::Scale(name) => {
                let scale = Patch::Merge(json!({ "spec": { "replicas": 2 } }));
                let api = self.api::<StatefulSet>();
                api.patch_scale(name, &dry_patch(), &scale)
                    .await
                    .map(|_| ())
            }
            Attempt::Evict(name) => {
                let parameters = EvictParams {
                    delete_options: Some(dry()),
                    post_options: PostParams {
                        dry_run: true,
                        ..PostParams::default()
                    },
                };
                self.api::<Pod>().evict(name, &parameters).await.map(|_| ())
            }
            Attempt::DeleteAllClusters => {
                let api = self.api::<KvCluster>();
                let all = ListParams::default();
                api.delete_collection(&dry(), &all).await.map(|_| ())
            }
            Attempt::DeleteDefinition => {
                let api = Api::<CustomResourceDefinition>::all(self.0.clone());
                api.delete("kvclusters.kvorum.dev", &dry())
                    .await
                    .map(|_| ())
            }
        }
    }
}

fn dry() -> DeleteParams {
    DeleteParams {
        dry_run: true,
        ..DeleteParams::default()
    }
}

fn dry_patch() -> PatchParams {
    PatchParams {
        dry_run: true,
        ..PatchParams::default()
    }
}

fn message(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => panic!("no answer of the API server: {other}"),
    }
}

/// Who, what in words, what, and the words of the refusal if there must be one.
type Row = (&'static str, &'static str, Attempt, Option<&'static str>);

fn image() -> Value {
    let containers = json!([{ "name": "kvorum", "image": "two" }]);
    json!({ "spec": { "template": { "spec": { "containers": containers } } } })
}

fn annotation(key: &str, value: Value) -> Value {
    json!({ "metadata": { "annotations": { key: value } } })
}

fn label(key: &str, value: Value) -> Value {
    json!({ "metadata": { "labels": { key: value } } })
}

fn template_note(key: &str) -> Value {
    json!({ "spec": { "template": { "metadata": { "annotations": { key: "2026" } } } } })
}

/// The StatefulSet of a member.
fn set(patch: Value) -> Attempt {
    Attempt::Patch(Kind::Set, "orders-m1", patch)
}

/// The volume claim of a member.
fn data(patch: Value) -> Attempt {
    Attempt::Patch(Kind::Claim, "orders-m1-data", patch)
}

const OFF: &str = "kvorum.dev/protection";

fn refused_on_statefulsets() -> Vec<Row> {
    let spec = Some("is written by the operator: change KvCluster orders instead");
    let identity = Some("say which cluster it belongs to and must stay");
    let rolling = json!({ "spec": { "updateStrategy": { "type": "RollingUpdate" } } });
    let alone = json!({ "metadata": { "ownerReferences": null } });
    let hidden = label("app.kubernetes.io/managed-by", Value::Null);
    let elsewhere = label("kvorum.dev/cluster", json!("x"));
    let delete = Attempt::Delete(Kind::Set, "orders-m1");
    let scale = Attempt::Scale("orders-m1");
    let two = json!({ "spec": { "replicas": 2 } });
    vec![
        (ALICE, "changes the image", set(image()), spec),
        (ALICE, "changes replicas", set(two), spec),
        (ALICE, "lets pods roll", set(rolling), spec),
        (
            ALICE,
            "notes on the template",
            set(template_note("x")),
            spec,
        ),
        (ALICE, "gives it away", set(elsewhere), identity),
        (ALICE, "hides it", set(hidden), identity),
        (ALICE, "takes its owner", set(alone), identity),
        (ALICE, "scales", scale, Some("scale the KvCluster instead")),
        (ALICE, "deletes", delete, Some("must not be deleted")),
    ]
}

fn allowed_on_statefulsets() -> Vec<Row> {
    let delete = || Attempt::Delete(Kind::Set, "orders-m1");
    let restart = template_note("kubectl.kubernetes.io/restartedAt");
    let off = annotation(OFF, json!("off"));
    let handed_over = label("kvorum.dev/class", json!("x"));
    let others = Attempt::Patch(Kind::Set, "others-m1", image());
    let plain = Attempt::Patch(Kind::Set, "plain", image());
    let pod = Attempt::Delete(Kind::Pod, "orders-m9-0");
    let evict = Attempt::Evict("orders-m9-0");
    let note = label("team", json!("shop"));
    let pod_note = Attempt::Patch(Kind::Pod, "orders-m9-0", note.clone());
    vec![
        (ALICE, "restarts", set(restart), None),
        (ALICE, "labels it", set(note), None),
        (ALICE, "switches protection off", set(off), None),
        (ALICE, "hands it over", set(handed_over), None),
        (ALICE, "changes another operator's", others, None),
        (ALICE, "changes nobody's", plain, None),
        (ALICE, "scales nobody's", Attempt::Scale("plain"), None),
        (ALICE, "deletes a pod", pod, None),
        (ALICE, "evicts a pod", evict, None),
        (ALICE, "labels a pod", pod_note, None),
        (OPERATOR, "changes the image", set(image()), None),
        (OPERATOR, "deletes", delete(), None),
        (GARBAGE_COLLECTOR, "deletes", delete(), None),
        (NAMESPACE_CONTROLLER, "deletes", delete(), None),
        (BACKUP, "deletes", delete(), None),
    ]
}

fn on_claims() -> Vec<Row> {
    let says = Some("says about its cluster");
    let holds = Some("holds data of KvCluster orders and must not be deleted");
    let delete = || Attempt::Delete(Kind::Claim, "orders-m1-data");
    let let_go = Attempt::Delete(Kind::Claim, "orders-m2-data");
    let id = |value| data(annotation("kvorum.dev/cluster-id", value));
    let free = || data(json!({ "metadata": { "finalizers": null } }));
    let relabel = data(label("kvorum.dev/member", json!("2")));
    let node = data(annotation("volume.kubernetes.io/selected-node", json!("n")));
    let off = data(annotation(OFF, json!("off")));
    let note = data(annotation("note", json!("x")));
    vec![
        (ALICE, "deletes", delete(), holds),
        (ALICE, "changes the identity", id(json!("cd")), says),
        (ALICE, "drops the identity", id(Value::Null), says),
        (ALICE, "drops the finalizer", free(), says),
        (ALICE, "relabels", relabel, says),
        (ALICE, "notes something", note, None),
        (ALICE, "switches protection off", off, None),
        (ALICE, "deletes one that is let go", let_go, None),
        (SCHEDULER, "chooses a node", node, None),
        (OPERATOR, "drops the finalizer", free(), None),
        (NAMESPACE_CONTROLLER, "deletes", delete(), None),
    ]
}

fn on_clusters() -> Vec<Row> {
    let protected = Some("KvCluster orders is protected: set spec.deletionProtection to false");
    let definition = Some("every KvCluster would be deleted");
    let delete = |name| Attempt::Delete(Kind::Cluster, name);
    let off = json!({ "spec": { "deletionProtection": false } });
    let off = Attempt::Patch(Kind::Cluster, "orders", off);
    let all = || Attempt::DeleteAllClusters;
    vec![
        (ALICE, "deletes", delete("orders"), protected),
        (ALICE, "deletes all", all(), protected),
        (OPERATOR, "deletes", delete("orders"), protected),
        (GARBAGE_COLLECTOR, "deletes", delete("orders"), protected),
        (NAMESPACE_CONTROLLER, "deletes", delete("orders"), None),
        (NAMESPACE_CONTROLLER, "deletes all", all(), None),
        (ALICE, "switches protection off", off, None),
        (ALICE, "deletes a loose one", delete("loose"), None),
        (ALICE, "deletes another operator's", delete("others"), None),
        (
            ALICE,
            "deletes the definition",
            Attempt::DeleteDefinition,
            definition,
        ),
    ]
}

/// Waits until every policy refuses something.
async fn in_force(alice: &Hand) {
    let refused = [
        Attempt::Delete(Kind::Cluster, "orders"),
        Attempt::Delete(Kind::Set, "orders-m1"),
        Attempt::Delete(Kind::Claim, "orders-m1-data"),
        Attempt::Scale("orders-m1"),
        Attempt::DeleteDefinition,
    ];
    until("the policies are in force", CONDITION, || async {
        let mut let_through = 0;
        for attempt in &refused {
            let_through += usize::from(alice.attempt(attempt).await.is_ok());
        }
        Ok(if let_through == 0 {
            Ok(())
        } else {
            Err(format!("{let_through} of {} are not", refused.len()))
        })
    })
    .await
    .unwrap();
}

/// What the table is about.
async fn objects(space: &Space, class: &str) {
    let orders = cluster(space, "orders", class, true).await;
    cluster(space, "loose", class, false).await;
    let others = cluster(space, "others", "somebody-else", true).await;
    statefulset(space, "orders-m1", class, &orders).await;
    statefulset(space, "others-m1", "somebody-else", &others).await;
    let plain = json!({
        "metadata": { "name": "plain" },
        "spec": {
            "replicas": 0,
            "selector": { "matchLabels": { "app": "plain" } },
            "template": {
                "metadata": { "labels": { "app": "plain" } },
                "spec": { "containers": [{ "name": "kvorum", "image": "one" }] },
            },
        },
    });
    let _: StatefulSet = create(space, plain).await;
    claim(space, "orders-m1-data", class, None).await;
    claim(space, "orders-m2-data", class, Some("off")).await;
    pod(space).await;
}

#[tokio::test]
async fn who_may_change_and_delete_what() {
    let Some(world) = World::attach().await else {
        return;
    };
    install_definition(&world).await.unwrap();
    let space = Space::new(&world, "protection").await.unwrap();
    let class = space.name.clone();
    objects(&space, &class).await;
    let policies = policies(&class);
    apply_policies(&world, &policies).await;
    in_force(&Hand(
        world.client_as(ALICE).await.unwrap(),
        space.name.clone(),
    ))
    .await;

    let mut wrong = Vec::new();
    let mut rows = refused_on_statefulsets();
    rows.extend(allowed_on_statefulsets());
    rows.extend(on_claims());
    rows.extend(on_clusters());
    for (who, what, attempt, refusal) in &rows {
        let hand = Hand(world.client_as(who).await.unwrap(), space.name.clone());
        let answer = hand.attempt(attempt).await.map_err(message);
        let as_meant = match (&answer, refusal) {
            (Ok(()), None) => true,
            (Err(said), Some(words)) => said.contains(words),
            _ => false,
        };
        if !as_meant {
            wrong.push(format!("{who} {what}: {answer:?} instead of {refusal:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    println!("{} attempts were answered as meant", rows.len());
    release(&space).await;
    remove_policies(&world, &policies).await;
    space.finish().await.unwrap();
}

/// Lets the namespace go: nobody here takes finalizers off claims.
async fn release(space: &Space) {
    let claims = space.api::<PersistentVolumeClaim>();
    for claim in claims.list(&ListParams::default()).await.unwrap() {
        let loose = json!({ "metadata": {
            "annotations": { "kvorum.dev/protection": "off" },
        } });
        let name = claim.name_any();
        let parameters = PatchParams::default();
        claims
            .patch(&name, &parameters, &Patch::Merge(loose))
            .await
            .unwrap();
        let free = json!({ "metadata": { "finalizers": null } });
        claims
            .patch(&name, &parameters, &Patch::Merge(free))
            .await
            .unwrap();
    }
}
