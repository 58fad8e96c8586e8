//! etcd's flags that promise what is not there. They are known, so that whoever gives one is told what to do
//! instead; at the value that asks for nothing they are taken.

use clap::Args;

macro_rules! refused {
    ($($field:ident: $flag:literal, $env:literal, $reason:expr;)*) => {
        /// Flags that are refused.
        #[derive(Debug, Clone, Args)]
        pub struct Refused {
            $(
                #[allow(missing_docs, reason = "etcd's own")]
                #[arg(long = $flag, env = $env, hide = true, num_args = 0..=1, default_missing_value = "true", allow_hyphen_values = true)]
                pub $field: Option<String>,
            )*
        }

        impl Refused {
            /// The first that was given, and what to do instead.
            #[must_use]
            pub fn given(&self) -> Option<(&'static str, &'static str)> {
                $(if asks(self.$field.as_deref()) { return Some(($flag, $reason)); })*
                None
            }
        }
    };
}

/// Whether a value asks for anything: an empty one and a false one do not, as in etcd.
fn asks(value: Option<&str>) -> bool {
    value.is_some_and(|v| !matches!(v, "" | "0" | "f" | "F" | "false" | "FALSE" | "False"))
}

const DISCOVERY: &str = "not served: list the members by --initial-cluster, or let the operator form the cluster (--join)";
const CONFIG_FILE: &str = "not served: give each setting of the file as a flag or as an environment variable, ETCD_ and the flag's name (name: m1 is --name=m1 or ETCD_NAME=m1)";
const CLIENT_CERTIFICATES: &str =
    "not served: make certificates, and give them by --cert-file and --key-file";
const PEER_CERTIFICATES: &str = "not served: make certificates with a CA that the members share, and give them by --peer-cert-file, --peer-key-file and --peer-trusted-ca-file";
const TWO_CERTIFICATES: &str = "not served: a member shows one certificate as server and as client: make the one of --peer-cert-file good for both uses (serverAuth and clientAuth)";

refused! {
    config_file: "config-file", "ETCD_CONFIG_FILE", CONFIG_FILE;
    discovery: "discovery", "ETCD_DISCOVERY", DISCOVERY;
    discovery_srv: "discovery-srv", "ETCD_DISCOVERY_SRV", DISCOVERY;
    discovery_token: "discovery-token", "ETCD_DISCOVERY_TOKEN", DISCOVERY;
    discovery_endpoints: "discovery-endpoints", "ETCD_DISCOVERY_ENDPOINTS", DISCOVERY;
    auto_tls: "auto-tls", "ETCD_AUTO_TLS", CLIENT_CERTIFICATES;
    peer_auto_tls: "peer-auto-tls", "ETCD_PEER_AUTO_TLS", PEER_CERTIFICATES;
    peer_client_cert_file: "peer-client-cert-file", "ETCD_PEER_CLIENT_CERT_FILE", TWO_CERTIFICATES;
    peer_client_key_file: "peer-client-key-file", "ETCD_PEER_CLIENT_KEY_FILE", TWO_CERTIFICATES;
    force_new_cluster: "force-new-cluster", "ETCD_FORCE_NEW_CLUSTER",
        "not served: restore a snapshot with `etcdutl snapshot restore` into new members";
}
