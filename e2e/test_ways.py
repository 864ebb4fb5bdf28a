"""The ways by which KServe finds and runs the initializer: several URIs, a pattern, a name, the cache's Job."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import pytest

from e2e.harness.files import files_pod
from e2e.harness.shell import run
from e2e.harness.versions import ROOT
from e2e.harness.waiting import NeverError, NotYetError, wait_until
from kit_conformance import refs

if TYPE_CHECKING:
    from e2e.harness.objects import Object
    from e2e.harness.story import Story

IRIS = ROOT / "fixtures/modelkits/sklearn-iris"
LABELS = ROOT / "fixtures/modelkits/text-labels"

pytestmark = [pytest.mark.needs("python"), pytest.mark.reference(refs.KSERVE_CSC)]


def bring_two(story: Story, container: Object) -> None:
    """Let one InferenceService ask for two kits, and see that both are served."""
    story.begin()
    story.apply(container)
    uris = [
        {"uri": story.push(IRIS, "iris"), "mountPath": "/mnt/models/iris"},
        {"uri": story.push(LABELS, "labels"), "mountPath": "/mnt/models/labels"},
    ]
    name = story.serve_files(storageUris=uris)
    story.wait_ready(name)
    files = story.files(f"services/{name}-predictor:80")
    assert {"iris/model.joblib", "labels/model/weights.json"} <= files.keys()


@pytest.mark.needs("kserve>=0.18", "kserve")  # 0.16 mounts a volume that it does not make (seen)
@pytest.mark.reference(refs.KSERVE_URIS)
def test_two_kits_side_by_side(story: Story, engine: str) -> None:
    bring_two(story, story.storage_container(engine))
    assert len(story.initialized()["kits"]) == 2


@pytest.mark.needs("kserve>=0.18", "kserve")  # 0.16 mounts a volume that it does not make (seen)
@pytest.mark.reference(refs.KSERVE_URIS)
def test_a_kit_beside_a_stranger(story: Story) -> None:
    """KServe gives all URIs to the container of the first one, which is asked for more than it can."""
    story.begin()
    story.apply(story.storage_container())
    uris = [
        {"uri": story.push(IRIS), "mountPath": "/mnt/models/iris"},
        {"uri": "hf://owner/model", "mountPath": "/mnt/models/other"},
    ]
    info = story.wait_failed(story.serve_files(storageUris=uris))
    assert info["exitCode"] == 2
    assert "hf://" in info["message"]


@pytest.mark.needs("kserve")
@pytest.mark.reference(refs.KSERVE_CRD)
def test_a_storage_container_by_pattern(story: Story) -> None:
    story.begin()
    container = story.storage_container()
    where = re.escape(f"{story.state.registry.cluster}/{story.name}/")
    container["spec"]["supportedUriFormats"] = [{"regex": f"^kit://{where}.+:v[0-9]+$"}]
    story.apply(container)
    name = story.serve_files(story.push(IRIS))
    story.wait_ready(name)
    assert "model.joblib" in story.files(f"services/{name}-predictor:80")


@pytest.mark.needs("kserve>=0.20", "kserve")
@pytest.mark.reference(refs.KSERVE_INJECTOR)
def test_a_storage_container_by_name(story: Story) -> None:
    """Two claim the kit; the InferenceService says which one brings it, and which one KServe does not have."""
    story.begin()
    for name, flags in (("all", "--plain-http"), ("model", "--plain-http --model")):
        container = story.storage_container(KIT_UNPACK_FLAGS=flags)
        container["metadata"]["name"] = f"{story.name}-{name}"
        story.apply(container)
    uri = story.push(LABELS)
    name = story.serve_files(uri, storageContainerName=f"{story.name}-model")
    story.wait_ready(name)
    files = story.files(f"services/{name}-predictor:80")
    files.pop("Kitfile", None)
    assert sorted(files) == ["model/weights.json"]
    story.serve_files(uri, "nobody", storageContainerName=f"{story.name}-nobody")
    assert f'"{story.name}-nobody" not found' in story.wait_warned(f"{story.name}-nobody")


@pytest.mark.plain
@pytest.mark.needs("ours")
@pytest.mark.reference(refs.KSERVE_LOCALMODEL)
def test_the_job_of_a_local_model_cache(story: Story) -> None:
    """A Job as KServe's node agent makes it of a ClusterStorageContainer: nothing merged, a volume of the node.

    The agent itself is not run. Facts of KServe 0.20: arguments and mounts are the agent's, fsGroup 1000, the folder
    is named by the URI's hash; a retry finds what the one before it left, as the second Job does here.
    """
    story.begin()
    uri = story.push(LABELS)
    container = story.storage_container(workload="localModelDownloadJob")["spec"]["container"]
    key = hashlib.sha256(uri.encode()).hexdigest()[:16]
    node = f"{story.state.name}-control-plane"
    run(["docker", "exec", node, "mkdir", "-p", f"/var/models/{story.name}"], timeout=20)
    for document in volume(story.name, node):
        story.apply(document)
    mount = {"name": "kserve-pvc-source", "mountPath": "/mnt/models", "subPath": f"models/{key}"}
    source = {"persistentVolumeClaim": {"claimName": "cache"}}
    for name in ("first", "second"):
        story.apply(job(name, {**container, "args": [uri, "/mnt/models"], "volumeMounts": [mount]}, source))
        wait_for_job(story, name)
    done = [
        pod["status"]["containerStatuses"][0]["state"]["terminated"] for pod in story.cluster.pods(story.name)
    ]
    assert [state["exitCode"] for state in done] == [0, 0]
    reader = files_pod("kit", story.storage_container(), uri, volume=source)
    reader["spec"]["initContainers"] = []
    reader["spec"]["containers"][0]["volumeMounts"][0]["subPath"] = f"models/{key}"
    story.apply(reader)
    story.wait_pod("kit")
    assert {"model/weights.json", "src/train.py"} <= story.files("pods/kit:8080").keys()
    second = next(p for p in story.cluster.pods(story.name) if p["metadata"]["name"].startswith("second"))
    log = story.cluster.logs(story.name, second["metadata"]["name"], "storage-initializer")
    assert "nothing to download" in log


def volume(name: str, node: str) -> list[Object]:
    """Return a volume in a folder of the node, and the claim of it."""
    storage: dict[str, Any] = {"capacity": {"storage": "100Mi"}}
    common: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "storageClassName": name}
    term = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}}
    local = {"local": {"path": f"/var/models/{name}"}, "nodeAffinity": affinity}
    claim = {**common, "volumeName": name, "resources": {"requests": storage["capacity"]}}
    kinds = {"PersistentVolume": {**common, **storage, **local}, "PersistentVolumeClaim": claim}
    names = {"PersistentVolume": name, "PersistentVolumeClaim": "cache"}
    return [
        {"apiVersion": "v1", "kind": kind, "metadata": {"name": names[kind]}, "spec": spec}
        for kind, spec in kinds.items()
    ]


def job(name: str, container: Object, source: Object) -> Object:
    """Return the Job that the agent makes for a download."""
    pod = {
        "restartPolicy": "Never",
        "securityContext": {"fsGroup": 1000},
        "containers": [container],
        "volumes": [{"name": "kserve-pvc-source", **source}],
    }
    spec = {"ttlSecondsAfterFinished": 3600, "template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def wait_for_job(story: Story, name: str) -> None:
    """Wait until a Job is complete."""

    def look() -> None:
        status = (story.cluster.get("batch/v1", "Job", name, story.name) or {}).get("status", {})
        if status.get("failed"):
            raise NeverError(f"{status}: {story.evidence()}")
        if not status.get("succeeded"):
            raise NotYetError(str(status))

    wait_until(f"Job {name}", look, timeout=60)
