{{- /* Not named .yaml: it is no YAML before Helm has rendered it, and linters read every .yaml of deploy/. */ -}}
{{ include "kit-initializer.container" (dict "root" . "name" "kit-initializer" "workload" "initContainer" "resources" .Values.resources) }}
{{- if .Values.localmodel.enabled }}
---
{{ include "kit-initializer.container" (dict "root" . "name" "kit-initializer-localmodel" "workload" "localModelDownloadJob" "resources" .Values.localmodel.resources) }}
{{- end }}
