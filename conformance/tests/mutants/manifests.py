"""A manifest without a mistake, and for each rule of lint the same with one."""

from __future__ import annotations

from typing import NamedTuple

CONTAINER = """\
apiVersion: serving.kserve.io/v1alpha1
kind: ClusterStorageContainer
metadata:
  name: kit
spec: # keep
  container:
    name: storage-initializer
    image: r.example/kit-initializer:1.2.3 # keep
    env:
      - name: KIT_USER
        valueFrom:
          secretKeyRef: # keep
            name: kit-secret
            key: KIT_USER
            optional: true
    securityContext: # keep
      allowPrivilegeEscalation: false
      capabilities: {drop: [ALL]}
      runAsNonRoot: true
      seccompProfile: {type: RuntimeDefault}
  supportedUriFormats:
    - prefix: kit://
  workloadType: initContainer
  supportsMultiModelDownload: true
"""
SERVICE = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: iris
spec:
  predictor:
    model:
      modelFormat: {name: sklearn}
      storageUri: kit://r.example/iris:1.0.0
"""
GOOD = f"{CONTAINER}---\n{SERVICE}"

_SECURITY = """\
    securityContext: # keep
      allowPrivilegeEscalation: false
      capabilities: {drop: [ALL]}
      runAsNonRoot: true
      seccompProfile: {type: RuntimeDefault}
"""
_FORMATS = "  supportedUriFormats:\n    - prefix: kit://\n"
_DIGEST = f"sha256:{'a' * 64}"
_CACHE = f"""\
---
apiVersion: serving.kserve.io/v1alpha1
kind: LocalModelCache
metadata: {{name: iris-cache}}
spec: {{sourceModelUri: "kit://r.example/iris@{_DIGEST}", modelSize: 1Gi}}
"""
_LLM = """\
---
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {name: llm}
spec: {model: {uri: "kit://r.example/llm:1.0.0"}}
"""
_JOBS = "---\n" + CONTAINER.replace("name: kit\n", "name: kit-jobs\n", 1).replace(
    "workloadType: initContainer", "workloadType: localModelDownloadJob"
)
_TRAINED = """\
---
apiVersion: serving.kserve.io/v1alpha1
kind: TrainedModel
metadata: {name: trained}
spec: {inferenceService: iris, model: {framework: sklearn, memory: 1Gi, storageUri: "kit://r.example/iris:1.0.0"}}
"""
_HELM = """\
---
apiVersion: v1
kind: ConfigMap
metadata:
  {{- if .Values.name }}
  name: {{ .Values.name }}
  {{- end }}
"""
_POLICY = "      - {name: KIT_SIGNATURE_POLICY, value: 'rules: [{repositories: [\"**\"], reject: true}]'}\n"
_STORAGE = "      storage: {key: a, path: iris, parameters: {type: kit}}\n"


class Broken(NamedTuple):
    """One mistake: what is replaced by what (or put at the end), and the rules that find it as well."""

    old: str
    new: str
    kin: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the manifest with the mistake."""
        if not self.old:
            return GOOD + self.new
        if self.old not in GOOD:
            raise ValueError(f"{self.old!r} is not in the manifest")
        return GOOD.replace(self.old, self.new)


BROKEN = {
    "unreadable": Broken("", _HELM),
    "prefix-caret": Broken("prefix: kit://", "prefix: ^kit://", kin=("uri-without-container",)),
    "regex-unjudged": Broken("prefix: kit://", "regex: '^kit://\\p{letter}'"),
    "cache-tag": Broken("", _CACHE.replace(f"@{_DIGEST}", ":1.0.0") + _JOBS),
    "invalid-reference": Broken("kit://r.example/iris:1.0.0", "kit://r.example/Iris:1.0.0"),
    "storage-container-name": Broken(
        "  predictor:\n", "  predictor:\n    storageContainerName: kit-of-yesterday\n"
    ),
    "mixed-schemes": Broken(
        "    model:\n      modelFormat: {name: sklearn}\n      storageUri: kit://r.example/iris:1.0.0\n",
        "    model: {modelFormat: {name: sklearn}}\n"
        '    storageUris: [{uri: "kit://r.example/iris:1.0.0", mountPath: /mnt/models/a},'
        ' {uri: "oci+fetch://r.example/b:1", mountPath: /mnt/models/b}]\n',
    ),
    "trained-model-with-kit": Broken("", _TRAINED),
    "container-name": Broken("    name: storage-initializer", "    name: kit-storage-initializer # keep"),
    "formats-place": Broken(
        f"{_SECURITY}{_FORMATS}",
        f"{_SECURITY}    supportedUriFormats: # keep\n      - prefix: kit://\n",
        kin=("uri-without-container",),
    ),
    "formats-missing": Broken(_FORMATS, "  supportedUriFormats: []\n", kin=("uri-without-container",)),
    "container-args": Broken("    env:\n", "    args: [--verbose]\n    env:\n"),
    "workload-type-missing": Broken("  workloadType: initContainer\n", ""),
    "workload-type-unknown": Broken(
        "workloadType: initContainer", "workloadType: initcontainer", kin=("uri-without-container",)
    ),
    "multi-model-missing": Broken("  supportsMultiModelDownload: true\n", ""),
    "multi-model-needed": Broken(
        f"supportsMultiModelDownload: true\n---\n{SERVICE}",
        "supportsMultiModelDownload: false\n---\n"
        + SERVICE.replace(
            "    model:\n      modelFormat: {name: sklearn}\n      storageUri: kit://r.example/iris:1.0.0\n",
            "    model: {modelFormat: {name: sklearn}}\n"
            '    storageUris: [{uri: "kit://r.example/iris:1.0.0", mountPath: /mnt/models/a}]\n',
        ),
    ),
    "regex-invalid": Broken("prefix: kit://", "regex: '^kit://(?!private/)'", kin=("uri-without-container",)),
    "regex-unanchored": Broken("prefix: kit://", "regex: 'kit://' # keep"),
    "two-containers": Broken("", "---\n" + CONTAINER.replace("name: kit\n", "name: another\n", 1)),
    "disabled-place": Broken("  workloadType:", "  disabled: true\n  workloadType:"),
    "secret-optional": Broken("            optional: true\n", ""),
    "security-context": Broken(_SECURITY, ""),
    "mount-without-volume": Broken(
        "    env:\n", "    volumeMounts: [{name: docker, mountPath: /docker}]\n    env:\n"
    ),
    "mount-over-model": Broken(
        "    env:\n",
        "    volumeMounts: [{name: models, mountPath: /mnt/models}]\n    env:\n",
        kin=("mount-without-volume",),
    ),
    "image-missing": Broken("    image: r.example/kit-initializer:1.2.3 # keep\n", ""),
    "moving-tag": Broken(":1.2.3", ":latest"),
    "uri-without-container": Broken("prefix: kit://", "prefix: s3://"),
    "local-model-container": Broken("", _CACHE),
    "storage-path": Broken("      storageUri: kit://r.example/iris:1.0.0\n", _STORAGE),
    "llm-with-kit": Broken("", _LLM),
    "signature-policy-invalid": Broken("    env:\n", f"    env:\n{_POLICY.replace('reject', 'refuse')}"),
    "signature-policy-reference": Broken(
        "    env:\n",
        "    env:\n      - name: KIT_SIGNATURE_POLICY\n"
        "        valueFrom: {configMapKeyRef: {name: policy, key: policy.yaml}}\n",
    ),
    "signature-policy-missing": Broken("", _JOBS.replace("    env:\n", f"    env:\n{_POLICY}", 1)),
}
