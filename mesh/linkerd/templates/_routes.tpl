{{/*
The GRPCRoutes of a service, one for each class of rpcs, because annotations apply to a whole route:

  safe    a repeat has no further effect, so it may be retried
  unsafe  never retried
  other   everything else: health, reflection, rpcs that a newer version adds. Without it they would get NOT_FOUND.

The argument is a service.
*/}}
{{- define "linkerd.grpcRoutes" }}
{{- $mesh := .root.Values.mesh -}}
{{- $fullname := include "berth.fullname" . -}}
{{- range $class := list "safe" "unsafe" "other" }}
{{- $matches := list }}
{{- range $contract, $classes := index $mesh.rpcs $.name }}
{{- range index $classes $class }}{{ $matches = append $matches (dict "service" $contract "method" .) }}{{ end }}
{{- end }}
{{- if or $matches (eq $class "other") }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata:
  name: {{ $fullname }}-{{ $class }}
  namespace: {{ $.root.Release.Namespace }}
  labels:
    {{- include "berth.labels" $ | nindent 4 }}
  {{- if ne $class "other" }}
  annotations:
    timeout.linkerd.io/request: {{ index $mesh.timeouts $.name }}
    {{- if and $mesh.retries (eq $class "safe") }}
    retry.linkerd.io/grpc: unavailable
    retry.linkerd.io/limit: "1"
    {{- end }}
  {{- end }}
spec:
  parentRefs:
    - group: core
      kind: Service
      name: {{ $fullname }}
      port: 8080
  rules:
    {{- /* A rule has at most eight matches. */}}
    {{- range $eight := (empty $matches | ternary (list list) (chunk 8 $matches)) }}
    - backendRefs:
        {{- include "linkerd.backends" $ | nindent 8 }}
      {{- with $eight }}
      matches:
        {{- range . }}
        - method: {type: Exact, service: {{ .service }}, method: {{ .method }}}
        {{- end }}
      {{- end }}
    {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The Service itself; with a canary the weight decides between both. */}}
{{- define "linkerd.backends" -}}
{{- $fullname := include "berth.fullname" . -}}
{{- with .svc.canary -}}
- name: {{ $fullname }}
  port: 8080
  weight: {{ sub 100 .weight }}
- name: {{ $fullname }}-canary
  port: 8080
  weight: {{ .weight }}
{{- else -}}
- name: {{ $fullname }}
  port: 8080
{{- end }}
{{- end }}
