{{/* Parts of pods. The argument is a service, as in _names.tpl. */}}

{{- define "berth.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "berth.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* What every pod has, a job's too. */}}
{{- define "berth.podBase" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "berth.podSecurityContext" . | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $key, $value := (.svc).pod }}
{{ $key }}:
  {{- toYaml $value | nindent 2 }}
{{- end }}
{{- end }}

{{/* The variables of a service that hold no secret: the content of its ConfigMap. */}}
{{- define "berth.config" -}}
{{- $root := .root }}
{{- $config := dict
      "BERTH_LISTEN" "0.0.0.0:8080"
      "BERTH_ADMIN_LISTEN" "0.0.0.0:8081"
      "BERTH_DATA_DIR" "/data/berth"
      "BERTH_LOG_FORMAT" "json"
      "BERTH_DRAIN_DELAY" (printf "%vs" .svc.drainSeconds)
      "BERTH_GRACE" (printf "%vs" .svc.graceSeconds) }}
{{- if eq .root.Values.mode "services" }}
{{- $peers := list }}
{{- range .svc.calls }}{{ $peers = append $peers (printf "%s=http://%s-%s:8080" . $root.Release.Name .) }}{{ end }}
{{- $logs := list }}
{{- range .svc.consumes }}{{ $logs = append $logs (printf "%s=http://%s-%s:8081" . $root.Release.Name .) }}{{ end }}
{{- $_ := set $config "BERTH_PEERS" (join "," $peers) }}
{{- $_ := set $config "BERTH_LOGS" (join "," $logs) }}
{{- $_ := set $config "BERTH_SERVICE_KEYS" "/run/berth/service-keys" }}
{{- $_ := set $config "BERTH_SERVICE_KEY_FILE" "/run/berth/service.key" }}
{{- $_ := set $config "BERTH_NATS_URL" (include "berth.natsUrl" .root) }}
{{- end }}
{{- $config = mustMergeOverwrite $config (deepCopy .root.Values.config) (deepCopy .svc.config) }}
{{- range $key, $value := $config }}
{{ $key }}: {{ $value | quote }}
{{- end }}
{{- end }}

{{- define "berth.natsUrl" -}}
{{- if .Values.nats.enabled }}nats://{{ .Release.Name }}-nats:4222{{ else }}{{ .Values.nats.url }}{{ end }}
{{- end }}

{{/*
Variables that come from Secrets. The argument is a service, with "only": a prefix of names, or "" for all. The address of the
chart's own PostgreSQL contains its password, so it belongs to them.
*/}}
{{- define "berth.secretEnv" -}}
{{- $secrets := mustMergeOverwrite (deepCopy .root.Values.secretEnv) (deepCopy .svc.secretEnv) }}
{{- if .svc.storage }}{{ $secrets = omit $secrets "BERTH_DATABASE_URL" }}{{ end }}
{{- if and .root.Values.postgres.enabled (not .svc.storage) (not $secrets.BERTH_DATABASE_URL) (hasPrefix .only "BERTH_DATABASE_URL") }}
- name: POSTGRES_PASSWORD
  valueFrom:
    secretKeyRef:
      {{- toYaml .root.Values.postgres.passwordSecret | nindent 6 }}
- name: BERTH_DATABASE_URL
  value: postgres://berth:$(POSTGRES_PASSWORD)@{{ .root.Release.Name }}-postgres:5432/berth?options=-csearch_path%3D{context}
{{- end }}
{{- range $variable, $from := $secrets }}
{{- if hasPrefix $.only $variable }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef:
      {{- toYaml $from | nindent 6 }}
{{- end }}
{{- end }}
{{- range $variable, $from := mustMergeOverwrite (deepCopy .root.Values.secretFiles) (deepCopy .svc.secretFiles) }}
{{- if hasPrefix $.only $variable }}
- name: {{ $variable }}
  value: /run/secrets/berth/{{ $variable }}
{{- end }}
{{- end }}
{{- end }}

{{/* The variables of a service that are not in its ConfigMap. */}}
{{- define "berth.env" -}}
{{- include "berth.secretEnv" (merge (dict "only" "") .) }}
{{- if .root.Values.mesh.enabled }}
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: BERTH_MESH_PROXIES
  value: 127.0.0.1,$(POD_IP)
{{- end }}
{{- end }}

{{/* The volume with its service key. */}}
{{- define "berth.serviceKeyVolume" -}}
{{- if eq .root.Values.mode "services" }}
- name: service-key
  secret:
    secretName: {{ .root.Values.serviceKeys.secret }}
    defaultMode: 0440
    items:
      - key: {{ .name }}.key
        path: service.key
      - key: service-keys
        path: service-keys
{{- end }}
{{- end }}

{{- define "berth.serviceKeyMount" -}}
{{- if eq .root.Values.mode "services" }}
- name: service-key
  mountPath: /run/berth
  readOnly: true
{{- end }}
{{- end }}

{{/* The volume with `secretFiles`: a file for each variable. */}}
{{- define "berth.secretFilesVolume" -}}
{{- with mustMergeOverwrite (deepCopy .root.Values.secretFiles) (deepCopy .svc.secretFiles) }}
- name: secret-files
  projected:
    defaultMode: 0440
    sources:
      {{- range $variable, $from := . }}
      - secret:
          name: {{ $from.name }}
          items:
            - key: {{ $from.key }}
              path: {{ $variable }}
      {{- end }}
{{- end }}
{{- end }}

{{- define "berth.secretFilesMount" -}}
{{- if or .root.Values.secretFiles .svc.secretFiles }}
- name: secret-files
  mountPath: /run/secrets/berth
  readOnly: true
{{- end }}
{{- end }}
