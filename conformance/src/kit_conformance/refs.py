"""What the cases stand on: pages of KServe, OCI and Kit, and of this project for its own promises."""

from __future__ import annotations

from typing import Final

KSERVE_CSC: Final = "https://kserve.github.io/website/docs/model-serving/storage/storage-containers"
KSERVE_URIS: Final = "https://kserve.github.io/website/docs/model-serving/storage/multiple-storage-uri"
KSERVE_CA: Final = (
    "https://kserve.github.io/website/docs/model-serving/storage/certificate/kserve-storage-certificate"
)
_KSERVE_SOURCE: Final = "https://github.com/kserve/kserve/blob/v0.20.0"
KSERVE_INJECTOR: Final = f"{_KSERVE_SOURCE}/pkg/webhook/admission/pod/storage_initializer_injector.go"
KSERVE_ENTRYPOINT: Final = f"{_KSERVE_SOURCE}/python/storage-initializer/scripts/initializer-entrypoint"
KSERVE_STORAGE: Final = f"{_KSERVE_SOURCE}/python/storage/kserve_storage/kserve_storage.py"
KSERVE_STATUS: Final = f"{_KSERVE_SOURCE}/pkg/apis/serving/v1beta1/inference_service_status.go"
KSERVE_LOCALMODEL: Final = f"{_KSERVE_SOURCE}/pkg/controller/v1alpha1/localmodelnode/controller.go"
KSERVE_CRD: Final = f"{_KSERVE_SOURCE}/pkg/apis/serving/v1alpha1/storage_container_types.go"
KSERVE_DUPLICATE: Final = "https://github.com/kserve/kserve/issues/3900"
KSERVE_LLM: Final = "https://github.com/kserve/kserve/issues/6024"
KSERVE_TRAINED: Final = f"{_KSERVE_SOURCE}/pkg/apis/serving/v1alpha1/trainedmodel_webhook.go"

K8S_OBJECTS: Final = "https://kubernetes.io/docs/concepts/overview/working-with-objects/"
K8S_INIT: Final = "https://kubernetes.io/docs/concepts/workloads/pods/init-containers/"
K8S_TERMINATION: Final = (
    "https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/"
)
K8S_LIFECYCLE: Final = "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/"
K8S_RESTRICTED: Final = "https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"
K8S_EMPTYDIR: Final = "https://kubernetes.io/docs/concepts/storage/volumes/#emptydir"
K8S_SERVICE_ENV: Final = (
    "https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables"
)
K8S_SECRET: Final = "https://kubernetes.io/docs/concepts/configuration/secret/#restriction-secret-must-exist"  # noqa: S105
K8S_IMAGES: Final = "https://kubernetes.io/docs/concepts/containers/images/"
K8S_CONFIG_JSON: Final = f"{K8S_IMAGES}#config-json"
OPENSHIFT_UIDS: Final = (
    "https://docs.openshift.com/container-platform/latest/openshift_images/create-images.html"
)

_OCI: Final = "https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md"
OCI_PULL: Final = f"{_OCI}#pull"
OCI_MANIFESTS: Final = f"{_OCI}#pulling-manifests"
OCI_BLOBS: Final = f"{_OCI}#pulling-blobs"
OCI_ERRORS: Final = f"{_OCI}#error-codes"
OCI_DIGESTS: Final = "https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#verification"
OCI_DESCRIPTOR: Final = "https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#properties"
OCI_TOKENS: Final = "https://distribution.github.io/distribution/spec/auth/token/"
OCI_IDENTITY: Final = "https://distribution.github.io/distribution/spec/auth/oauth/"
DOCKER_CONFIG: Final = "https://docs.docker.com/reference/cli/docker/login/#credential-stores"
RFC_HTTP: Final = "https://www.rfc-editor.org/rfc/rfc9110"
RFC_CHALLENGES: Final = "https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1"
RFC_INTERIM: Final = "https://www.rfc-editor.org/rfc/rfc9110#section-15.2"
RFC_REDIRECT: Final = "https://www.rfc-editor.org/rfc/rfc9110#section-15.4"
RFC_RETRY: Final = "https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3"
RFC_RANGE: Final = "https://www.rfc-editor.org/rfc/rfc9110#section-14"
RFC_OVERLOAD: Final = "https://www.rfc-editor.org/rfc/rfc9110#section-15.6.4"
RFC_ENCODING: Final = "https://www.rfc-editor.org/rfc/rfc9110#section-8.4"
RFC_PART: Final = "https://www.rfc-editor.org/rfc/rfc9110#section-15.3.7"
RFC_LENGTH: Final = "https://www.rfc-editor.org/rfc/rfc9112#section-8"
RFC_TLS: Final = "https://www.rfc-editor.org/rfc/rfc9110#section-4.3.4"

