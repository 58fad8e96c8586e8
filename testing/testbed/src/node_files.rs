//! The configuration files of a node's programs, as text. Pure.

use std::net::Ipv4Addr;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What a node's first process must know, written by whoever starts it and read inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NodeConfig {
    pub(crate) name: String,
    pub(crate) zone: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) node_pods: String,
    pub(crate) all_pods: String,
    /// The node's disk: what of it outlives a power-off, and `run`, which does not.
    pub(crate) directory: std::path::PathBuf,
    pub(crate) pki: std::path::PathBuf,
    /// kubelet starts when this file exists: it would only log errors before the API server is there.
    pub(crate) go: std::path::PathBuf,
    pub(crate) k8s: std::path::PathBuf,
    pub(crate) coredns: std::path::PathBuf,
    pub(crate) pause_image: std::path::PathBuf,
}

/// The image that holds a pod's namespaces open.
pub(crate) const PAUSE_IMAGE: &str = "kvorum.dev/testbed-pause:1";

pub(crate) fn cni(config: &NodeConfig) -> String {
    format!(
        r#"{{"cniVersion":"0.4.0","name":"testbed","plugins":[
 {{"type":"ptp","ipMasq":false,"mtu":1500,"ipam":{{"type":"host-local","dataDir":"/run/cni-ipam","ranges":[[{{"subnet":"{}"}}]],"routes":[{{"dst":"0.0.0.0/0"}}]}}}},
 {{"type":"portmap","capabilities":{{"portMappings":true}}}}]}}
"#,
        config.node_pods
    )
}

/// `restrict_oom_score_adj`: root in a container often may not lower it, and then no pod would start.
pub(crate) fn containerd() -> String {
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt","io.containerd.snapshotter.v1.aufs","io.containerd.snapshotter.v1.btrfs","io.containerd.snapshotter.v1.devmapper","io.containerd.snapshotter.v1.zfs","io.containerd.tracing.processor.v1.otlp","io.containerd.internal.v1.tracing"]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
"#
    )
}

pub(crate) fn kubelet(config: &NodeConfig) -> String {
    let pki = config.pki.display();
    let (name, address) = (&config.name, config.address);
    format!(
        r"apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
# Changed Secrets reach pods with a pod's next look.
syncFrequency: 5s
authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: true}}, x509: {{clientCAFile: {pki}/ca.crt}}}}
authorization: {{mode: Webhook}}
tlsCertFile: {pki}/node-{name}.crt
tlsPrivateKeyFile: {pki}/node-{name}.key
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
clusterDNS: [{address}]
clusterDomain: cluster.local
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
makeIPTablesUtilChains: false
nodeLeaseDurationSeconds: 8
resolvConf: /etc/resolv.conf
evictionHard: {{memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%}}
imageGCHighThresholdPercent: 100
"
    )
}

/// kube-proxy as it runs on `node`. conntrack's size belongs to the machine and cannot be written from here.
pub(crate) fn kube_proxy(node: &str, all_pods: &str, pki: &Path) -> String {
    format!(
        r"apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: {all_pods}
hostnameOverride: {node}
clientConnection: {{kubeconfig: {}/proxy.kubeconfig}}
conntrack: {{maxPerCore: 0}}
",
        pki.display()
    )
}

/// The cluster DNS bound to one address. Short times to live: tests must see changes at once.
pub(crate) fn corefile(address: Ipv4Addr, pki: &Path) -> String {
    format!(
        ".:53 {{\n  bind {address}\n  errors\n  cache 1\n  kubernetes cluster.local in-addr.arpa {{\n    kubeconfig {}/dns.kubeconfig\n    ttl 1\n  }}\n}}\n",
        pki.display()
    )
}

/// resolv.conf of something that asks the cluster DNS at `address` by short names.
pub(crate) fn resolv_conf(address: Ipv4Addr) -> String {
    format!(
        "nameserver {address}\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"
    )
}

/// Kernel settings that kubelet wants to write. They are the machine's, so each gets a file of the node over it.
pub(crate) const KERNEL_SETTINGS: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_listens_on_one_address_and_names_its_kubeconfig() {
        let text = corefile(Ipv4Addr::new(10, 64, 1, 2), Path::new("/s/pki"));
        assert!(
            text.contains("bind 10.64.1.2\n")
                && text.contains("kubeconfig /s/pki/dns.kubeconfig\n")
        );
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }

    #[test]
    fn proxy_text_has_no_left_over_braces() {
        let text = kube_proxy("a1", "10.65.0.0/16", Path::new("/s/pki"));
        assert!(
            text.contains("hostnameOverride: a1\n")
                && text.contains("conntrack: {maxPerCore: 0}\n")
        );
    }
}
