//! How members talk: by their templates, and by their own word.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::{Client, ResourceExt};
use kvorum_plan::observed::Member;
use kvorum_plan::transport::{self, Seen};
use kvorum_plan::{MemberId, Transport};
use kvorum_proto::admin::PortSecurity;

use super::member_of;
use crate::caches::Caches;
use crate::certificates::{Found, Keeper, Leaf};
use crate::members::Security;
use crate::names::TRANSPORT;
use crate::validate::{Invalid, ValidCluster};

/// Peer port and client port of a member.
pub(super) type Ports = (PortSecurity, PortSecurity);

/// How the members of a cluster talk.
#[derive(Clone, Debug, Default)]
pub struct TransportSeen {
    /// For [`transport::decide`].
    pub members: Vec<Seen>,
    /// Of every member that has a pod; none where it does not answer.
    pub ports: Vec<Option<Ports>>,
}

impl TransportSeen {
    /// What every template should say now.
    #[must_use]
    pub fn decide(&self, tls: bool) -> Transport {
        transport::decide(tls, &self.members)
    }

    pub(super) fn of(
        templates: &BTreeMap<MemberId, Transport>,
        members: &BTreeMap<MemberId, Member>,
        mut ports: BTreeMap<MemberId, Ports>,
    ) -> Self {
        let mut seen = Self::default();
        for (id, template) in templates {
            let member = members.get(id);
            let running = member
                .and_then(|member| member.set)
                .is_some_and(|set| set.running);
            let runs = running || member.is_some_and(|member| member.pod.is_some());
            let said = ports.remove(id);
            seen.members.push(Seen {
                template: *template,
                process: said.as_ref().map(|(peer, _)| process(peer)),
                runs,
            });
            if runs {
                seen.ports.push(said);
            }
        }
        seen
    }
}

/// One that goes by URLs, or is too old to say, knows TLS only if it has a certificate.
fn process(peer: &PortSecurity) -> Transport {
    Transport::parse(&peer.mode).unwrap_or(Transport::Off)
}

/// What the StatefulSets say.
pub(super) fn templates(caches: &Caches, valid: &ValidCluster) -> BTreeMap<MemberId, Transport> {
    let sets = caches.statefulsets.of(&valid.names);
    let of = |set: &Arc<StatefulSet>| {
        let written = set.annotations().get(TRANSPORT);
        let transport = written.and_then(|text| Transport::parse(text));
        Some((member_of(set.labels())?, transport.unwrap_or_default()))
    };
    sets.iter().filter_map(of).collect()
}

/// The certificates that are kept, where there is TLS or still is.
///
/// # Errors
/// What is to be changed ([`Invalid`]) where Secrets may not be read; otherwise when the API server does not answer.
pub(super) async fn certificates(
    client: &Client,
    valid: &ValidCluster,
    keeper: &Keeper,
    templates: &BTreeMap<MemberId, Transport>,
) -> anyhow::Result<Option<Arc<Found>>> {
    let spoken = templates.values().any(|is| *is != Transport::Off);
    if !spoken && valid.tls.is_none() {
        return Ok(None);
    }
    match keeper.look(client, valid).await {
        Ok(found) => Ok(Some(found)),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            let problem = "needs an operator that may get, create and patch Secrets, and this one may not: install its chart with rbac.secrets=true, or set spec.tls.mode to Disabled";
            let (field, problem) = ("spec.tls.mode", problem.to_owned());
            Err(Invalid { field, problem }.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// How members are asked.
pub(super) fn security(
    valid: &ValidCluster,
    certificates: Option<&Found>,
    templates: &BTreeMap<MemberId, Transport>,
) -> Option<Arc<Security>> {
    let issued = certificates?.kept.leaves.get(&Leaf::Operator)?.clone();
    let strict = templates.values().all(|is| *is == Transport::Required);
    Some(Arc::new(Security {
        issued,
        plain_too: !strict || valid.tls.is_none(),
    }))
}
