{{- /* Names, labels and the parts that several templates share. */ -}}

{{- define "podwall.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "podwall.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "podwall.labels" -}}
{{ include "podwall.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "podwall.image" -}}
image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end }}

{{- /* Of a container that serves metrics and health: `of` is its process, .root everything. Its pod's own address alone. */ -}}
{{- define "podwall.metricsArg" -}}
--metrics=$(POD_IP):{{ index .root.Values.metrics.ports .of }}
{{- end }}
{{- define "podwall.podIp" -}}
- name: POD_IP
  valueFrom: { fieldRef: { fieldPath: status.podIP } }
{{- end }}
{{- /* A port's name has 15 characters at most. */ -}}
{{- define "podwall.metricsPort" -}}
{{ eq . "controller" | ternary "metrics" (printf "%s-metrics" .) }}
{{- end }}
{{- define "podwall.health" -}}
ports:
  - { name: {{ include "podwall.metricsPort" .of }}, containerPort: {{ index .root.Values.metrics.ports .of }} }
# Ended only where it answers nothing for a minute: what is in force goes on without it, and it may merely have much to do.
livenessProbe:
  httpGet: { path: /healthz, port: {{ include "podwall.metricsPort" .of }} }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: { path: /readyz, port: {{ include "podwall.metricsPort" .of }} }
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}
{{- /* Without prometheus.io/port: each port that a container names is then a target, as a pod may have two that serve. */ -}}
{{- define "podwall.scrape" -}}
{{- if .Values.metrics.annotations -}}
annotations:
  prometheus.io/scrape: "true"
  prometheus.io/path: /metrics
{{- end }}
{{- end }}

{{- /* What etcd is reached at, and the Secrets with the certificates for it. */ -}}
{{- define "podwall.etcdUrl" -}}
{{- if .Values.etcd.enabled }}https://{{ include "podwall.name" . }}-etcd.{{ .Release.Namespace }}.svc:2379{{ else }}{{ .Values.etcd.external.url }}{{ end }}
{{- end }}
{{- define "podwall.controllerSecret" -}}
{{- if .Values.etcd.enabled }}{{ include "podwall.name" . }}-etcd-controller{{ else }}{{ .Values.etcd.external.controllerSecret }}{{ end }}
{{- end }}
{{- define "podwall.agentSecret" -}}
{{- if .Values.etcd.enabled }}{{ include "podwall.name" . }}-etcd-agent{{ else }}{{ .Values.etcd.external.agentSecret }}{{ end }}
{{- end }}

{{- /* `helm template` has no cluster to ask, and then shows the address that most clusters have. */ -}}
{{- define "podwall.resolver" -}}
{{- $dns := lookup "v1" "Service" "kube-system" "kube-dns" }}
{{- if .Values.agent.resolver }}{{ .Values.agent.resolver }}
{{- else if $dns }}{{ $dns.spec.clusterIP }}
{{- else if lookup "v1" "Namespace" "" "kube-system" }}{{ fail "there is no Service kube-system/kube-dns: set agent.resolver to the address of the cluster's DNS server" }}
{{- else }}10.96.0.10{{ end }}
{{- end }}
