{{/*
The workload of a service: a Deployment if its data is in PostgreSQL, or a StatefulSet with one replica if its data is on a
volume. The argument is a service, as in _names.tpl.
*/}}
{{- define "berth.workload" -}}
{{- $account := include "berth.fullname" (omit . "track") -}}
apiVersion: apps/v1
kind: {{ if .svc.storage }}StatefulSet{{ else }}Deployment{{ end }}
metadata:
  {{- include "berth.metadata" . | nindent 2 }}
spec:
  {{- if .svc.storage }}
  serviceName: {{ include "berth.fullname" . }}
  replicas: 1
  {{- else if not .svc.autoscaling }}
  replicas: {{ .svc.replicas }}
  {{- end }}
  revisionHistoryLimit: 3
  {{- if not .svc.storage }}
  minReadySeconds: 5
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  {{- end }}
  selector:
    matchLabels:
      {{- include "berth.trackSelector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "berth.podLabels" . | nindent 8 }}
        app.kubernetes.io/track: {{ .track | default "stable" }}
        {{- with .svc.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        checksum/config: {{ include "berth.config" . | sha256sum }}
        {{- if .root.Values.mesh.enabled }}
        {{- include "linkerd.podAnnotations" .root | nindent 8 }}
        {{- end }}
        {{- with .svc.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "berth.podBase" . | nindent 6 }}
      serviceAccountName: {{ $account }}
      # Longer than the drain delay and the graceful stop together, so that no request is cut off.
      terminationGracePeriodSeconds: {{ add .svc.drainSeconds .svc.graceSeconds 5 }}
      {{- if not .svc.storage }}
      topologySpreadConstraints:
        {{- range .svc.topologySpread }}
        - {{ toYaml . | indent 10 | trim }}
          labelSelector:
            matchLabels:
              {{- include "berth.selector" $ | nindent 14 }}
          matchLabelKeys: [pod-template-hash]
        {{- end }}
      {{- end }}
      containers:
        - name: app
          image: {{ include "berth.image" . }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          command: [/{{ .name }}]
          envFrom:
            - configMapRef:
                name: {{ $account }}
          {{- with include "berth.env" . | trim }}
          env:
            {{- . | nindent 12 }}
          {{- end }}
          ports:
            - name: grpc
              containerPort: 8080
            - name: admin
              containerPort: 8081
          {{- range $probe := list "startup" "liveness" "readiness" }}
          {{ $probe }}Probe:
            grpc:
              port: 8081
              service: {{ if eq $probe "readiness" }}readiness{{ else }}liveness{{ end }}
            {{- toYaml (index $.svc.probes $probe) | nindent 12 }}
          {{- end }}
          resources:
            {{- toYaml .svc.resources | nindent 12 }}
          securityContext:
            {{- include "berth.containerSecurityContext" . | nindent 12 }}
          volumeMounts:
            - name: data
              mountPath: /data
            - name: tmp
              mountPath: /tmp
            {{- range $mount := list "berth.serviceKeyMount" "berth.secretFilesMount" }}
            {{- with include $mount $ | trim }}
            {{- . | nindent 12 }}
            {{- end }}
            {{- end }}
            {{- with .svc.sharedVolume }}
            - name: shared
              mountPath: {{ .mountPath }}
            {{- end }}
      volumes:
        {{- if not .svc.storage }}
        - name: data
          emptyDir: {}
        {{- end }}
        - name: tmp
          emptyDir: {}
        {{- range $volume := list "berth.serviceKeyVolume" "berth.secretFilesVolume" }}
        {{- with include $volume $ | trim }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- end }}
        {{- if .svc.sharedVolume }}
        - name: shared
          persistentVolumeClaim:
            claimName: {{ $account }}-shared
        {{- end }}
  {{- with .svc.storage }}
  volumeClaimTemplates:
    - metadata:
        name: data
      spec:
        accessModes: [ReadWriteOnce]
        {{- with .storageClassName }}
        storageClassName: {{ . }}
        {{- end }}
        resources:
          requests:
            storage: {{ .size }}
  {{- end }}
{{- end }}
