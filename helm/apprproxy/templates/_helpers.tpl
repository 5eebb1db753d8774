{{- define "apprproxy.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* 52 characters, since a StatefulSet's pods carry it in a label with a hash after it. */}}
{{- define "apprproxy.fullname" -}}
{{- $name := include "apprproxy.name" . }}
{{- $made := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- default $made .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "apprproxy.selectorLabels" -}}
app.kubernetes.io/name: {{ include "apprproxy.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "apprproxy.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "apprproxy.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "apprproxy.serviceAccountName" -}}
{{- $made := .Values.serviceAccount.create | ternary (include "apprproxy.fullname" .) "default" }}
{{- default $made .Values.serviceAccount.name }}
{{- end }}

{{- define "apprproxy.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* The address that the Service and the probes lead to. */}}
{{- define "apprproxy.address" -}}
{{- $listen := .Values.config.server.listen }}
{{- if kindIs "slice" $listen }}{{ first $listen }}{{ else }}{{ $listen }}{{ end }}
{{- end }}

{{- define "apprproxy.port" -}}
{{- regexFind "[0-9]+$" (include "apprproxy.address" .) }}
{{- end }}

{{- define "apprproxy.scheme" -}}
{{- if .Values.config.server.tls }}HTTPS{{ else }}HTTP{{ end }}
{{- end }}