_KIT: Final = "https://kitops.org/docs"
KIT_VERIFIES: Final = f"{_KIT}/security/"
KIT_UNPACK: Final = f"{_KIT}/cli/cli-reference/#kit-unpack"
KIT_PACK: Final = f"{_KIT}/cli/cli-reference/#kit-pack"
KIT_LOGIN: Final = f"{_KIT}/cli/cli-reference/#kit-login"
KIT_KITFILE: Final = f"{_KIT}/kitfile/format/"
KIT_KSERVE: Final = f"{_KIT}/integrations/kserve/"
KIT_PARENTS: Final = f"{_KIT}/kitfile/kf-overview/"
KIT_FORMAT: Final = "https://github.com/kitops-ml/kitops/blob/main/pkg/artifact/spec.md"
SIGSTORE_VERIFY: Final = "https://docs.sigstore.dev/cosign/verifying/verify/"
MODELPACK: Final = "https://github.com/modelpack/model-spec/blob/main/docs/spec.md"
TAR_TRAVERSAL: Final = "https://cwe.mitre.org/data/definitions/22.html"
TAR_LINKS: Final = "https://cwe.mitre.org/data/definitions/59.html"
TAR_BOMB: Final = "https://cwe.mitre.org/data/definitions/409.html"
CWE_ALLOCATION: Final = "https://cwe.mitre.org/data/definitions/770.html"
TAR_CVES: Final = "https://nvd.nist.gov/vuln/detail/CVE-2025-4517"

_COSIGN: Final = "https://github.com/sigstore/cosign/blob/v3.1.3/specs"
COSIGN_BUNDLE: Final = f"{_COSIGN}/BUNDLE_SPEC.md"
COSIGN_SIMPLE: Final = f"{_COSIGN}/SIGNATURE_SPEC.md"
COSIGN_ATTESTATION: Final = f"{_COSIGN}/ATTESTATION_SPEC.md"
COSIGN_PREDICATE: Final = "https://github.com/sigstore/cosign/security/advisories/GHSA-w6c6-c85g-mmv6"
COSIGN_BARE_KEY: Final = "https://github.com/sigstore/cosign/security/advisories/GHSA-fx35-mq7g-6g98"
SIGSTORE_CLIENT: Final = "https://github.com/sigstore/architecture-docs/blob/main/client-spec.md"
DSSE: Final = "https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md"
IN_TOTO: Final = "https://github.com/in-toto/attestation/blob/v1.1.2/spec/v1/statement.md"
IN_TOTO_VALIDATION: Final = "https://github.com/in-toto/attestation/blob/v1.1.2/docs/validation.md"
OCI_REFERRERS: Final = f"{_OCI}#listing-referrers"
OCI_NO_REFERRERS: Final = f"{_OCI}#unavailable-referrers-api"
SIGNED_IDENTITY: Final = "https://github.com/containers/image/blob/main/docs/containers-policy.json.5.md"

INITIALIZER_CODES: Final = "docs/exit-codes.md"
INITIALIZER_ENVIRONMENT: Final = "docs/environment.md"
INITIALIZER_CREDENTIALS: Final = "docs/credentials.md"
INITIALIZER_FLAGS: Final = "docs/flags.md"
INITIALIZER_OPERATE: Final = "docs/operate.md"
