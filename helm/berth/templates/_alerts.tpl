{{/* Rules of Prometheus. The argument is the root. */}}

{{/*
How much of its error budget each service spends: 100 % minus its objective, over 30 days. An alert fires when two windows agree: the long
one shows that it matters, the short one that it still lasts. A burn rate that even a complete outage cannot reach is left
out: with an objective of 60 % an outage burns at 2.5. Ten failed requests at least, so that one failure of a quiet
service is none.
*/}}
{{- define "berth.objectiveRules" -}}
{{- $in := printf "namespace=%q" .Release.Namespace -}}
{{- $failed := printf "%s,code=~\"UNKNOWN|DEADLINE_EXCEEDED|INTERNAL|UNAVAILABLE|DATA_LOSS\"" $in -}}
- name: berth.objectives
  rules:
    {{- range list "5m" "30m" "1h" "2h" "6h" "1d" "3d" }}
    - record: berth:rpc_failures:ratio_rate{{ . }}
      expr: >-
        sum by (namespace, service) (rate(berth_rpc_duration_seconds_count{ {{- $failed -}} }[{{ . }}]))
        / sum by (namespace, service) (rate(berth_rpc_duration_seconds_count{ {{- $in -}} }[{{ . }}]))
    {{- end }}
    {{- range $name, $svc := .Values.services }}
    {{- $svc = mustMergeOverwrite (deepCopy $.Values.defaults) (deepCopy ($svc | default dict)) }}
    {{- $budget := divf (subf 100 $svc.objective) 100 }}
    {{- range $burn := $.Values.monitoring.burnRates }}
    {{- if lt (mulf $burn.factor $budget) 1.0 }}
    - alert: BerthErrorBudgetBurn
      expr: >-
        berth:rpc_failures:ratio_rate{{ $burn.long }}{ {{- $in }},service={{ $svc.contract | quote -}} } > {{ $burn.factor }} * (1 - {{ $svc.objective }} / 100)
        and berth:rpc_failures:ratio_rate{{ $burn.short }}{ {{- $in }},service={{ $svc.contract | quote -}} } > {{ $burn.factor }} * (1 - {{ $svc.objective }} / 100)
        and on (namespace, service) sum by (namespace, service) (increase(berth_rpc_duration_seconds_count{ {{- $failed -}} }[{{ $burn.long }}])) > 10
      for: 1m
      labels:
        severity: {{ $burn.severity }}
        window: {{ $burn.long }}
      annotations:
        summary: {{ $name }} spends its error budget at {{ $burn.factor }} times the allowed rate
        description: '{{ "{{ $value | humanizePercentage }}" }} of the requests fail; the objective is {{ $svc.objective }} % without failure.'
        runbook_url: {{ $.Values.monitoring.runbooks }}#error-budget
    {{- end }}
    {{- end }}
    {{- end }}
{{- end }}

