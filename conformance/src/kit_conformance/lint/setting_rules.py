"""The rules about what is set: variables and flags of the initializer, keys of KServe, names of images."""

from __future__ import annotations

from typing import Final

from kit_conformance import refs
from kit_conformance.lint.rule import ERROR, WARN, Rule

RULES: Final = (
    Rule(
        "variable-value",
        ERROR,
        "a variable has a value that the initializer refuses",
        "The initializer ends with exit code 2 before it sends a request, so no InferenceService with a kit starts.",
        "write a value that docs/environment.md allows, or leave the variable out",
        "docs/environment.md",
    ),
    Rule(
        "variable-unknown",
        WARN,
        "a variable that the initializer does not read",
        "The initializer ignores names that it does not know, and runs with the default instead.",
        "correct the name; docs/environment.md lists all of them",
        "docs/environment.md",
    ),
    Rule(
        "unpack-flags",
        ERROR,
        "KIT_UNPACK_FLAGS holds flags that the initializer refuses",
        "The initializer ends with exit code 2 before it sends a request, so no InferenceService with a kit starts.",
        "correct the flag; docs/flags.md lists those of both engines",
        "docs/flags.md",
    ),
    Rule(
        "secret-in-plain-text",
        ERROR,
        "a secret stands in the manifest",
        "Everybody who can read the object, the pod or the repository can read the password.",
        "take it from a Secret: valueFrom.secretKeyRef with optional: true",
        refs.K8S_SECRET,
    ),
    Rule(
        "image-registry",
        WARN,
        "an image without a registry",
        "The node completes the name with its own default, docker.io on most. That is somebody else's image, or none.",
        "write the registry: registry.example/kit-initializer:1.2.3",
        refs.K8S_IMAGES,
    ),
    Rule(
        "uri-key",
        ERROR,
        "a misspelt key for the URI of a model",
        "kubectl refuses a field that the CRD does not have, or the API server drops it with a warning that most "
        "clients hide. The server then starts without a model.",
        "write storageUri, storageUris, or sourceModelUri in a LocalModelCache",
        refs.KSERVE_CSC,
    ),
    Rule(
        "uri-twice",
        ERROR,
        "storageUri beside storageUris",
        "KServe's webhook refuses an InferenceService that has both.",
        "move the storageUri into the list of storageUris",
        refs.KSERVE_URIS,
    ),
)
