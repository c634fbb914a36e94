{{/* The objects around the workload of a service. The argument is a service, as in _names.tpl. */}}

{{- define "berth.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "berth.metadata" . | nindent 2 }}
automountServiceAccountToken: false
{{- end }}

{{- define "berth.configMap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "berth.metadata" . | nindent 2 }}
data:
  {{- include "berth.config" . | trim | nindent 2 }}
{{- end }}

{{/* For callers in the cluster. */}}
{{- define "berth.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "berth.metadata" . | nindent 2 }}
  {{- if .root.Values.mesh.enabled }}
  annotations:
    {{- include "linkerd.serviceAnnotations" . | nindent 4 }}
  {{- end }}
spec:
  selector:
    {{- include "berth.trackSelector" . | nindent 4 }}
  ports:
    - name: grpc
      port: 8080
      targetPort: grpc
      appProtocol: kubernetes.io/h2c
    - name: admin
      port: 8081
      targetPort: admin
      appProtocol: kubernetes.io/h2c
{{- end }}

{{/* For callers outside of the cluster: the public port only. */}}
{{- define "berth.publicService" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "berth.fullname" . }}-public
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "berth.labels" . | nindent 4 }}
  {{- with .svc.publicService.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ .svc.publicService.type }}
  selector:
    {{- include "berth.selector" . | nindent 4 }}
  ports:
    - name: grpc
      port: {{ .svc.publicService.port }}
      targetPort: grpc
      appProtocol: kubernetes.io/h2c
{{- end }}

{{/* The container `app` only: the proxy of a mesh does not count. */}}
{{- define "berth.autoscaler" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "berth.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "berth.fullname" . }}
  minReplicas: {{ .svc.autoscaling.minReplicas }}
  maxReplicas: {{ .svc.autoscaling.maxReplicas }}
  metrics:
    - type: ContainerResource
      containerResource:
        container: app
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ .svc.autoscaling.cpuPercent }}
  behavior:
    scaleUp:
      stabilizationWindowSeconds: 0
      selectPolicy: Max
      policies:
        - {type: Percent, value: 100, periodSeconds: 15}
        - {type: Pods, value: 4, periodSeconds: 15}
    scaleDown:
      stabilizationWindowSeconds: 300
      policies:
        - {type: Percent, value: 25, periodSeconds: 60}
{{- end }}

{{- define "berth.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "berth.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "berth.selector" . | nindent 6 }}
{{- end }}

{{- define "berth.sharedVolume" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ include "berth.fullname" . }}-shared
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "berth.labels" . | nindent 4 }}
  annotations:
    helm.sh/resource-policy: keep
spec:
  accessModes: [ReadWriteMany]
  {{- with .svc.sharedVolume.storageClassName }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests:
      storage: {{ .svc.sharedVolume.size }}
{{- end }}