{{/* Conditions that need an operator, now or soon. */}}
{{- define "berth.conditionRules" -}}
{{- $in := printf "namespace=%q" .Release.Namespace -}}
{{- $runbooks := .Values.monitoring.runbooks -}}
- name: berth.conditions
  rules:
    {{- range $name, $_ := include "berth.services" . | fromYaml }}
    - alert: BerthDown
      expr: >-
        sum by (namespace, job) (up{ {{- $in }},job={{ $name | quote -}} }) == 0
        or absent(up{ {{- $in }},job={{ $name | quote -}} })
      for: 1m
      labels:
        severity: critical
      annotations:
        summary: no replica of {{ $name }} answers
        runbook_url: {{ $runbooks }}#process_unreachable
    {{- end }}
    - alert: BerthStoreFenced
      expr: berth_store_fenced{ {{- $in -}} } == 1
      labels:
        severity: critical
      annotations:
        summary: '{{ "{{ $labels.context }}" }} refuses commands, because its log has lost events'
        runbook_url: {{ $runbooks }}#store_fenced
    - alert: BerthNoLeader
      expr: sum by (namespace, context) (berth_leading{ {{- $in -}} }) < 1
      for: 15s
      labels:
        severity: critical
      annotations:
        summary: no replica of {{ "{{ $labels.context }}" }} leads
        runbook_url: {{ $runbooks }}#no_leader
    - alert: BerthTwoLeaders
      expr: sum by (namespace, context) (berth_leading{ {{- $in -}} }) > 1
      for: 15s
      labels:
        severity: critical
      annotations:
        summary: several replicas of {{ "{{ $labels.context }}" }} lead
        runbook_url: {{ $runbooks }}#two_leaders
    - alert: BerthStoreFailing
      expr: sum by (namespace, context) (rate(berth_store_errors_total{ {{- $in -}} }[1m])) > 1
      for: 1m
      labels:
        severity: critical
      annotations:
        summary: the database of {{ "{{ $labels.context }}" }} fails
        runbook_url: {{ $runbooks }}#store_failing
    - alert: BerthDeadLettersParked
      expr: increase(berth_parked_events_total{ {{- $in -}} }[10m]) > 0
      labels:
        severity: critical
      annotations:
        summary: '{{ "{{ $labels.consumer }}" }} cannot apply events and has stopped to try'
        runbook_url: {{ $runbooks }}#dead_letters_parked
    - alert: BerthPanics
      expr: increase(berth_panics_total{ {{- $in -}} }[10m]) > 0
      labels:
        severity: critical
      annotations:
        summary: requests to {{ "{{ $labels.service }}" }} ended in a panic
        runbook_url: {{ $runbooks }}#panics
    - alert: BerthBreakerOpen
      expr: max by (namespace, job, peer) (berth_breaker_state{ {{- $in -}} }) > 0
      for: 10s
      labels:
        severity: warning
      annotations:
        summary: '{{ "{{ $labels.job }}" }} does not call {{ "{{ $labels.peer }}" }}, because too many calls failed'
        runbook_url: {{ $runbooks }}#breaker_open
    - alert: BerthBusDisconnected
      expr: berth_bus_connected{ {{- $in -}} } == 0
      for: 30s
      labels:
        severity: warning
      annotations:
        summary: '{{ "{{ $labels.job }}" }} is not connected to NATS'
        runbook_url: {{ $runbooks }}#bus_disconnected
    - alert: BerthConsumerLags
      expr: max by (namespace, consumer, producer) (berth_consumer_lag{ {{- $in -}} }) > 1000
      for: 1m
      labels:
        severity: warning
      annotations:
        summary: '{{ "{{ $labels.consumer }}" }} is {{ "{{ $value }}" }} events behind {{ "{{ $labels.producer }}" }}'
        runbook_url: {{ $runbooks }}#consumer_lags
    - alert: BerthOverloaded
      expr: sum by (namespace, job) (rate(berth_rpc_shed_total{ {{- $in -}} }[1m])) > 0
      for: 1m
      labels:
        severity: warning
      annotations:
        summary: '{{ "{{ $labels.job }}" }} refuses requests, because there are too many'
        runbook_url: {{ $runbooks }}#overload
    - alert: BerthPasswordsGuessed
      expr: sum by (namespace) (rate(berth_failed_attempts_total{ {{- $in -}} }[5m])) > 1
      for: 1m
      labels:
        severity: warning
      annotations:
        summary: many sign-ins fail
        runbook_url: {{ $runbooks }}#failed-sign-ins
    {{- if .Values.mesh.enabled }}
    - alert: BerthCertificateExpires
      expr: min by (namespace, pod) (identity_cert_expiration_timestamp_seconds{ {{- $in -}} }) - time() < 4 * 3600
      for: 15m
      labels:
        severity: critical
      annotations:
        summary: the mesh certificate of {{ "{{ $labels.pod }}" }} expires in less than four hours and is not renewed
        runbook_url: {{ $runbooks }}#mesh-certificates
    {{- end }}
{{- end }}
