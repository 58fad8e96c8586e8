{{/* Names that are part of other names stay short enough. */}}
{{- define "kvorum-operator.fullname" -}}
{{- if contains "kvorum-operator" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-kvorum-operator" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Of objects without a namespace: two releases of one name in two namespaces must not share them. */}}
{{- define "kvorum-operator.clusterName" -}}
{{- printf "%s-%s" (include "kvorum-operator.fullname" .) .Release.Namespace | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "kvorum-operator.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "kvorum-operator.fullname" .) -}}
{{- end -}}

{{- define "kvorum-operator.selectorLabels" -}}
app.kubernetes.io/name: kvorum-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "kvorum-operator.labels" -}}
{{ include "kvorum-operator.selectorLabels" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: kvorum
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* An image: a digest wins over the tag, and without a tag it is the chart's own version. */}}
{{- define "kvorum-operator.image" -}}
{{- $image := index . 0 -}}
{{- $chart := index . 1 -}}
{{- $name := $image.repository -}}
{{- if $image.registry -}}
{{- $name = printf "%s/%s" $image.registry $image.repository -}}
{{- end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name ($image.tag | default $chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* What every container of ours may do: nothing. */}}
{{- define "kvorum-operator.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "kvorum-operator.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* What the operator may do in a namespace that it looks after. */}}
{{- define "kvorum-operator.rules" -}}
- apiGroups: [kvorum.dev]
  resources: [kvclusters]
  verbs: [get, list, watch]
- apiGroups: [kvorum.dev]
  resources: [kvclusters/status]
  verbs: [get, patch]
# Where owner references are guarded, blocking the owner's deletion needs this.
- apiGroups: [kvorum.dev]
  resources: [kvclusters/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [get, list, watch, create, patch]
{{- if .Values.rbac.secrets }}
# Certificates, by the names that a cluster gives them: Secrets are neither listed nor watched.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch]
# For clusters whose certificates cert-manager makes; harmless where it is not installed.
- apiGroups: [cert-manager.io]
  resources: [certificates]
  verbs: [get, create, patch]
{{- end }}
# Those of members that left go, and the budget of a cluster that became a single member.
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
# Pods that are Ready leave by eviction, broken ones by deletion; StatefulSets make the new ones.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, delete]
- apiGroups: [""]
  resources: [pods/eviction]
  verbs: [create]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* Who may change what belongs to clusters: this operator, and Kubernetes' own controllers, as CEL. A
namespace must never hang, so its controller may do everything. */}}
{{- define "kvorum-operator.trusted" -}}
{{- $users := list
  (printf "system:serviceaccount:%s:%s" .Release.Namespace (include "kvorum-operator.serviceAccountName" .))
  "system:serviceaccount:kube-system:generic-garbage-collector"
  "system:serviceaccount:kube-system:namespace-controller"
  "system:serviceaccount:kube-system:pvc-protection-controller"
  "system:serviceaccount:kube-system:statefulset-controller"
  "system:kube-controller-manager"
-}}
request.userInfo.username in {{ concat $users .Values.protection.exemptUsers | toJson }}
{{- end -}}

{{/* Who may delete what is protected: nobody but the controller of namespaces. */}}
{{- define "kvorum-operator.exempt" -}}
{{- $users := list
  "system:serviceaccount:kube-system:namespace-controller"
  "system:kube-controller-manager"
-}}
request.userInfo.username in {{ concat $users .Values.protection.exemptUsers | toJson }}
{{- end -}}

{{/* Objects of the clusters that this release looks after, and of no other operator's. */}}
{{- define "kvorum-operator.classSelector" -}}
{{- if .Values.class -}}
- key: kvorum.dev/class
  operator: In
  values: [{{ .Values.class | quote }}]
{{- else -}}
- key: kvorum.dev/class
  operator: DoesNotExist
{{- end -}}
{{- end -}}

{{/* The way out, said where somebody is refused. */}}
{{- define "kvorum-operator.wayOut" -}}
to override this once, annotate it with kvorum.dev/protection=off first
{{- end -}}
