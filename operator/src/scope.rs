//! Which part of the Kubernetes cluster this operator may see: all of it, or single namespaces.

use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use kvorum_api::KvCluster;
use kvorum_plan::observed::{StorageClass, World};
use kvorum_plan::spec::{Spec, ZoneChoice, ZoneSpread};

use crate::validate::{Invalid, ValidCluster};

/// What may be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All namespaces, Nodes and StorageClasses.
    #[default]
    Everything,
    /// These namespaces, and nothing that is in none.
    Namespaces(Vec<String>),
}

impl Scope {
    /// Of the command line: no names are all of them.
    #[must_use]
    pub fn of(namespaces: &[String]) -> Self {
        if namespaces.is_empty() {
            return Self::Everything;
        }
        let mut names = namespaces.to_vec();
        names.sort();
        names.dedup();
        Self::Namespaces(names)
    }

    /// Whether Nodes and StorageClasses can be seen.
    #[must_use]
    pub fn sees_nodes(&self) -> bool {
        *self == Self::Everything
    }

    /// The namespaces, in the order of [`Self::places`]; None where it is all of them.
    #[must_use]
    pub fn names(&self) -> Vec<Option<String>> {
        match self {
            Self::Everything => vec![None],
            Self::Namespaces(names) => names.iter().cloned().map(Some).collect(),
        }
    }

    /// Every place where objects of a kind are to be watched.
    #[must_use]
    pub fn places<K>(&self, client: &Client) -> Vec<Api<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match self {
            Self::Everything => vec![Api::all(client.clone())],
            Self::Namespaces(names) => names
                .iter()
                .map(|name| Api::namespaced(client.clone(), name))
                .collect(),
        }
    }

    /// Refuses what cannot be decided without a look at the Nodes.
    ///
    /// # Errors
    /// When zones would have to be discovered.
    pub fn check(&self, cluster: &KvCluster, valid: &ValidCluster) -> Result<(), Invalid> {
        let chosen = cluster
            .status
            .as_ref()
            .is_some_and(|status| !status.planned_zones.is_empty());
        let discovers = valid.spec.zones == ZoneChoice::Discover
            && valid.spec.zone_spread != ZoneSpread::Disabled;
        if self.sees_nodes() || chosen || !discovers {
            return Ok(());
        }
        Err(Invalid {
            field: "spec.placement.zones",
            problem: "must list the zones: this operator looks after single namespaces and may not see Nodes; list them, or set spec.placement.zoneSpread to Disabled".to_owned(),
        })
    }
}

/// The world as the spec declares it, where nobody can look: every zone that is named is there, and so is the
/// storage class. If one is not, pods stay Pending and volumes unbound, and that is seen.
#[must_use]
pub fn declared_world(spec: &Spec, planned_zones: &[String]) -> World {
    let members = spec.size.members();
    let listed = match &spec.zones {
        ZoneChoice::Listed(zones) => zones.to_vec(),
        ZoneChoice::Discover => Vec::new(),
    };
    let planned = planned_zones.iter().map(kvorum_plan::Zone::new);
    World {
        zones: listed
            .into_iter()
            .chain(planned)
            .map(|zone| (zone, members))
            .collect(),
        storage_class: StorageClass::Found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::validate;
    use kvorum_api::{KvClusterSpec, KvClusterStatus};
    use serde_json::json;

    fn checked(scope: &Scope, placement: serde_json::Value, planned: &[&str]) -> Option<String> {
        let spec: KvClusterSpec =
            serde_json::from_value(json!({ "placement": placement })).unwrap();
        let mut cluster = KvCluster::new("orders", spec);
        cluster.status = Some(KvClusterStatus {
            planned_zones: planned.iter().map(|zone| (*zone).to_owned()).collect(),
            ..KvClusterStatus::default()
        });
        let valid = validate(&cluster, "image:1").unwrap();
        scope
            .check(&cluster, &valid)
            .err()
            .map(|invalid| invalid.to_string())
    }

    #[test]
    fn zones_must_be_listed_where_nodes_cannot_be_seen() {
        let some = Scope::of(&["b".to_owned(), "a".to_owned(), "b".to_owned()]);
        assert_eq!(
            some,
            Scope::Namespaces(vec!["a".to_owned(), "b".to_owned()])
        );
        let refused = checked(&some, json!({}), &[]).unwrap();
        assert!(
            refused.starts_with("spec.placement.zones: must list the zones"),
            "{refused}"
        );
        assert_eq!(checked(&some, json!({ "zones": ["x"] }), &[]), None);
        assert_eq!(
            checked(&some, json!({ "zoneSpread": "Disabled" }), &[]),
            None
        );
        assert_eq!(checked(&some, json!({}), &["x"]), None, "chosen before");
        assert_eq!(checked(&Scope::of(&[]), json!({}), &[]), None);
    }

    #[test]
    fn the_declared_world_has_the_zones_that_are_named() {
        let spec: KvClusterSpec =
            serde_json::from_value(json!({ "placement": { "zones": ["x", "y"] } })).unwrap();
        let valid = validate(&KvCluster::new("orders", spec), "image:1").unwrap();
        let world = declared_world(&valid.spec, &["z".to_owned()]);
        let names: Vec<String> = world.zones.keys().map(ToString::to_string).collect();
        assert_eq!(names, ["x", "y", "z"]);
        assert_eq!(world.storage_class, StorageClass::Found);
    }
}
