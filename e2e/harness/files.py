"""Pods and InferenceServices whose server only tells which files it was given: enough for most scenarios, and small."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from e2e.harness import files_server
from e2e.harness.pod import MODELS, VOLUME, initializer_of
from e2e.harness.versions import IMAGES
from kit_conformance.testbed.pods import container_security, pod_security

if TYPE_CHECKING:
    from e2e.harness.objects import Object

RUNTIME = "files"
_SMALL = {"requests": {"cpu": "10m", "memory": "24Mi"}, "limits": {"cpu": "500m", "memory": "96Mi"}}


def _server() -> Object:
    with open(files_server.__file__, encoding="utf-8") as file:
        program = file.read()
    return {
        "name": "kserve-container",
        "image": IMAGES["python"],
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", program],
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "resources": _SMALL,
        # a user that no image knows, and that is not the initializer's
        "securityContext": container_security(**pod_security(runAsUser=65432)),
    }


def files_pod(name: str, storage_container: Object, *arguments: str, volume: Object | None = None) -> Object:
    """Return a pod that initializes with these arguments (a URI alone: to /mnt/models) and tells its files.

    `volume` is the source of the models' volume, an emptyDir when it is not given.
    """
    given = list(arguments) if len(arguments) > 1 else [*arguments, MODELS]
    server = _server()
    server["volumeMounts"] = [{"name": VOLUME, "mountPath": MODELS, "readOnly": True}]
    server["readinessProbe"] = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "initContainers": [initializer_of(storage_container, given)],
            "containers": [server],
            "volumes": [{"name": VOLUME, **(volume or {"emptyDir": {}})}],
        },
    }


def runtime() -> Object:
    """Return a ServingRuntime of the scenario's own namespace for the model format `files`."""
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": RUNTIME},
        "spec": {
            "supportedModelFormats": [{"name": "files", "version": "1"}],
            "protocolVersions": ["v1"],
            "containers": [_server()],
        },
    }


def service(name: str, uri: str = "", **predictor: object) -> Object:
    """Return an InferenceService on that runtime; what else is given is the predictor's, or its model's.

    Without `uri` it has no storageUri (for `storageUris`). `storage` goes to the model.
    """
    predictor = copy.deepcopy(predictor)
    model: Object = {"modelFormat": {"name": "files"}, "runtime": RUNTIME, "resources": _SMALL}
    if uri:
        model["storageUri"] = uri
    if "storage" in predictor:
        model["storage"] = predictor.pop("storage")
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": {"predictor": {"terminationGracePeriodSeconds": 3, "model": model, **predictor}},
    }
