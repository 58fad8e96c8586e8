//! The volume of each member.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The volume of each member.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.className) == has(oldSelf.className)")
        .message("className must not be added or removed yet: moving data to other volumes comes with a later version")
        .reason(Reason::FieldValueForbidden)
        .field_path(".className"),
)]
pub struct Storage {
    /// How big. Only ever grows; growing a volume that exists is not possible yet.
    #[serde(default = "default_size")]
    #[x_kube(
        validation = Rule::new("isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('1Gi')) >= 0")
            .message("must be a quantity of at least 1Gi, such as 10Gi"),
        validation = Rule::new("!isQuantity(string(self)) || quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0")
            .message("must not shrink: volumes only grow")
            .reason(Reason::FieldValueForbidden),
        validation = Rule::new("!isQuantity(string(self)) || quantity(string(self)).compareTo(quantity(string(oldSelf))) <= 0")
            .message("must not change yet: growing volumes comes with a later version")
            .reason(Reason::FieldValueForbidden),
    )]
    pub size: Quantity,

    /// The StorageClass; without it, the default class. One with `volumeBindingMode: WaitForFirstConsumer`
    /// puts each volume into its member's zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("must not change yet: moving data to other volumes comes with a later version")
        .reason(Reason::FieldValueForbidden))]
    pub class_name: Option<String>,

    /// For how long the volume of a member that left the cluster is kept, such as 72h. 0s: not at all.
    #[serde(default = "default_keep_replaced_for")]
    #[schemars(length(max = 10), regex(pattern = r"^(0|[1-9][0-9]{0,6})(s|m|h)$"))]
    pub keep_replaced_for: String,
}

fn default_keep_replaced_for() -> String {
    "72h".to_owned()
}

fn default_size() -> Quantity {
    Quantity("10Gi".to_owned())
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            size: default_size(),
            class_name: None,
            keep_replaced_for: default_keep_replaced_for(),
        }
    }
}
