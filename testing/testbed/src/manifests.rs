//! The objects that every testbed gets: rights of the cluster DNS, storage classes.

/// The provisioner that the storage classes name: the testbed's own daemon.
pub(crate) const PROVISIONER: &str = "kvorum.dev/testbed-local";

/// What is created once the API server answers.
pub(crate) fn base() -> String {
    format!(
        r#"apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: testbed-coredns}}
rules:
- {{apiGroups: [""], resources: [endpoints, services, pods, namespaces, nodes], verbs: [list, watch, get]}}
- {{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: testbed-coredns}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: testbed-coredns}}
subjects: [{{kind: User, name: "system:coredns", apiGroup: rbac.authorization.k8s.io}}]
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: local, annotations: {{storageclass.kubernetes.io/is-default-class: "true"}}}}
provisioner: {PROVISIONER}
volumeBindingMode: WaitForFirstConsumer
allowVolumeExpansion: true
reclaimPolicy: Delete
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: local-retain}}
provisioner: {PROVISIONER}
volumeBindingMode: WaitForFirstConsumer
allowVolumeExpansion: true
reclaimPolicy: Retain
"#
    )
}
