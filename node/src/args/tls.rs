//! etcd's TLS flags.

use crate::tls::Mode;
use clap::{ArgAction, Args};
use std::path::PathBuf;

/// Certificates of one port, as flags.
#[derive(Debug, Clone, Args)]
pub struct TlsArgs {
    /// Certificate shown to clients (and to other members, where they are clients), PEM.
    #[arg(long, env = "ETCD_CERT_FILE", requires = "key_file")]
    pub cert_file: Option<PathBuf>,

    /// Its private key, PEM.
    #[arg(long, env = "ETCD_KEY_FILE", requires = "cert_file")]
    pub key_file: Option<PathBuf>,

    /// Clients must show a certificate of a trusted CA.
    #[arg(long, env = "ETCD_CLIENT_CERT_AUTH", num_args = 0..=1, default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    pub client_cert_auth: bool,

    /// CAs of the clients' certificates, PEM. Given, clients must show a certificate.
    #[arg(long, env = "ETCD_TRUSTED_CA_FILE")]
    pub trusted_ca_file: Option<PathBuf>,

    /// Revoked certificates of clients, PEM.
    #[arg(long, env = "ETCD_CLIENT_CRL_FILE", requires = "trusted_ca_file")]
    pub client_crl_file: Option<PathBuf>,

    /// Host names of which a client's certificate must have one.
    #[arg(long, env = "ETCD_CLIENT_CERT_ALLOWED_HOSTNAME", value_delimiter = ',')]
    pub client_cert_allowed_hostname: Vec<String>,

    /// Certificate shown to the other members, PEM.
    #[arg(long, env = "ETCD_PEER_CERT_FILE", requires = "peer_key_file")]
    pub peer_cert_file: Option<PathBuf>,

    /// Its private key, PEM.
    #[arg(long, env = "ETCD_PEER_KEY_FILE", requires = "peer_cert_file")]
    pub peer_key_file: Option<PathBuf>,

    /// The other members must show a certificate of a trusted CA.
    #[arg(long, env = "ETCD_PEER_CLIENT_CERT_AUTH", num_args = 0..=1, default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    pub peer_client_cert_auth: bool,

    /// CAs of the other members' certificates, PEM.
    #[arg(long, env = "ETCD_PEER_TRUSTED_CA_FILE")]
    pub peer_trusted_ca_file: Option<PathBuf>,

    /// Revoked certificates of members, PEM.
    #[arg(long, env = "ETCD_PEER_CRL_FILE", requires = "peer_trusted_ca_file")]
    pub peer_crl_file: Option<PathBuf>,

    /// Common names of which another member's certificate must have one.
    #[arg(long, env = "ETCD_PEER_CERT_ALLOWED_CN", value_delimiter = ',')]
    pub peer_cert_allowed_cn: Vec<String>,

    /// Host names of which another member's certificate must have one.
    #[arg(long, env = "ETCD_PEER_CERT_ALLOWED_HOSTNAME", value_delimiter = ',')]
    pub peer_cert_allowed_hostname: Vec<String>,

    /// Which connections between members speak TLS: by-url as etcd does; off, permissive or required whatever
    /// URLs say. permissive takes both and calls with TLS first: the step between off and required on a cluster
    /// that lives.
    #[arg(long, env = "KVORUM_PEER_TLS", default_value = "by-url")]
    pub peer_tls: Mode,

    /// Take clients without TLS beside those with it, on ports with https.
    #[arg(long, env = "KVORUM_CLIENT_TLS_PERMISSIVE", num_args = 0..=1, default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    pub client_tls_permissive: bool,

    /// Host names of which the certificate of whoever calls the admin API must have one, letter for letter
    /// [default: whoever the peer port lets in may].
    #[arg(
        long,
        env = "KVORUM_ADMIN_CERT_ALLOWED_HOSTNAME",
        value_delimiter = ','
    )]
    pub admin_cert_allowed_hostname: Vec<String>,

    /// Cipher suites of TLS 1.2, by their registered names [default: all safe ones].
    #[arg(long, env = "ETCD_CIPHER_SUITES", default_value = "")]
    pub cipher_suites: String,

    /// Lowest version of TLS: TLS1.2 or TLS1.3.
    #[arg(long, env = "ETCD_TLS_MIN_VERSION", default_value = "TLS1.2")]
    pub tls_min_version: String,

    /// Highest version of TLS [default: TLS1.3].
    #[arg(long, env = "ETCD_TLS_MAX_VERSION", default_value = "")]
    pub tls_max_version: String,
}
