{{/* Everything that belongs to the cluster is named after it. */}}
{{- define "kvorum-cluster.name" -}}
{{- .Values.name | default .Release.Name -}}
{{- end -}}

{{- define "kvorum-cluster.labels" -}}
app.kubernetes.io/name: kvorum-cluster
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: kvorum
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* The pods of its members, as the operator labels them. */}}
{{- define "kvorum-cluster.members" -}}
kvorum.dev/cluster: {{ include "kvorum-cluster.name" . }}
{{- end -}}

{{- define "kvorum-cluster.testImage" -}}
{{- $image := .Values.test.image -}}
{{- $name := $image.repository -}}
{{- if $image.registry -}}
{{- $name = printf "%s/%s" $image.registry $image.repository -}}
{{- end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name ($image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
