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

{{/* A size as Kubernetes or the gateway writes it, in bytes. */}}
{{- define "apprproxy.bytes" -}}
{{- $unit := regexFind "[A-Za-z]*$" . | trimSuffix "B" }}
{{- $power := get (dict "" 0 "k" 3 "M" 6 "G" 9 "T" 12 "P" 15 "m" -3 "Ki" 10 "Mi" 20 "Gi" 30 "Ti" 40 "Pi" 50) $unit | int }}
{{- $base := hasSuffix "i" $unit | ternary 2.0 10.0 }}
{{- $bytes := regexFind "^[0-9.]+" . | float64 }}
{{- range until (max $power 0 | int) }}{{ $bytes = mulf $bytes $base }}{{ end }}
{{- $bytes }}
{{- end }}
