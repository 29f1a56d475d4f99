{{- define "invoicing.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "invoicing.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "invoicing.labels" -}}
{{ include "invoicing.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "invoicing.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "invoicing.proofsClaim" -}}
{{ .Values.proofs.existingClaim | default (printf "%s-proofs" (include "invoicing.fullname" .)) }}
{{- end -}}

{{- define "invoicing.backupsClaim" -}}
{{ .Values.backup.existingClaim | default (printf "%s-backups" (include "invoicing.fullname" .)) }}
{{- end -}}

{{- define "invoicing.database" -}}
{{ include "invoicing.fullname" . }}-database
{{- end -}}

{{- define "invoicing.isPublic" -}}
{{- if or .Values.ingress.enabled .Values.httpRoute.enabled }}true{{ end -}}
{{- end -}}

{{/* The text of a setting: whole numbers without an exponent, lists with commas, objects as JSON. */}}
{{- define "invoicing.settingText" -}}
{{- if kindIs "map" . -}}
{{ toJson . }}
{{- else if kindIs "slice" . -}}
{{ join "," . }}
{{- else if and (kindIs "float64" .) (eq (floor .) .) -}}
{{ printf "%.0f" . }}
{{- else -}}
{{ toString . }}
{{- end -}}
{{- end -}}

{{/* A variable from a Secret: of (root, its name, a reference that is preferred). */}}
{{- define "invoicing.secretVariable" -}}
{{- $root := index . 0 -}}
{{- $variable := index . 1 -}}
{{- $reference := index . 2 | default (index $root.Values.secrets.from $variable) -}}
{{- if and (not $reference) (eq $variable "DATABASE_URL") $root.Values.cloudNativePG.enabled -}}
{{- $reference = dict "name" (printf "%s-app" (include "invoicing.database" $root)) "key" "uri" -}}
{{- end -}}
{{- $reference = $reference | default (dict "name" $root.Values.secrets.existingSecret "key" $variable) -}}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef:
      name: {{ $reference.name }}
      key: {{ $reference.key }}
      {{- if has $variable (list "DATABASE_READ_URL" "SMTP_URL" "AUDIT_KEYS_PREVIOUS" "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY") }}
      optional: true
      {{- end }}
{{- end -}}

{{/* The settings that are no secrets. */}}
{{- define "invoicing.settings" -}}
{{- $settings := .Values.settings -}}
{{- if and (include "invoicing.isPublic" .) (not (hasKey $settings "PUBLIC_URL")) -}}
{{- $settings = merge (dict "PUBLIC_URL" (printf "https://%s" .Values.host)) $settings -}}
{{- end -}}
{{- range $name, $value := $settings }}
- name: {{ $name }}
  value: {{ include "invoicing.settingText" $value | quote }}
{{- end }}
{{- end -}}

{{/* Where the proofs are, and the credentials of a bucket. */}}
{{- define "invoicing.proofStore" -}}
{{- if .Values.proofs.store }}
- name: PROOF_STORE
  value: {{ .Values.proofs.store | quote }}
{{- range list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
{{ include "invoicing.secretVariable" (list $ . nil) }}
{{- end }}
{{- else }}
- name: PROOF_DIR
  value: /data/proofs
{{- end }}
{{- end -}}

{{/* Whether pods of any node reach the proofs. */}}
{{- define "invoicing.reachesProofs" -}}
{{- if or .Values.proofs.store (eq .Values.proofs.accessMode "ReadWriteMany") }}true{{ end -}}
{{- end -}}

{{/* The volume of /data: of proofs and mail, or of mail alone. */}}
{{- define "invoicing.dataVolume" -}}
name: data
{{- if .Values.proofs.store }}
emptyDir:
  sizeLimit: {{ .Values.temporarySize }}
{{- else }}
persistentVolumeClaim:
  claimName: {{ include "invoicing.proofsClaim" . }}
{{- end }}
{{- end -}}

{{/* All variables of API and worker. They stand in the pod itself, so that a change restarts it. */}}
{{- define "invoicing.environment" -}}
{{- range list "DATABASE_URL" "DATABASE_READ_URL" "REDIS_URL" "AUDIT_KEY" "AUDIT_KEYS_PREVIOUS" "SMTP_URL" }}
{{ include "invoicing.secretVariable" (list $ . nil) }}
{{- end }}
{{- include "invoicing.settings" . }}
- name: METRICS_HOST
  value: 0.0.0.0
{{- include "invoicing.proofStore" . }}
- name: MAIL_DIR
  value: /data/mail
{{- end -}}

{{/* What the pods of the chart have in common. */}}
{{- define "invoicing.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.serviceAccountName }}
serviceAccountName: {{ . }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  # The image's user, for which the files are readable.
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "invoicing.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "invoicing.container" -}}
image: {{ include "invoicing.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext: {{ include "invoicing.containerSecurity" . | nindent 2 }}
{{- end -}}

{{/* A ReadWriteOnce volume is on one node, and so are all pods that use it. */}}
{{- define "invoicing.withProofs" -}}
{{- if not (include "invoicing.reachesProofs" .) }}
affinity:
  podAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "invoicing.selectorLabels" . | nindent 12 }}
            invoicing/proofs: "true"
{{- end }}
{{- end -}}

{{/* Pods of one component stand apart, as far as there are nodes and zones. Of (root, component). */}}
{{- define "invoicing.spread" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- if include "invoicing.reachesProofs" $root }}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "invoicing.selectorLabels" $root | nindent 8 }}
        app.kubernetes.io/component: {{ $component }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "invoicing.volumes" -}}
- {{ include "invoicing.dataVolume" . | nindent 2 | trim }}
- name: temporary
  emptyDir:
    sizeLimit: {{ .Values.temporarySize }}
{{- end -}}

{{- define "invoicing.mounts" -}}
- name: data
  mountPath: /data
- name: temporary
  mountPath: /tmp
{{- end -}}
