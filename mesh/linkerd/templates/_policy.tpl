{{/* Who may connect to what. `default-inbound-policy` refuses everything else. */}}

{{/*
A port and its callers. The argument is dict "root" $ "name" <of the objects> "pods" <labels> "port" <name> "protocol" <…>
"callers" <names of ServiceAccounts, or objects with name and namespace>.
*/}}
{{- define "linkerd.server" }}
---
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata:
  {{- include "linkerd.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- .pods | nindent 6 }}
  port: {{ .port }}
  proxyProtocol: {{ .protocol }}
  accessPolicy: {{ .root.Values.mesh.policy }}
{{- if .callers }}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata:
  {{- include "linkerd.metadata" . | nindent 2 }}
spec:
  identityRefs:
    {{- range .callers }}
    - kind: ServiceAccount
      {{- if kindIs "map" . }}
      name: {{ .name }}
      namespace: {{ .namespace }}
      {{- else }}
      name: {{ . }}
      {{- end }}
    {{- end }}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata:
  {{- include "linkerd.metadata" . | nindent 2 }}
spec:
  targetRef:
    group: policy.linkerd.io
    kind: Server
    name: {{ .root.Release.Name }}-{{ .name }}
  requiredAuthenticationRefs:
    - group: policy.linkerd.io
      kind: MeshTLSAuthentication
      name: {{ .root.Release.Name }}-{{ .name }}
{{- end }}
{{- end }}

{{- define "linkerd.metadata" -}}
name: {{ .root.Release.Name }}-{{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "berth.labels" . | nindent 2 }}
{{- end }}

{{/*
The admin ports of all services. The kubelet and Prometheus are not in the mesh, so the proxy lets everybody connect. Health and
metrics are open to them; event logs and the inspection need a service key, and dead letters the token of an ADMIN. A
NetworkPolicy narrows who connects directly, but not other pods of the mesh: they arrive at the port of the proxy.
*/}}
{{- define "linkerd.adminServer" }}
---
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata:
  {{- include "linkerd.metadata" (dict "root" . "name" "admin") | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/instance: {{ .Release.Name }}
      app.kubernetes.io/part-of: berth
  port: admin
  accessPolicy: all-unauthenticated
{{- end }}

{{/* Requests above the limit get RESOURCE_EXHAUSTED, counted for each pod. The argument is a service. */}}
{{- define "linkerd.rateLimit" }}
{{- with .root.Values.mesh.rateLimit }}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: HTTPLocalRateLimitPolicy
metadata:
  {{- include "linkerd.metadata" $ | nindent 2 }}
spec:
  targetRef:
    group: policy.linkerd.io
    kind: Server
    name: {{ $.root.Release.Name }}-{{ $.name }}
  total:
    requestsPerSecond: {{ .requestsPerSecond }}
{{- end }}
{{- end }}
