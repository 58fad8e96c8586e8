//! The pods that serve one cluster to its clients, whoever runs them: an operator or a plain StatefulSet.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Resource};
use kvorum_processes::Client;
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::limits::{HEALED, REQUEST};
use crate::world::{World, until};

/// Where clients of one cluster look for its members.
#[derive(Clone)]
pub struct Served {
    /// Where it runs.
    pub world: World,
    /// The namespace of its pods.
    pub namespace: String,
    /// Their labels.
    pub selector: String,
    ways: Ways,
}

/// From this process to addresses within: each is there for as long as the process lives.
type Ways = Arc<Mutex<BTreeMap<SocketAddr, String>>>;

impl Served {
    /// The pods with these labels.
    #[must_use]
    pub fn new(world: &World, namespace: &str, selector: String) -> Self {
        Self {
            world: world.clone(),
            namespace: namespace.to_owned(),
            selector,
            ways: Ways::default(),
        }
    }

    /// Its pods.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn pods(&self) -> Result<Vec<Pod>> {
        let pods = Api::<Pod>::namespaced(self.world.client.clone(), &self.namespace);
        let selected = ListParams::default().labels(&self.selector);
        Ok(timeout(REQUEST, pods.list(&selected)).await??.items)
    }

    /// The pod of the member that leads, as the members themselves say.
    ///
    /// # Errors
    /// When none does in time.
    pub async fn leader(&self) -> Result<Pod> {
        until("a member that leads", HEALED, || async {
            for (pod, member) in self.answers().await? {
                if member.is_some_and(|(own, leader)| own == leader) {
                    return Ok(Ok(pod));
                }
            }
            Ok(Err("none says that it leads".to_owned()))
        })
        .await
    }

    /// Waits until there are exactly so many pods, and in each a member that answers and knows the same leader.
    ///
    /// # Errors
    /// When it does not come to that in time.
    pub async fn whole(&self, members: usize) -> Result<()> {
        until("all members answer and agree", HEALED, || async {
            let leaders = self.answers().await?.into_iter();
            let leaders: Vec<Option<u64>> = leaders
                .map(|(_, member)| member.map(|(_, leader)| leader))
                .collect();
            let agreed = leaders
                .iter()
                .all(|leader| leader.is_some_and(|known| known != 0) && *leader == leaders[0]);
            Ok(if agreed && leaders.len() == members {
                Ok(())
            } else {
                Err(format!("leaders by member: {leaders:?}"))
            })
        })
        .await
    }

    /// Each pod with its member's ID and the leader's ID that it knows, if it answers.
    async fn answers(&self) -> Result<Vec<(Pod, Option<(u64, u64)>)>> {
        let mut answers = Vec::new();
        for pod in self.pods().await? {
            let endpoint = self.way_to(&pod)?;
            let status = match &endpoint {
                Some(endpoint) => timeout(REQUEST, Client::new(endpoint).status()).await,
                None => continue,
            };
            let member = match status {
                Ok(Ok(status)) => status.header.map(|own| (own.member_id, status.leader)),
                _ => None,
            };
            answers.push((pod, member));
        }
        Ok(answers)
    }

    /// Ways to all that have an address and are not on their way out.
    ///
    /// # Errors
    /// When there is none, or no testbed to reach them through.
    pub async fn endpoints(&self) -> Result<Vec<String>> {
        let mut endpoints = Vec::new();
        for pod in self.pods().await? {
            endpoints.extend(self.way_to(&pod)?);
        }
        ensure!(!endpoints.is_empty(), "no pod has an address");
        Ok(endpoints)
    }

    fn way_to(&self, pod: &Pod) -> Result<Option<String>> {
        let testbed = self.world.testbed.as_ref();
        let testbed = testbed.context("members are reached through a testbed")?;
        let going = pod.meta().deletion_timestamp.is_some();
        let address = pod
            .status
            .as_ref()
            .and_then(|status| status.pod_ip.as_ref());
        let Some(address) = address.filter(|_| !going) else {
            return Ok(None);
        };
        let address = SocketAddr::new(address.parse::<IpAddr>()?, 2379);
        Ok(Some(match self.ways.lock().entry(address) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => new.insert(testbed.forward(address)?.to_string()).clone(),
        }))
    }
}
