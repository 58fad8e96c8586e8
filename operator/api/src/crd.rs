//! The CustomResourceDefinition, and the two files that are written from it.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

use crate::KvCluster;
use crate::polish::polish;

/// The definition that users install: the derived one, polished.
///
/// # Panics
/// Never for the types of this crate, which the tests of this crate show.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "the definition is fixed at build time and covered by tests"
)]
pub fn crd() -> CustomResourceDefinition {
    serde_json::from_value(definition()).expect("a polished CRD is a CRD")
}

/// As JSON, in which whole numbers stay whole.
#[expect(
    clippy::expect_used,
    reason = "the definition is fixed at build time and covered by tests"
)]
pub(crate) fn definition() -> Value {
    let mut definition = serde_json::to_value(KvCluster::crd()).expect("a derived CRD is JSON");
    polish(&mut definition);
    definition
}

/// The definition as a file for `kubectl apply -f`.
#[must_use]
pub fn crd_yaml() -> String {
    format!("{GENERATED}{}", yaml())
}

/// The definition as a template of the chart, with its switches.
///
/// CRDs are a template, not in the chart's `crds/` folder, because Helm never upgrades those.
#[must_use]
pub fn chart_crd_template() -> String {
    let annotations = "  annotations:\n    {{- if .Values.crds.keep }}\n    helm.sh/resource-policy: keep\n    {{- else }}\n    kvorum.dev/protection: \"off\"\n    {{- end }}\n    kvorum.dev/generated-by: cargo-xtask-codegen\n  labels:\n    {{- include \"kvorum-operator.labels\" . | nindent 4 }}\n";
    // Nothing in the definition may be taken for template code.
    let body = yaml().replace("{{", "{{ \"{{\" }}");
    let body = body.replacen("metadata:\n", &format!("metadata:\n{annotations}"), 1);
    format!("{GENERATED}{{{{- if .Values.crds.enabled }}}}\n{body}{{{{- end }}}}\n")
}

const GENERATED: &str = "# Written by `cargo xtask codegen` from operator/api. Do not edit.\n";

#[expect(
    clippy::expect_used,
    reason = "the definition is fixed at build time and covered by tests"
)]
fn yaml() -> String {
    let mut text = serde_saphyr::to_string(&definition()).expect("a CRD is YAML");
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
