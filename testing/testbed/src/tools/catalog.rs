//! The sets of programs: which module, how it is built, about what it costs.

use sha2::{Digest, Sha256};

/// A set of programs that is built as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolSet {
    /// etcd 3.7: `etcd`, `etcdctl`, `etcdutl`, `benchmark`.
    Etcd37,
    /// etcd 3.6: the same programs.
    Etcd36,
    /// Kubernetes: the control plane, `kubelet`, `kube-proxy`, `kubectl`.
    Kubernetes,
    /// The cluster DNS.
    CoreDns,
    /// `helm`.
    Helm,
    /// `pause`, which holds a pod's namespaces open.
    Pause,
    /// `cert-manager`: its controllers for certificates by CAs, in one process; with its definitions as files.
    CertManager,
    /// `clients`: a session of etcd's Go client.
    GoClient,
    /// `linearizability`, which checks recorded histories.
    Linearizability,
}

/// How a set is built.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) module: &'static str,
    pub(super) title: &'static str,
    pub(super) files: Vec<(&'static str, &'static str)>,
    pub(super) link_flags: &'static str,
    /// What `go build` is given: all tools of the module, or the module's own program.
    pub(super) target: &'static str,
    /// Packages that a cold build compiles, for the progress line.
    pub(super) packages: u32,
    /// Measured on two cores with an empty build cache.
    pub(super) cpu_seconds: u32,
    /// Programs whose module gives them a name that says too little.
    pub(super) renames: &'static [(&'static str, &'static str)],
    /// A module and a directory of it, whose YAML files are put beside the programs.
    pub(super) copies: Option<(&'static str, &'static str)>,
}

macro_rules! module_files {
    ($module:literal $(, $file:literal)*) => {
        vec![
            ("go.mod", include_str!(concat!("../../gomod/", $module, "/go.mod"))),
            $(($file, include_str!(concat!("../../gomod/", $module, "/", $file))),)*
        ]
    };
}

const PLAIN: &str = "-s -w";
/// Without these the programs say that their version is v0.0.0.
const KUBERNETES_FLAGS: &str = "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.4 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36";
const ETCD_RENAMES: &[(&str, &str)] = &[("server", "etcd")];

/// All tools that a module names.
fn tools(
    module: &'static str,
    title: &'static str,
    files: Vec<(&'static str, &'static str)>,
    packages: u32,
    cpu_seconds: u32,
) -> Spec {
    Spec {
        module,
        title,
        files,
        link_flags: PLAIN,
        target: "tool",
        packages,
        cpu_seconds,
        renames: &[],
        copies: None,
    }
}

/// One version of etcd.
fn etcd(
    module: &'static str,
    title: &'static str,
    files: Vec<(&'static str, &'static str)>,
) -> Spec {
    Spec {
        renames: ETCD_RENAMES,
        ..tools(module, title, files, 600, 110)
    }
}

/// The program that a module is.
fn program(
    module: &'static str,
    title: &'static str,
    files: Vec<(&'static str, &'static str)>,
    packages: u32,
    cpu_seconds: u32,
) -> Spec {
    Spec {
        target: ".",
        ..tools(module, title, files, packages, cpu_seconds)
    }
}

impl ToolSet {
    pub(super) fn spec(self) -> Spec {
        match self {
            Self::Etcd37 => etcd(
                "etcd-3.7",
                "etcd 3.7.3",
                module_files!("etcd-3.7", "go.sum"),
            ),
            Self::Etcd36 => etcd(
                "etcd-3.6",
                "etcd 3.6.16",
                module_files!("etcd-3.6", "go.sum"),
            ),
            Self::Kubernetes => Spec {
                link_flags: KUBERNETES_FLAGS,
                ..tools(
                    "k8s",
                    "Kubernetes 1.36.4",
                    module_files!("k8s", "go.sum"),
                    2750,
                    740,
                )
            },
            Self::CoreDns => program(
                "coredns",
                "CoreDNS 1.14.7",
                module_files!("coredns", "go.sum", "main.go"),
                800,
                180,
            ),
            Self::Helm => tools(
                "helm",
                "Helm 4.3.1",
                module_files!("helm", "go.sum"),
                1180,
                330,
            ),
            Self::CertManager => Spec {
                copies: Some(("github.com/cert-manager/cert-manager", "deploy/crds")),
                ..program(
                    "cert-manager",
                    "cert-manager 1.21.2",
                    module_files!("cert-manager", "go.sum", "main.go"),
                    1190,
                    450,
                )
            },
            Self::GoClient => program(
                "clients",
                "the Go client",
                module_files!("clients", "go.sum", "main.go", "concurrency.go", "users.go"),
                355,
                60,
            ),
            Self::Linearizability => program(
                "linearizability",
                "the linearizability checker",
                module_files!("linearizability", "go.sum", "main.go", "model.go"),
                120,
                30,
            ),
            Self::Pause => program(
                "pause",
                "the pause program",
                module_files!("pause", "main.go"),
                60,
                10,
            ),
        }
    }
}

impl Spec {
    /// Names the built set: changes with anything that goes into it.
    pub(super) fn directory_name(&self) -> String {
        let files = self.files.iter().flat_map(|(name, text)| [*name, *text]);
        let copies = self.copies.iter();
        directory_name(
            self.module,
            files
                .chain([self.link_flags, self.target])
                .chain(copies.flat_map(|(module, from)| [*module, *from])),
        )
    }
}

/// A name that changes with anything that goes into what it names.
pub(super) fn directory_name<'a>(name: &str, parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digest = hash.finalize();
    let digest: String = digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{name}-{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_follows_the_flags() {
        let spec = ToolSet::Pause.spec();
        let changed = Spec {
            link_flags: "-s",
            ..spec.clone()
        };
        assert!(spec.directory_name().starts_with("pause-"));
        assert_ne!(spec.directory_name(), changed.directory_name());
    }
}
