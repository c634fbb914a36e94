{{/*
The Job that prepares what a service needs before its new version runs: the schema of its database (`migrate`), and its
streams at NATS (`provision`). Both do nothing where nothing is missing. Services wait for their schema and are not ready
until then, so the order of Job and services does not matter.

If database and broker exist before the release, the Job is a hook that runs before an upgrade, and its failure ends the
upgrade before any pod is replaced. If the chart runs one of them, a hook would wait for a server that is not installed yet:
then it is a plain Job, whose name changes with its content because a Job cannot be changed.
*/}}
{{- define "berth.setup" -}}
{{- $hook := not (or .root.Values.postgres.enabled .root.Values.nats.enabled) -}}
{{- $pod := include "berth.setupPod" (merge (dict "hook" $hook) .) -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "berth.fullname" . }}-setup{{ if not $hook }}-{{ $pod | sha256sum | trunc 8 }}{{ end }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "berth.labels" (dict "root" .root "name" (printf "%s-setup" .name)) | nindent 4 }}
  {{- if $hook }}
  annotations:
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
  {{- end }}
spec:
  backoffLimit: 6
  activeDeadlineSeconds: {{ .root.Values.setup.deadlineSeconds }}
  template:
    {{- $pod | nindent 4 }}
{{- end }}

{{- define "berth.setupPod" -}}
metadata:
  labels:
    {{- include "berth.podLabels" (dict "root" .root "name" (printf "%s-setup" .name)) | nindent 4 }}
  {{- if and .root.Values.mesh.enabled (not .hook) }}
  annotations:
    {{- include "linkerd.podAnnotations" .root | nindent 4 }}
  {{- end }}
spec:
  {{- include "berth.podBase" . | nindent 2 }}
  {{- if not .hook }}
  serviceAccountName: {{ include "berth.fullname" . }}
  {{- end }}
  restartPolicy: OnFailure
  {{- if not .svc.storage }}
  initContainers:
    - {{ include "berth.setupContainer" (merge (dict "command" "migrate" "only" "BERTH_DATABASE_") .) | indent 6 | trim }}
  {{- end }}
  containers:
    - {{ include "berth.setupContainer" (merge (dict "command" "provision" "only" "BERTH_NATS_") .) | indent 6 | trim }}
  {{- with include "berth.secretFilesVolume" . | trim }}
  volumes:
    {{- . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* Its variables are in the pod, because at a first installation a hook runs before the ConfigMap exists. */}}
{{- define "berth.setupContainer" -}}
name: {{ .command }}
image: {{ include "berth.image" . }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
command: [/{{ .name }}, {{ .command }}]
env:
  {{- include "berth.secretEnv" . | trim | nindent 2 }}
  {{- range $variable, $value := include "berth.config" . | fromYaml }}
  {{- if hasPrefix $.only $variable }}
  - name: {{ $variable }}
    value: {{ $value | quote }}
  {{- end }}
  {{- end }}
resources:
  {{- toYaml .root.Values.setup.resources | nindent 2 }}
securityContext:
  {{- include "berth.containerSecurityContext" . | nindent 2 }}
{{- with include "berth.secretFilesMount" . | trim }}
volumeMounts:
  {{- . | nindent 2 }}
{{- end }}
{{- end }}
