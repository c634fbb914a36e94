{{/*
Traffic to hosts outside of the cluster: refused, except for the hosts of `mesh.egress.hosts` by TLS. It keeps honest
programs from unexpected calls; it is no barrier against a program that avoids its proxy. The argument is the root.
*/}}
{{- define "linkerd.egress" }}
{{- if .Values.mesh.egress.enabled }}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: EgressNetwork
metadata:
  {{- include "linkerd.metadata" (dict "root" . "name" "internet") | nindent 2 }}
spec:
  trafficPolicy: Deny
{{- with .Values.mesh.egress.hosts }}
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TLSRoute
metadata:
  {{- include "linkerd.metadata" (dict "root" $ "name" "internet") | nindent 2 }}
spec:
  hostnames:
    {{- toYaml . | nindent 4 }}
  parentRefs:
    - group: policy.linkerd.io
      kind: EgressNetwork
      name: {{ $.Release.Name }}-internet
      port: 443
  rules:
    - backendRefs:
        - group: policy.linkerd.io
          kind: EgressNetwork
          name: {{ $.Release.Name }}-internet
          port: 443
{{- end }}
{{- end }}
{{- end }}
