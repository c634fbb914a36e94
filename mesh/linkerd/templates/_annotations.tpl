{{/* Annotations of pods and Services. */}}

{{/* Of every pod: a proxy, no inbound request without a policy, and ports that are no HTTP. The argument is the root. */}}
{{- define "linkerd.podAnnotations" -}}
linkerd.io/inject: enabled
config.linkerd.io/default-inbound-policy: {{ .Values.mesh.policy }}
# NATS speaks first, so its protocol cannot be detected; PostgreSQL does the same within TLS.
config.linkerd.io/opaque-ports: "4222,5432"
{{- with include "linkerd.skipOutboundPorts" . }}
config.linkerd.io/skip-outbound-ports: {{ . | quote }}
{{- end }}
config.linkerd.io/proxy-cpu-request: {{ .Values.mesh.proxy.cpuRequest | quote }}
config.linkerd.io/proxy-memory-request: {{ .Values.mesh.proxy.memoryRequest | quote }}
config.linkerd.io/proxy-memory-limit: {{ .Values.mesh.proxy.memoryLimit | quote }}
# Shorter than every terminationGracePeriodSeconds.
config.linkerd.io/shutdown-grace-period: {{ .Values.mesh.proxy.shutdownGracePeriod }}
config.linkerd.io/proxy-log-format: json
{{- end }}

{{/* Servers outside of the mesh have TLS of their own. */}}
{{- define "linkerd.skipOutboundPorts" -}}
{{- $ports := .Values.mesh.skipOutboundPorts -}}
{{- if not .Values.nats.enabled }}{{ $ports = append $ports 4222 }}{{ end -}}
{{- if not .Values.postgres.enabled }}{{ $ports = append $ports 5432 }}{{ end -}}
{{ join "," $ports }}
{{- end }}

{{/* Of a Service: the circuit breaker of its callers' proxies. The argument is a service. */}}
{{- define "linkerd.serviceAnnotations" -}}
{{- with .root.Values.mesh.breaker -}}
balancer.linkerd.io/failure-accrual: consecutive
balancer.linkerd.io/failure-accrual-consecutive-max-failures: {{ .maxFailures | quote }}
balancer.linkerd.io/failure-accrual-consecutive-min-penalty: {{ .minPenalty }}
balancer.linkerd.io/failure-accrual-consecutive-max-penalty: {{ .maxPenalty }}
balancer.linkerd.io/failure-accrual-consecutive-jitter-ratio: {{ .jitterRatio | quote }}
{{- end }}
{{- end }}

{{/* Of a Service whose port is no HTTP. */}}
{{- define "linkerd.opaqueAnnotations" -}}
config.linkerd.io/opaque-ports: {{ . | quote }}
{{- end }}
