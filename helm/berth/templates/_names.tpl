{{/*
Names, labels and images. The argument is a service: dict "root" $ "name" <service> "svc" <its values>. A canary has the name
of its service, and "track" is "canary".
*/}}

{{/* The name of the objects of a service. The all-in-one process has the name of the release. */}}
{{- define "berth.fullname" -}}
{{ .root.Release.Name }}{{ if ne .name "berth" }}-{{ .name }}{{ end }}{{ if eq (.track | default "stable") "canary" }}-canary{{ end }}
{{- end }}

{{/* Labels that select the pods of a service, its canary included. They never change. */}}
{{- define "berth.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{/* Labels that select the pods of one workload: those of the canary, or all others. */}}
{{- define "berth.trackSelector" -}}
{{ include "berth.selector" . }}
app.kubernetes.io/track: {{ .track | default "stable" }}
{{- end }}

{{/* Labels of a pod. Nothing in them changes with the version of the chart, so an upgrade replaces only changed pods. */}}
{{- define "berth.podLabels" -}}
{{ include "berth.selector" . }}
app.kubernetes.io/part-of: berth
{{- end }}

{{- define "berth.labels" -}}
{{ include "berth.podLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "berth.metadata" -}}
name: {{ include "berth.fullname" . }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "berth.labels" . | nindent 2 }}
{{- end }}

{{/* The image of a service. A digest wins over a tag, and its own of either over the platform's. The argument may lack "svc". */}}
{{- define "berth.image" -}}
{{- $own := (.svc).image | default dict -}}
{{- $base := .root.Values.image -}}
{{- if or $own.tag $own.digest }}{{ $base = omit $base "tag" "digest" }}{{ end -}}
{{- $image := mustMergeOverwrite (deepCopy $base) (deepCopy $own) -}}
{{ $image.registry }}/{{ $image.name }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{/* The services that run, by name: each with the defaults under its own values. As YAML. */}}
{{- define "berth.services" -}}
{{- $services := .Values.services -}}
{{- if eq .Values.mode "allInOne" }}{{ $services = dict "berth" .Values.allInOne }}{{ end -}}
{{- range $name, $own := $services }}
{{ $name }}:
  {{- mustMergeOverwrite (deepCopy $.Values.defaults) (deepCopy ($own | default dict)) | toYaml | nindent 2 }}
{{- end }}
{{- end }}
