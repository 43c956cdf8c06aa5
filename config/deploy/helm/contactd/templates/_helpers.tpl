{{- define "contactd.name" -}}
{{- if contains "contactd" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-contactd" (.Release.Name | trunc 41 | trimSuffix "-") }}{{ end }}
{{- end }}

{{- define "contactd.selector" -}}
app.kubernetes.io/name: contactd
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "contactd.labels" -}}
{{ include "contactd.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "contactd.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "contactd.container" -}}
image: {{ include "contactd.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
env:
  - {name: CONTACTD_CONFIG, value: /etc/contactd/contactd.toml}
  - {name: KAFKA_BROKERS, value: {{ required "kafka.brokers is needed: host:port of the brokers" .Values.kafka.brokers | quote }}}
  - {name: CONTACTD_TELEMETRY__LISTEN, value: "0.0.0.0:9464"}
  - {name: CONTACTD_KAFKA__TOPIC, value: {{ .Values.kafka.topic | quote }}}
  {{- if .Values.redis.host }}
  - {name: REDIS_HOST, value: {{ .Values.redis.host | quote }}}
  - {name: REDIS_PORT, value: {{ .Values.redis.port | quote }}}
  {{- end }}
  {{- if .Values.users.existingSecret }}
  - {name: CONTACTD_AUTH__USERS_FILE, value: /run/contactd/users/users.toml}
  {{- end }}
  {{- range $name, $file := .Values.secrets.files }}
  - {name: {{ $name }}, value: {{ hasPrefix "/" $file | ternary $file (printf "/run/contactd/secrets/%s" $file) }}}
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumeMounts:
  - {name: data, mountPath: /data}
  - {name: tmp, mountPath: /tmp}
  - {name: config, mountPath: /etc/contactd, readOnly: true}
  - {name: secrets, mountPath: /run/contactd/secrets, readOnly: true}
  {{- if .Values.users.existingSecret }}
  - {name: users, mountPath: /run/contactd/users, readOnly: true}
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
