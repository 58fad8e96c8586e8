//! What the operator does to a cluster that lives: rollouts and replacements.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How pods get a new template.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Updates {
    /// Automatic: one member at a time, broken ones first, the leader last. PauseBeforeLeader: the leader's
    /// pod is left to you. OnDemand: every pod is left to you, or to `kubectl rollout restart`.
    #[serde(default)]
    pub strategy: UpdateStrategy,

    /// OnNextChange: what only a new version of the operator would change waits for your next change of the
    /// spec, so that upgrading the operator restarts no pod. Immediate: it is rolled out at once.
    #[serde(default)]
    pub apply_operator_changes: ApplyOperatorChanges,
}

/// How pods get a new template.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateStrategy {
    /// One member at a time.
    #[default]
    Automatic,
    /// The leader's pod is left to a person.
    PauseBeforeLeader,
    /// Every pod is left to a person.
    OnDemand,
}

/// When changes that come with a new version of the operator reach pods.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApplyOperatorChanges {
    /// With the next change of the spec.
    #[default]
    OnNextChange,
    /// At once.
    Immediate,
}

/// When a member is given up and another takes its place: always with a new ID and a new, empty volume.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replacement {
    /// Automatic: after a proof that its data is gone, or after unreachableAfter. ProvenLossOnly: only after
    /// a proof. Manual: never.
    #[serde(default)]
    pub policy: ReplacementPolicy,

    /// How long nobody must have heard of a member, such as 30m.
    #[serde(default = "default_unreachable_after")]
    #[schemars(length(max = 10), regex(pattern = r"^[1-9][0-9]{0,6}(s|m|h)$"))]
    pub unreachable_after: String,

    /// How many members may be replaced within 24 hours; never more than one at a time.
    #[serde(default = "default_max_per_day")]
    #[schemars(range(min = 0, max = 32))]
    pub max_per_day: i32,
}

/// What counts as a lost member.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplacementPolicy {
    /// A proof, or silence for long enough.
    #[default]
    Automatic,
    /// A proof.
    ProvenLossOnly,
    /// Nothing.
    Manual,
}

fn default_unreachable_after() -> String {
    "30m".to_owned()
}

fn default_max_per_day() -> i32 {
    3
}

impl Default for Replacement {
    fn default() -> Self {
        Self {
            policy: ReplacementPolicy::default(),
            unreachable_after: default_unreachable_after(),
            max_per_day: default_max_per_day(),
        }
    }
}
