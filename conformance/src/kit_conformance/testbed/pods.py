"""What Kubernetes requires and reports of pods, for every pod that the suite and the harness make.

Sources: the restricted Pod Security Standard, and the waiting reasons of the kubelet (pkg/kubelet/images,
pkg/kubelet/kuberuntime).
"""

from __future__ import annotations

from typing import Any, Final

# Reasons with which a container waits although waiting changes nothing. A container that crashes is started again, so
# CrashLoopBackOff is not among them: whether it may recover is for the caller to say.
STUCK: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)


def pod_security(**more: object) -> dict[str, Any]:
    """Return a pod's securityContext of the restricted standard, with `more` members (runAsUser, fsGroup)."""
    return {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}, **more}


def container_security(**more: object) -> dict[str, Any]:
    """Return a container's securityContext of the restricted standard, its root file system read-only.

    With `more` members; those of `pod_security` for a container that stands in a pod without them.
    """
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        **more,
    }
