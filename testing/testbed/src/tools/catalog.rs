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

/// All tools that a module names: its directory, what it is called, packages, CPU-seconds, and the files beside its go.mod.
macro_rules! module {
    ($module:literal, $title:literal, $packages:literal, $cpu_seconds:literal $(, $file:literal)*) => {
        Spec {
            module: $module,
            title: $title,
            files: vec![
                ("go.mod", include_str!(concat!("../../gomod/", $module, "/go.mod"))),
                $(($file, include_str!(concat!("../../gomod/", $module, "/", $file))),)*
            ],
            link_flags: PLAIN,
            target: "tool",
            packages: $packages,
            cpu_seconds: $cpu_seconds,
            renames: &[],
            copies: None,
        }
    };
}

const PLAIN: &str = "-s -w";
/// Without these the programs say that their version is v0.0.0.
const KUBERNETES_FLAGS: &str = "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.4 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36";
const ETCD_RENAMES: &[(&str, &str)] = &[("server", "etcd")];

impl ToolSet {
    pub(super) fn spec(self) -> Spec {
        match self {
            Self::Etcd37 => {
                module!("etcd-3.7", "etcd 3.7.3", 600, 110, "go.sum").renamed(ETCD_RENAMES)
            }
            Self::Etcd36 => {
                module!("etcd-3.6", "etcd 3.6.16", 600, 110, "go.sum").renamed(ETCD_RENAMES)
            }
            Self::Kubernetes => Spec {
                link_flags: KUBERNETES_FLAGS,
                ..module!("k8s", "Kubernetes 1.36.4", 2750, 740, "go.sum")
            },
            Self::CoreDns => {
                module!("coredns", "CoreDNS 1.14.7", 800, 180, "go.sum", "main.go").own()
            }
            Self::Helm => module!("helm", "Helm 4.3.1", 1180, 330, "go.sum"),
            Self::CertManager => Spec {
                copies: Some(("github.com/cert-manager/cert-manager", "deploy/crds")),
                ..module!(
                    "cert-manager",
                    "cert-manager 1.21.2",
                    1190,
                    450,
                    "go.sum",
                    "main.go"
                )
                .own()
            },
            Self::GoClient => module!(
                "clients",
                "the Go client",
                355,
                60,
                "go.sum",
                "main.go",
                "concurrency.go",
                "users.go"
            )
            .own(),
            Self::Linearizability => module!(
                "linearizability",
                "the linearizability checker",
                120,
                30,
                "go.sum",
                "main.go",
                "model.go"
            )
            .own(),
            Self::Pause => module!("pause", "the pause program", 60, 10, "main.go").own(),
        }
    }
}

impl Spec {
    /// The module's own program, instead of the tools that it names.
    fn own(self) -> Self {
        Self {
            target: ".",
            ..self
        }
    }

    fn renamed(self, renames: &'static [(&'static str, &'static str)]) -> Self {
        Self { renames, ..self }
    }

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
