"""KServe from its release manifests: only what the stories use, in RawDeployment mode, on a certificate of ours.

Left out: the controllers of LLMInferenceService and LocalModelCache, kube-rbac-proxy, all runtimes but two, and
cert-manager's Certificate and Issuer. Changed: the default deployment mode, no Ingress (which needs a controller),
images that are in the cluster are not pulled, probes that begin at once, requests that fit two CPUs.
"""

from __future__ import annotations

import base64
import hashlib
import json
import urllib.request
from typing import TYPE_CHECKING, Any

import yaml

from e2e.harness.shell import StepError, run
from e2e.harness.versions import CACHE, KSERVE
from e2e.harness.waiting import NeverError, NotYetError, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from e2e.harness.objects import Cluster, Object

NAMESPACE = "kserve"
DEPLOYMENT = "kserve-controller-manager"
RUNTIMES = ("kserve-sklearnserver", "kserve-mlserver")
_SERVICE = f"kserve-webhook-server-service.{NAMESPACE}.svc"
_CERT_MANAGER = ("Certificate", "Issuer")


def manifests(version: str, given: Path | None) -> Path:
    """Return the folder with a release's manifests: `given`, or a checked download.

    Raises StepError for a version whose checksums are not known, a failed download, and bytes that differ.
    """
    known: dict[str, str] = KSERVE["manifests"].get(version, {})
    if not known and not given:
        raise StepError(f"no checksums of KServe {version} in versions.toml: give --kserve-manifests DIR")
    if given:
        nested = given / version
        return nested if nested.is_dir() else given
    folder = CACHE / "kserve" / version
    folder.mkdir(parents=True, exist_ok=True)
    for name, digest in known.items():
        path = folder / name
        if not path.exists():
            path.write_bytes(_download(f"{KSERVE['download']}/{version}/{name}"))
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            path.unlink()
            raise StepError(f"{name} of KServe {version} does not have the sha256 that versions.toml names")
    return folder


def _download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310 - a release's address
            content: bytes = response.read()
    except OSError as error:
        raise StepError(f"{url}: {error}\n  or give --kserve-manifests DIR (or KSERVE_MANIFESTS)") from error
    return content


def runtimes(folder: Path) -> dict[str, str]:
    """Return the runtimes that the stories use, each with the image that this release of KServe gives it."""
    found = {}
    for document in _read(folder / "kserve-cluster-resources.yaml"):
        if document["kind"] == "ClusterServingRuntime" and document["metadata"]["name"] in RUNTIMES:
            image = document["spec"]["containers"][0]["image"]
            found[document["metadata"]["name"]] = str(image).removeprefix("docker.io/")
    return found


def install(cluster: Cluster, kubectl: str, kubeconfig: Path, version: str, folder: Path) -> None:
    """Install KServe and return when its webhooks answer; StepError or GaveUpError when that does not happen."""
    authority, secret = _certificate()
    documents = [d for path in sorted(folder.glob("*.yaml")) for d in _read(path) if _is_wanted(d, version)]
    unique = {(d["kind"], d["metadata"]["name"]): _adapted(d, authority) for d in documents}
    kinds = ("CustomResourceDefinition", "ClusterServingRuntime", "ClusterStorageContainer")
    definitions, runtimes, containers = ([d for d in unique.values() if d["kind"] == kind] for kind in kinds)
    rest = [d for d in unique.values() if d["kind"] not in kinds]
    if not (definitions and runtimes and rest):
        raise StepError(
            f"{folder} holds no complete KServe release: *.yaml as GitHub's release assets have them"
        )

    def apply(objects: Iterable[Object]) -> str:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        command = [
            kubectl,
            f"--kubeconfig={kubeconfig}",
            "apply",
            "--server-side",
            "--force-conflicts",
            "-f",
            "-",
        ]
        return run(command, timeout=120, text=text)

    apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, *definitions])
    apply([secret, *rest])
    wait_until("KServe's manager", lambda: _ready(cluster), timeout=120)

    def admitted() -> str:
        try:
            return apply([*containers, *runtimes])
        except StepError as error:  # in the first seconds after the rollout its webhooks may refuse
            raise NotYetError(str(error).splitlines()[-1]) from None

    wait_until("KServe's webhooks", admitted, timeout=60)


