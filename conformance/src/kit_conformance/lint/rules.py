"""The rules: what is wrong, what KServe makes of it, and how to fix it. `checks.py` finds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kit_conformance import refs
from kit_conformance.lint import setting_rules
from kit_conformance.lint.rule import ERROR, WARN, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ERROR", "RULES", "WARN", "Rule"]

_ALL: Final = (
    Rule(
        "unreadable",
        ERROR,
        "a document that cannot be read",
        "Nothing is known about what it holds; everything else was judged. kubectl refuses it as well, unless"
        " a tool changes it first.",
        "correct it; render a Helm chart first (helm template CHART | kit-conformance lint -), and build a "
        "kustomization (kustomize build FOLDER | kit-conformance lint -)",
        refs.K8S_OBJECTS,
    ),
    Rule(
        "container-name",
        ERROR,
        "the container of a ClusterStorageContainer is not called storage-initializer",
        "KServe looks for that very name to see whether it has injected the container already. On its second call "
        'it injects another one, and the pod is refused: "spec.initContainers[1].name: Duplicate value". Nor does '
        "it then see the container fail, so status.modelStatus stays empty.",
        "set spec.container.name to storage-initializer",
        refs.KSERVE_DUPLICATE,
        fixable=True,
    ),
    Rule(
        "formats-place",
        ERROR,
        "supportedUriFormats is inside of the container",
        "It belongs beside the container. With the full CRD the object is refused, with the minimal one it is "
        "accepted and matches no URI at all.",
        "move supportedUriFormats up, to spec",
        refs.KSERVE_CRD,
        fixable=True,
    ),
    Rule(
        "formats-missing",
        ERROR,
        "a ClusterStorageContainer that matches no URI",
        "An empty list of supportedUriFormats, or one whose entries have neither prefix nor regex, is accepted and "
        'never chosen: "StorageURI not supported".',
        "add an entry with a prefix, kit:// for instance",
        refs.KSERVE_CRD,
    ),
    Rule(
        "container-args",
        ERROR,
        "the container of a ClusterStorageContainer sets args",
        "Lists of arguments are not merged: these take the place of the URI and the folder, and the initializer "
        "never learns what to bring.",
        "say it by env, or put it into command",
        refs.KSERVE_INJECTOR,
    ),
    Rule(
        "workload-type-missing",
        ERROR,
        "workloadType is not written",
        "The full CRD fills in initContainer; KServe's minimal CRDs have no defaults, and the object is then "
        "silently ignored.",
        "write workloadType: initContainer",
        refs.KSERVE_CRD,
        fixable=True,
    ),
    Rule(
        "workload-type-unknown",
        ERROR,
        "workloadType is no known one",
        "Any text is accepted, and an object with another one than initContainer or localModelDownloadJob is never "
        "chosen.",
        "write initContainer or localModelDownloadJob",
        refs.KSERVE_CRD,
    ),
    Rule(
        "multi-model-missing",
        ERROR,
        "supportsMultiModelDownload is not written",
        "KServe reads it for every InferenceService with storageUris. The minimal CRDs have no default, and the "
        "controller then dereferences nothing and crashes.",
        "write supportsMultiModelDownload: true, or false if the initializer takes only one pair",
        refs.KSERVE_CRD,
        fixable=True,
    ),
    Rule(
        "multi-model-needed",
        ERROR,
        "storageUris, and the container does not support several",
        'KServe refuses: "does not support multi-model download", even for a single entry.',
        "set supportsMultiModelDownload: true in the ClusterStorageContainer, if its image takes pairs",
        refs.KSERVE_URIS,
    ),
    Rule(
        "prefix-caret",
        ERROR,
        "a prefix with ^ in it",
        "A prefix is text, not a regex: KServe compares it letter by letter, and no URI begins with ^. The "
        "entry never matches.",
        "leave out the ^, or call the entry regex",
        refs.KSERVE_CRD,
    ),
    Rule(
        "regex-invalid",
        ERROR,
        "a regex that Go cannot compile",
        "KServe compiles it at every lookup. One bad regex fails the lookup of every InferenceService of the "
        "cluster that reaches it, whichever storage it uses, and depending on the order it does so now and then.",
        "write it in the syntax of RE2 (no lookaround, no backreferences), or use a prefix",
        refs.KSERVE_INJECTOR,
    ),
    Rule(
        "regex-unjudged",
        WARN,
        "a regex that cannot be judged here",
        "Whether KServe can compile it is not known, and one that it cannot compile stops every "
        "InferenceService of the cluster.",
        "install kit-conformance[lint], or write it more simply: a prefix is enough for most",
        refs.KSERVE_INJECTOR,
    ),
    Rule(
        "regex-unanchored",
        WARN,
        "a regex that may match anywhere in a URI",
        "KServe looks for a match anywhere: kit:// within the query of an https:// URI matches as well, and that "
        "model is then brought by the wrong image.",
        "begin the regex with ^",
        refs.KSERVE_CRD,
        fixable=True,
    ),
    Rule(
        "two-containers",
        ERROR,
        "two ClusterStorageContainers for one URI",
        "KServe takes whichever it sees first, and promises no order: the image changes from pod to pod.",
        "remove one, set disabled: true beside its spec, or name one in each predictor by storageContainerName",
        refs.KSERVE_CSC,
    ),
    Rule(
        "disabled-place",
        ERROR,
        "disabled is inside of spec",
        "It belongs beside spec. Inside it is pruned or ignored, and the container stays in use.",
        "move disabled up, beside spec",
        refs.KSERVE_CRD,
    ),
    Rule(
        "secret-optional",
        ERROR,
        "a secret or a config map that must exist in every namespace",
        "References resolve in the namespace of each InferenceService. Where the object is missing the pod stays in "
        "CreateContainerConfigError, public models included.",
        "add optional: true",
        refs.K8S_SECRET,
        fixable=True,
    ),
    Rule(
        "security-context",
        WARN,
        "the container has no securityContext of the restricted standard",
        "KServe adds none. In a namespace that enforces the restricted Pod Security Standard no pod with this "
        "initializer is admitted.",
        "set allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, runAsNonRoot: true and "
        "seccompProfile: {type: RuntimeDefault}",
        refs.K8S_RESTRICTED,
        fixable=True,
    ),
    Rule(
        "mount-without-volume",
        ERROR,
        "a volumeMount whose volume nobody declares",
        "A ClusterStorageContainer cannot add volumes to a pod: unless the runtime or the InferenceService declares "
        "it, the API server refuses the pod.",
        "pass the contents by env from a secret, or declare the volume in the ServingRuntime",
        refs.KSERVE_INJECTOR,
    ),
    Rule(
        "mount-over-model",
        ERROR,
        "a volumeMount at /mnt/models",
        "Mounts are merged by path: it takes the place of the volume that the server reads.",
        "mount it elsewhere",
        refs.KSERVE_INJECTOR,
    ),
    Rule(
        "image-missing",
        WARN,
        "the container has no image",
        "The CRD does not ask for one; KServe's default image is then started with a URI that it does not know.",
        "set spec.container.image",
        refs.KSERVE_CRD,
    ),
    Rule(
        "moving-tag",
        WARN,
        "a tag that moves",
        "latest, next and a missing tag are something else tomorrow: pods of one deployment then run different "
        "code, or serve different models.",
        "name a version, or better a digest",
        refs.K8S_IMAGES,
    ),
    Rule(
        "cache-tag",
        WARN,
        "a cache of a tag",
        "The key of the copy on the node is the text of the URI. A tag that is pushed again has the same "
        "text, so the new kit is never brought, on no node and after no restart.",
        "name the digest: kit://host/repository@sha256:…",
        refs.KSERVE_LOCALMODEL,
    ),
    Rule(
        "invalid-reference",
        ERROR,
        "a kit:// URI that names no kit",
        "KServe compares only its beginning with the prefixes. The pod is created, and its initializer fails "
        "for ever.",
        "write kit://host[:port]/repository[:tag][@sha256:digest]",
        refs.OCI_MANIFESTS,
    ),
    Rule(
        "uri-without-container",
        WARN,
        "kit:// and no ClusterStorageContainer for it",
        'Without one KServe creates no pod at all; the only trace is an event: "StorageURI not supported".',
        "apply a ClusterStorageContainer with the prefix kit://, or check that the cluster has one",
        refs.KSERVE_CSC,
    ),
    Rule(
        "storage-container-name",
        ERROR,
        "storageContainerName names a container that KServe does not take",
        "A name is looked up as it stands, and nothing takes its place: a container that is missing, "
        "disabled, for jobs, or not for this URI is an error, and no pod starts.",
        "name an enabled ClusterStorageContainer with workloadType initContainer whose formats match the URI",
        refs.KSERVE_INJECTOR,
    ),
    Rule(
        "mixed-schemes",
        ERROR,
        "kit:// beside another scheme in one pod",
        "KServe gives all URIs of a pod to one init container, that of the first URI. oci+fetch:// has a "
        "container with the same name, storage-initializer. The initializer of one scheme is then asked for "
        "the other, or is never injected.",
        "pack those files into a kit, or bring them by a service that is apart from this one",
        refs.KSERVE_URIS,
    ),
    Rule(
        "local-model-container",
        WARN,
        "a LocalModelCache of kit://, and no container for its jobs",
        "Jobs of a cache look for a ClusterStorageContainer of their own, with workloadType localModelDownloadJob; "
        "without one KServe's default image is started, and fails.",
        "apply a second ClusterStorageContainer with workloadType: localModelDownloadJob",
        refs.KSERVE_LOCALMODEL,
    ),
    Rule(
        "storage-path",
        ERROR,
        "storage.path where the storage is a kit",
        "From 0.16 on KServe looks for a container by a placeholder instead of the kit's URI, finds none, and "
        "starts its default image.",
        "write storageUri: kit://…, and storage with key and parameters.type: kit only",
        refs.KSERVE_INJECTOR,
    ),
    Rule(
        "llm-with-kit",
        ERROR,
        "an LLMInferenceService with kit://",
        'It does not know ClusterStorageContainers: "unsupported schema in model URI". No pod is created.',
        "make a LocalModelCache of the model (adapters are not served by one), or disable its storage initializer and "
        "add an init container of your own, or use an InferenceService",
        refs.KSERVE_LLM,
    ),
    Rule(
        "trained-model-with-kit",
        ERROR,
        "a TrainedModel with kit://",
        'Its webhook knows a list of prefixes that holds no kit://: "The storage uri must start with one of '
        'the prefixes". The object is refused.',
        "use an InferenceService for the model",
        refs.KSERVE_TRAINED,
    ),
    Rule(
        "signature-policy-invalid",
        ERROR,
        "the signature policy cannot be used",
        "The initializer exits with code 2 before it sends a request, so no InferenceService with a kit starts.",
        "correct the variable that the finding names; docs/signatures.md lists all members of a policy",
        refs.SIGSTORE_VERIFY,
    ),
    Rule(
        "signature-policy-reference",
        WARN,
        "the signature policy does not stand in the ClusterStorageContainer",
        "References resolve in the namespace of each InferenceService. Users who can write Secrets or ConfigMaps there "
        "can replace the policy, and an optional reference to a missing object means that no policy applies.",
        "write the policy as a literal value; public keys and identities are not secret",
        refs.K8S_SECRET,
    ),
    Rule(
        "signature-policy-missing",
        WARN,
        "a ClusterStorageContainer for kits without the signature policy of another",
        "Kits that it downloads are not judged by that policy. A predictor can choose its container by "
        "storageContainerName, and a LocalModelCache uses the one for its jobs.",
        "write the same policy into every ClusterStorageContainer that claims kit://, or disable those that need none",
        refs.KSERVE_CSC,
    ),
)
RULES: Final[Mapping[str, Rule]] = {rule.name: rule for rule in (*_ALL, *setting_rules.RULES)}
