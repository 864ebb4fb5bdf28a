"""A cluster that exists: what is touched are namespaces of the run, and objects that carry its label.

Nothing is installed. The registry is a Deployment in a namespace of the run, and reached from here by a port-forward
that lives as long as the run; pods pull its kits by the Service. What needs the machine of a cluster, or reaches all
of it, is not run there.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import time
import uuid
from typing import TYPE_CHECKING

from e2e.harness import images, state
from e2e.harness.cluster import find
from e2e.harness.objects import MANAGER, RUN, Cluster
from e2e.harness.registry import Registry
from e2e.harness.shell import StepError, run
from e2e.harness.versions import IMAGES
from e2e.harness.waiting import NeverError, NotYetError, stuck, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.harness.objects import Object
    from e2e.harness.up import Wanted

_SERVING = "serving.kserve.io/v1alpha1"
_CONTAINERS = "clusterstoragecontainers.serving.kserve.io"
_PORT = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


@contextlib.contextmanager
def attach(context: str, wanted: Wanted, *, beside_others: bool) -> Iterator[state.State]:
    """Use the cluster of a kubeconfig's context for one run, and remove in the end what the run made.

    Raises StepError without an image that the cluster can pull, and where others claim kit:// already, which KServe
    would take instead of ours as it likes; `beside_others` accepts that.
    """
    if not wanted.initializer:
        raise StepError(
            "--kube-context loads no images: give --initializer-image IMAGE that the cluster can pull"
        )
    name = f"context-{re.sub('[^a-zA-Z0-9.-]+', '-', context)}"
    folder = state.folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    kubeconfig = folder / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    view = ("config", "view", "--minify", "--flatten", "--raw", f"--context={context}")
    kubeconfig.write_text(run([find("kubectl"), *view], timeout=30))
    identity = uuid.uuid4().hex[:8]
    cluster = Cluster(kubeconfig, identity)
    namespace = f"e2e-run-{identity}"
    try:
        version, runtimes = _kserve(cluster)
        if version and not beside_others:
            refuse_others(cluster)
        with _registry(cluster, namespace, kubeconfig) as registry:
            kit = images.find_kit(wanted.kit)
            made = state.State(
                name=name,
                registry=registry,
                private=None,
                run=identity,
                initializer=wanted.initializer,
                images=dict.fromkeys(
                    [wanted.initializer, *IMAGES.values(), *runtimes.values()], "the cluster pulls it"
                ),
                runtimes=runtimes,
                upstream="",
                about={wanted.initializer: images.about(wanted.initializer)},
                kubernetes=cluster.version(),
                kserve=version,
                kserve_absent="" if version else "the cluster has no kserve-controller-manager",
                kit=kit.version if kit else "",
                kit_binary=kit.binary if kit else "",
                began=time.time(),
                timeline=[],
            )
            made.save()
            yield made
    finally:
        _sweep(cluster, identity)
        cluster.close()
        shutil.rmtree(folder)  # the kubeconfig in it may hold credentials


def refuse_others(cluster: Cluster) -> None:
    """Raise StepError when an active ClusterStorageContainer that is not ours claims kit://."""
    others = []
    for document in cluster.all(_SERVING, "ClusterStorageContainer"):
        ours = document["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by") == MANAGER
        active = (
            not document.get("disabled")
            and document["spec"].get("workloadType", "initContainer") == "initContainer"
        )
        if active and not ours and any(map(_claims, document["spec"]["supportedUriFormats"])):
            others.append(document["metadata"]["name"])
    if others:
        raise StepError(
            f"the ClusterStorageContainer {', '.join(others)} claims kit:// already, and of two that do KServe takes "
            "either one: a scenario could be told by the other. --beside-other-initializers tries nevertheless"
        )


def _claims(form: Object) -> bool:
    if form.get("prefix"):
        return "kit://".startswith(form["prefix"]) or str(form["prefix"]).startswith("kit://")
    try:
        return bool(form.get("regex")) and bool(
            re.search(form["regex"], "kit://registry.example:5000/models/iris:v1")
        )
    except re.error:  # Go's syntax, or none: nobody knows what it claims
        return True


def _kserve(cluster: Cluster) -> tuple[str, dict[str, str]]:
    """Return KServe's version ("" where there is none) and its runtimes with their images."""
    found = cluster.all("apps/v1", "Deployment", selector="control-plane=kserve-controller-manager")
    if not found:
        return "", {}
    containers = found[0]["spec"]["template"]["spec"]["containers"]
    image = next(c["image"] for c in containers if c["name"] == "manager")
    runtimes = cluster.all(_SERVING, "ClusterServingRuntime")
    version = re.search(r":(v\d+\.\d+\.\d+)", image)
    if not version:
        raise StepError(f"no version of KServe can be told from its image {image}")
    return version[1], {r["metadata"]["name"]: r["spec"]["containers"][0]["image"] for r in runtimes}


@contextlib.contextmanager
def _registry(cluster: Cluster, namespace: str, kubeconfig: object) -> Iterator[Registry]:
    labels = {"app": "registry"}
    container = {
        "name": "registry",
        "image": IMAGES["registry"],
        "imagePullPolicy": "IfNotPresent",
        "readinessProbe": {"httpGet": {"path": "/v2/", "port": 5000}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    port = {"port": 5000, "targetPort": 5000}
    documents: list[Object] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "registry"}, "spec": spec},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "registry"},
            "spec": {"selector": labels, "ports": [port]},
        },
    ]
    for document in documents:
        cluster.apply(document, None if document["kind"] == "Namespace" else namespace)

    def ready() -> None:
        for pod in cluster.pods(namespace):
            for status in pod["status"].get("containerStatuses", []):
                if status["ready"]:
                    return
                if why := stuck(status):
                    raise NeverError(f"{status['image']}: {why}")
        raise NotYetError("it is not ready")

    wait_until("the registry in the cluster", ready, timeout=120)
    kubectl = [find("kubectl"), f"--kubeconfig={kubeconfig}", "-n", namespace]
    with subprocess.Popen(
        [*kubectl, "port-forward", "--address=127.0.0.1", "service/registry", ":5000"],
        stdout=subprocess.PIPE,
        text=True,
    ) as forward:
        try:
            assert forward.stdout is not None
            said = forward.stdout.readline()
            found = _PORT.search(said)
            if not found:
                raise StepError(f"no port-forward to the registry: {said}")
            yield Registry(f"127.0.0.1:{found[1]}", f"registry.{namespace}.svc.cluster.local:5000", "")
        finally:
            forward.terminate()


def _sweep(cluster: Cluster, identity: str) -> None:
    """Remove all that carries the run's label: its namespaces, and with them what is in them."""
    kinds = [("v1", "Namespace")]
    if cluster.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", _CONTAINERS):
        kinds.append((_SERVING, "ClusterStorageContainer"))
    for api_version, kind in kinds:
        for document in cluster.all(api_version, kind, selector=f"{RUN}={identity}"):
            cluster.delete(document)
