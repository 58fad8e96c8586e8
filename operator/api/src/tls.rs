//! TLS: who may talk to a cluster, and by which certificates.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// TLS towards clients, between members, and between the operator and members. May be switched on and off on a
/// cluster that lives: members go through a step in which both are understood.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.mode != 'CertManager' || has(self.issuerRef)")
        .message("tls.mode CertManager needs tls.issuerRef: the Issuer or ClusterIssuer that signs this cluster's certificates")
        .field_path(".issuerRef"),
    validation = Rule::new("self.mode != 'Secret' || has(self.secrets)")
        .message("tls.mode Secret needs tls.secrets: the names of the Secrets with the certificates")
        .field_path(".secrets"),
)]
pub struct Tls {
    /// Auto: the operator makes the certificates, renews them, and puts one for clients into the Secret
    /// <name>-client-tls. CertManager: cert-manager makes them, by issuerRef. Secret: you give them, in secrets.
    /// Disabled: none, whoever reaches a member may read and write. May be changed on a cluster that lives.
    #[serde(default)]
    pub mode: TlsMode,

    /// With mode CertManager: who signs. One that knows its own CA, such as one of the kinds CA or Vault: members
    /// must know whom to trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_ref: Option<IssuerRef>,

    /// With mode CertManager: who signs the certificates of members among themselves and of the operator, if
    /// another than issuerRef.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_issuer_ref: Option<IssuerRef>,

    /// With mode Secret: where the certificates are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<TlsSecrets>,

    /// Required: clients without TLS are refused. Permissive: they are taken beside those with it, until all of
    /// them have been moved.
    #[serde(default)]
    pub clients: ClientTls,

    /// Required: a client must show a certificate of the clients' CA. None: TLS without.
    #[serde(default)]
    pub client_auth: ClientAuth,

    /// With mode Auto: raise it to have new CAs made: they are trusted beside the old ones first, then sign, and at last the old
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
    #[default]
    Auto,
    /// cert-manager makes them.
    CertManager,
    /// They are given in Secrets.
    Secret,
    /// There are none.
    Disabled,
}

/// Who signs: an object of cert-manager.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuerRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Issuer, of the KvCluster's namespace, or ClusterIssuer, or a kind of an issuer from elsewhere.
    #[serde(default = "default_issuer_kind")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// The API group of the kind.
    #[serde(default = "default_issuer_group")]
    #[schemars(length(min = 1, max = 253))]
    pub group: String,
}

/// Secrets of the KvCluster's namespace, each with tls.crt, tls.key and ca.crt: a certificate with its chain, its
/// key, and the CAs by which its owner judges others. What they must be for is in docs/operations.md.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsSecrets {
    /// Of members, towards clients. Its ca.crt has the CAs of the clients.
    #[schemars(length(min = 1, max = 253))]
    pub server: String,
    /// Of members, among themselves.
    #[schemars(length(min = 1, max = 253))]
    pub peer: String,
    /// Of the operator, towards members.
    #[schemars(length(min = 1, max = 253))]
    pub operator: String,
    /// For clients; without it, there is no Secret <name>-client-tls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub client: Option<String>,
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

fn default_issuer_kind() -> String {
    "Issuer".to_owned()
}

fn default_issuer_group() -> String {
    "cert-manager.io".to_owned()
}

fn default_ca_overlap() -> String {
    "1h".to_owned()
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            mode: TlsMode::default(),
            issuer_ref: None,
            peer_issuer_ref: None,
            secrets: None,
            clients: ClientTls::default(),
            client_auth: ClientAuth::default(),
            ca_generation: 0,
            ca_overlap: default_ca_overlap(),
        }
    }
}
