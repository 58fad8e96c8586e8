//! TLS: who may talk to a cluster, and by which certificates.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// TLS towards clients, between members, and between the operator and members. May be switched on and off on a
/// cluster that lives: members go through a step in which both are understood.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Auto: the operator makes the certificates, renews them, and puts one for clients into the Secret
    /// <name>-client-tls. Disabled: none, whoever reaches a member may read and write.
    #[serde(default)]
    pub mode: TlsMode,

    /// Required: clients without TLS are refused. Permissive: they are taken beside those with it, until all of
    /// them have been moved.
    #[serde(default)]
    pub clients: ClientTls,

    /// Required: a client must show a certificate of the cluster's own CA. None: TLS without.
    #[serde(default)]
    pub client_auth: ClientAuth,

    /// Raise it to have new CAs made: they are trusted beside the old ones first, then sign, and at last the old
    /// ones are no longer trusted.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub ca_generation: i64,

    /// How long clients get to take up what changes in their Secret, in each step of a change of CAs.
    #[serde(default = "default_ca_overlap")]
    #[schemars(length(max = 10), regex(pattern = r"^[1-9][0-9]{0,6}(s|m|h)$"))]
    pub ca_overlap: String,
}

/// Where certificates come from.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TlsMode {
    /// The operator makes them.
    Auto,
    /// There are none.
    #[default]
    Disabled,
}

/// Whether clients without TLS are taken.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientTls {
    /// No.
    #[default]
    Required,
    /// Yes, for the time being.
    Permissive,
}

/// Whether clients must show a certificate.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientAuth {
    /// Yes.
    #[default]
    Required,
    /// No.
    None,
}

fn default_ca_overlap() -> String {
    "1h".to_owned()
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            mode: TlsMode::default(),
            clients: ClientTls::default(),
            client_auth: ClientAuth::default(),
            ca_generation: 0,
            ca_overlap: default_ca_overlap(),
        }
    }
}