def _read(path: Path) -> list[Object]:
    if not path.exists():
        raise StepError(f"{path.parent} has no {path.name}: give it all files of KServe's release")
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [d for d in yaml.load_all(path.read_text(encoding="utf-8"), Loader=loader) if d]


def _is_wanted(document: Object, version: str) -> bool:
    kind, name = str(document["kind"]), str(document["metadata"]["name"])
    local_model = "localmodel" in name
    if kind == "CustomResourceDefinition" and local_model:
        return version < "v0.17"  # until then the manager itself insists on them
    if local_model or "llm" in name or kind in _CERT_MANAGER or kind.startswith("LLM"):
        return version < "v0.17" and name == "localmodelcache.serving.kserve.io"
    if kind == "CustomResourceDefinition":
        return name.endswith(".serving.kserve.io")
    if kind == "ClusterServingRuntime":
        return name in RUNTIMES
    return name != "kserve-webhook-server-secret"


def _adapted(document: Object, authority: str) -> Object:
    kind, metadata = document["kind"], document["metadata"]
    metadata.pop("creationTimestamp", None)
    if kind.endswith("WebhookConfiguration"):
        metadata.get("annotations", {}).pop("cert-manager.io/inject-ca-from", None)
        for webhook in document["webhooks"]:
            webhook["clientConfig"]["caBundle"] = authority
    elif kind == "Deployment":
        _adapt_manager(document["spec"]["template"]["spec"])
    elif kind == "ConfigMap" and metadata["name"] == "inferenceservice-config":
        data = document["data"]
        data["deploy"] = json.dumps({"defaultDeploymentMode": "RawDeployment"})
        quiet = {"disableIstioVirtualHost": True, "disableIngressCreation": True}
        data["ingress"] = json.dumps({**json.loads(data["ingress"]), **quiet})
    elif kind == "ClusterServingRuntime":
        for container in document["spec"]["containers"]:
            container["imagePullPolicy"] = "IfNotPresent"
            container["resources"]["requests"] = {"cpu": "50m", "memory": "128Mi"}
    return document


def _adapt_manager(pod: Object) -> None:
    pod["containers"] = [container for container in pod["containers"] if container["name"] == "manager"]
    (manager,) = pod["containers"]
    manager["imagePullPolicy"] = "IfNotPresent"
    manager["args"] = [argument for argument in manager["args"] if argument != "--leader-elect"]
    manager["resources"] = {"requests": {"cpu": "100m", "memory": "200Mi"}, "limits": {"memory": "600Mi"}}
    for probe in ("livenessProbe", "readinessProbe"):
        manager[probe] |= {"initialDelaySeconds": 1, "periodSeconds": 1, "failureThreshold": 60}


def _certificate() -> tuple[str, Object]:
    """Return an authority for `caBundle` (base64 of PEM) and the Secret with a certificate of its own."""
    import trustme  # noqa: PLC0415 - only an installation needs it

    authority = trustme.CA()
    leaf = authority.issue_cert(_SERVICE, f"{_SERVICE}.cluster.local")
    chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    data = {"tls.crt": chain, "tls.key": leaf.private_key_pem.bytes()}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "kserve-webhook-server-cert", "namespace": NAMESPACE},
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }
    return base64.b64encode(authority.cert_pem.bytes()).decode(), secret


def _ready(cluster: Cluster) -> None:
    pods = cluster.pods(NAMESPACE, "control-plane=kserve-controller-manager")
    for pod in pods:
        for status in pod["status"].get("containerStatuses", []):
            waiting = status["state"].get("waiting", {}).get("reason", "")
            if waiting in (
                "ErrImagePull",
                "ImagePullBackOff",
                "CrashLoopBackOff",
                "CreateContainerConfigError",
            ):
                last = cluster.logs(NAMESPACE, pod["metadata"]["name"], "manager").strip().splitlines()[-1:]
                raise NeverError(f"{waiting} of {status['image']}: {' '.join(last)}")
    deployment = cluster.get("apps/v1", "Deployment", DEPLOYMENT, NAMESPACE) or {}
    if not deployment.get("status", {}).get("readyReplicas"):
        raise NotYetError(
            ", ".join(f"{p['metadata']['name']} is {p['status']['phase']}" for p in pods) or "no pod"
        )
