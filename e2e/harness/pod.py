"""The pod that KServe makes of a ClusterStorageContainer and its runtime kserve-mlserver, without KServe.

Taken from what KServe 0.20 injects: an emptyDir that the server mounts read-only, URI and folder as the only
arguments, and variables for Hugging Face that every initializer gets.
"""

from __future__ import annotations

import copy
import random
from typing import TYPE_CHECKING

from kit_conformance.testbed.pods import container_security, pod_security

if TYPE_CHECKING:
    from e2e.harness.objects import Object

MODELS = "/mnt/models"
VOLUME = "kserve-provision-location"
_INJECTED = {
    "HF_HUB_ENABLE_HF_TRANSFER": "1",
    "HF_XET_HIGH_PERFORMANCE": "1",
    "HF_XET_NUM_CONCURRENT_RANGE_GETS": "8",
}


def initializer_of(storage_container: Object, arguments: list[str], *, memory: str = "100Mi") -> Object:
    """Return the init container that KServe makes of a ClusterStorageContainer; `memory` bounds it."""
    container: Object = copy.deepcopy(storage_container["spec"]["container"])
    container["args"] = arguments
    container["env"] += [{"name": key, "value": value} for key, value in _INJECTED.items()]
    container["volumeMounts"] = [{"name": VOLUME, "mountPath": MODELS}]
    container["resources"] = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": memory}}
    return container


def serving_pod(
    name: str, storage_container: Object, uri: str, server: str, *, memory: str = "100Mi"
) -> Object:
    """Return a pod that serves `uri` with MLServer, as a random user in group 0, as OpenShift has it.

    `memory` bounds the initializer.
    """
    initializer = initializer_of(storage_container, [uri, MODELS], memory=memory)
    user = random.randrange(100_000, 2_000_000_000)  # noqa: S311 - any will do
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": pod_security(runAsUser=user, runAsGroup=0),
            "initContainers": [initializer],
            "containers": [_mlserver(name, server)],
            "volumes": [{"name": VOLUME, "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
        },
    }


def _mlserver(name: str, image: str) -> Object:
    """Return the server's container with the variables that KServe's kserve-mlserver gives it."""
    variables = {
        "MLSERVER_MODEL_IMPLEMENTATION": "mlserver_sklearn.SKLearnModel",
        "MLSERVER_HTTP_PORT": "8080",
        "MLSERVER_GRPC_PORT": "9000",
        "MLSERVER_MODEL_NAME": name,
        "MLSERVER_MODEL_URI": MODELS,
    }
    return {
        "name": "kserve-container",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": f"/v2/models/{name}/ready", "port": 8080}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
        "securityContext": container_security(),
        "volumeMounts": [
            {"name": VOLUME, "mountPath": MODELS, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the server's own scratch
        ],
    }
