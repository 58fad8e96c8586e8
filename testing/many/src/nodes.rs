//! The kubelets of all simulated nodes: every pod that is bound to a node runs at once, at an address of its own.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, Result};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::limits::AT_A_TIME;
use crate::members::{Identity, Members};

/// Runs pods until the watch ends, which it does not.
pub(crate) async fn run(client: Client, members: Arc<Members>) -> Result<()> {
    let bound = watcher::Config::default().fields("spec.nodeName!=");
    watcher(Api::<Pod>::all(client.clone()), bound)
        .default_backoff()
        .applied_objects()
        .map_err(anyhow::Error::from)
        .try_for_each_concurrent(AT_A_TIME, |pod| {
            let (client, members) = (client.clone(), Arc::clone(&members));
            async move {
                if pod
                    .status
                    .as_ref()
                    .and_then(|status| status.pod_ip.as_ref())
                    .is_some()
                {
                    return Ok(());
                }
                start(&client, &members, &pod).await
            }
        })
        .await
}

async fn start(client: &Client, members: &Members, pod: &Pod) -> Result<()> {
    let identity = identity(pod).context("a pod that is no member's")?;
    let address = members.admit(identity);
    let api = Api::<Pod>::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let status = Patch::Strategic(status(address));
    let written = api
        .patch_status(&pod.name_any(), &PatchParams::default(), &status)
        .await;
    match written {
        // It went while it came.
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
        other => other.map(|_| ()).map_err(anyhow::Error::from),
    }
}

/// What a member's command line says of it.
fn identity(pod: &Pod) -> Option<Identity> {
    let container = pod.spec.as_ref()?.containers.first()?;
    let value = |flag: &str| {
        let mut arguments = container.args.iter().flatten();
        arguments.find_map(|argument| argument.strip_prefix(flag))
    };
    Some(Identity {
        cluster: u64::from_str_radix(value("--cluster-id=")?, 16).ok()?,
        member: value("--member-id=")?.parse().ok()?,
    })
}

fn status(address: Ipv4Addr) -> Value {
    let now = "2026-01-01T00:00:00Z";
    let conditions = ["Initialized", "ContainersReady", "Ready"]
        .map(|type_| json!({ "type": type_, "status": "True", "lastTransitionTime": now }));
    json!({ "status": {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{ "ip": address }],
        "startTime": now,
        "conditions": conditions,
        "containerStatuses": [{
            "name": "kvorum", "image": "simulated", "imageID": "simulated",
            "ready": true, "started": true, "restartCount": 0,
            "state": { "running": { "startedAt": now } },
        }],
    } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_known_by_its_command_line() {
        let pod = |arguments: &[&str]| -> Pod {
            let containers = json!([{ "name": "kvorum", "args": arguments }]);
            serde_json::from_value(json!({ "spec": { "containers": containers } })).unwrap()
        };
        let known = identity(&pod(&[
            "--join",
            "--cluster-id=00000000000000ab",
            "--member-id=2",
        ]));
        let known = known.unwrap();
        assert_eq!((known.cluster, known.member), (0xab, 2));
        assert!(identity(&pod(&["--join"])).is_none());
    }
}
