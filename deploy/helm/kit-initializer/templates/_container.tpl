{{/* A ClusterStorageContainer. Call with: root, name, workload, resources. */}}
{{- define "kit-initializer.container" -}}
apiVersion: serving.kserve.io/v1alpha1
kind: ClusterStorageContainer
metadata:
  name: {{ .name }}
spec:
  container:
    # KServe looks for this name to see whether it has injected already, and to report failures.
    name: storage-initializer
    {{- with .root.Values.image }}
    image: {{ printf "%s%s" .repository (ternary (printf "@%s" .digest) (printf ":%s" (default $.root.Chart.AppVersion .tag)) (ne .digest "")) | quote }}
    imagePullPolicy: {{ .pullPolicy }}
    {{- end }}
    # No `args`: they would replace the URI and the folder.
    env:
      - name: KIT_ENGINE
        value: {{ .root.Values.engine | quote }}
      - name: KIT_UNPACK_FLAGS
        value: {{ .root.Values.unpackFlags | quote }}
      - name: KIT_USER
        valueFrom:
          secretKeyRef: {name: kit-secret, key: KIT_USER, optional: true}
      - name: KIT_PASSWORD
        valueFrom:
          secretKeyRef: {name: kit-secret, key: KIT_PASSWORD, optional: true}
      - name: KIT_DOCKER_CONFIG_JSON
        valueFrom:
          secretKeyRef: {name: kit-docker-config, key: .dockerconfigjson, optional: true}
      - name: KIT_CA_CERT
        valueFrom:
          configMapKeyRef: {name: kit-ca, key: ca.crt, optional: true}
      {{- with .root.Values.signaturePolicy }}
      - name: KIT_SIGNATURE_POLICY
        value: {{ toJson . | quote }}
      {{- end }}
      {{- with .root.Values.env }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    resources:
      {{- toYaml .resources | nindent 6 }}
    # What the `restricted` Pod Security Standard asks for. The user is the image's, or the one the cluster gives.
    securityContext:
      allowPrivilegeEscalation: false
      capabilities: {drop: [ALL]}
      privileged: false
      readOnlyRootFilesystem: true
      runAsNonRoot: true
      seccompProfile: {type: RuntimeDefault}
    terminationMessagePolicy: FallbackToLogsOnError
  supportedUriFormats:
    - prefix: kit://
  workloadType: {{ .workload }}
  supportsMultiModelDownload: true
{{- end }}
