//! Goal: no death of the operator between two writes of a change of CAs, and no Secret that somebody damages or
//! deletes, refuses a client, restarts a pod or loses a write.
//! Method: the real program with `KVORUM_FAILPOINT` at each step of a change in turn, then one without; what is
//! remembered of Secrets dies with each, so the next one sees what was done to them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::Path;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams};
use kvorum_testbed::Testbed;
use kvorum_zones::cluster::{Cluster, Space};
use kvorum_zones::install;
use kvorum_zones::limits::{DEATH, OPERATED, READY};
use kvorum_zones::load::Load;
use kvorum_zones::program::Operator;
use kvorum_zones::world::{World, until};
use serde_json::{Value, json};

/// Between the write of the CAs and those of what they sign.
const STEP: &str = "after:certificates-ca";

struct Stage<'a> {
    testbed: &'a Testbed,
    class: &'a str,
    log: &'a Path,
}

impl Stage<'_> {
    fn operator(&self, failpoint: Option<&str>) -> Operator {
        Operator::start(self.testbed, self.class, failpoint, self.log).unwrap()
    }
}

/// Who reads the Secret now is served, and no pod was made anew.
async fn serves(cluster: &Cluster<'_>, load: &Load, pods: &[String], what: &str) {
    let client = cluster.secure(true).await.unwrap();
    client.put("newcomer", what).await.unwrap();
    load.more(20).await.unwrap();
    let gap = load.gap().as_secs_f64();
    println!("{what}: longest time without an acknowledged write {gap:.2} s");
    assert_eq!(cluster.pod_uids().await.unwrap(), pods, "{what}");
}

async fn text(cluster: &Cluster<'_>, secret: &str, key: &str) -> Option<String> {
    let secret = cluster.space.api::<Secret>().get_opt(secret).await.unwrap();
    let data = secret?.data?;
    String::from_utf8(data.get(key)?.0.clone()).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_killed_and_secrets_lost_while_cas_change_harm_nobody() {
    let Some((world, testbed)) = World::attach_testbed().await else {
        return;
    };
    install::operator(&world).await.unwrap();
    let space = Space::new(&world, "tls-losses").await.unwrap();
    let class = space.name.clone();
    let log = std::env::temp_dir().join(format!("kvorum-{class}.log"));
    let stage = Stage {
        testbed: &testbed,
        class: &class,
        log: &log,
    };
    let labels = [("kvorum.dev/class", class.as_str())];
    let tls = json!({ "tls": { "clients": "Permissive", "caOverlap": "1s" } });
    let doomed = stage.operator(Some(STEP));
    let cluster = space.create_labelled("orders", tls, &labels).await.unwrap();
    doomed.death(DEATH).await.unwrap();
    let next = stage.operator(None);
    cluster.ready(READY).await.unwrap();
    drop(next);
    let load = Load::start(&cluster).await.unwrap();
    let pods = cluster.pod_uids().await.unwrap();
    let _ = load.gap();

    let before = cluster.trusted().await.unwrap();
    let wish = json!({ "tls": { "caGeneration": 1 } });
    cluster.change(wish).await.unwrap();
    for step in ["introducing", "switching", "dropping"] {
        stage.operator(Some(STEP)).death(OPERATED).await.unwrap();
        serves(&cluster, &load, &pods, &format!("killed {step}")).await;
    }
    let next = stage.operator(None);
    cluster.other_authorities(&before).await.unwrap();
    serves(&cluster, &load, &pods, "CAs changed").await;
    drop(next);

    let good = text(&cluster, "orders-peer-tls", "tls.key").await;
    let garbage = json!({ "stringData": { "tls.key": "no key" } });
    damage(&cluster, "orders-peer-tls", garbage).await;
    let next = stage.operator(None);
    until("another certificate of members", OPERATED, || async {
        let key = text(&cluster, "orders-peer-tls", "tls.key").await;
        let mended = key != good && key.as_deref() != Some("no key");
        Ok(if mended {
            Ok(())
        } else {
            Err("none yet".to_owned())
        })
    })
    .await
    .unwrap();
    serves(&cluster, &load, &pods, "a damaged key made anew").await;
    drop(next);

    let before = cluster.trusted().await.unwrap();
    let secrets = space.api::<Secret>();
    let gone = DeleteParams::default();
    secrets.delete("orders-ca", &gone).await.unwrap();
    secrets.delete("orders-client-tls", &gone).await.unwrap();
    let next = stage.operator(None);
    cluster.other_authorities(&before).await.unwrap();
    serves(&cluster, &load, &pods, "lost CAs given up for new ones").await;
    drop(next);
    println!(
        "{} acknowledged writes, none lost",
        load.check().await.unwrap()
    );
    std::fs::remove_file(&log).unwrap();
    space.finish().await.unwrap();
}

async fn damage(cluster: &Cluster<'_>, secret: &str, change: Value) {
    let api = cluster.space.api::<Secret>();
    let patch = Patch::Merge(change);
    api.patch(secret, &PatchParams::default(), &patch)
        .await
        .unwrap();
}
