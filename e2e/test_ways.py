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
    from e2e.harness.scenario import Scenario

IRIS = ROOT / "fixtures/modelkits/sklearn-iris"
LABELS = ROOT / "fixtures/modelkits/text-labels"

pytestmark = [pytest.mark.needs("python"), pytest.mark.reference(refs.KSERVE_CSC)]


def bring_two(scenario: Scenario, container: Object) -> None:
    """Let one InferenceService ask for two kits, and see that both are served."""
    scenario.begin()
    scenario.apply(container)
    uris = [
        {"uri": scenario.push(IRIS, "iris"), "mountPath": "/mnt/models/iris"},
        {"uri": scenario.push(LABELS, "labels"), "mountPath": "/mnt/models/labels"},
    ]
    name = scenario.serve_files(storageUris=uris)
    scenario.wait_ready(name)
    files = scenario.files(f"services/{name}-predictor:80")
    assert {"iris/model.joblib", "labels/model/weights.json"} <= files.keys()


@pytest.mark.needs("kserve>=0.18", "kserve")  # 0.16 mounts a volume that it does not make (seen)
@pytest.mark.reference(refs.KSERVE_URIS)
def test_two_kits_side_by_side(scenario: Scenario, engine: str) -> None:
    bring_two(scenario, scenario.storage_container(engine))
    assert len(scenario.initialized()["kits"]) == 2


@pytest.mark.needs("kserve>=0.18", "kserve")  # 0.16 mounts a volume that it does not make (seen)
@pytest.mark.reference(refs.KSERVE_URIS)
def test_a_kit_beside_a_stranger(scenario: Scenario) -> None:
    """KServe gives all URIs to the container of the first one, which is asked for more than it can."""
    scenario.begin()
    scenario.apply(scenario.storage_container())
    uris = [
        {"uri": scenario.push(IRIS), "mountPath": "/mnt/models/iris"},
        {"uri": "hf://owner/model", "mountPath": "/mnt/models/other"},
    ]
    info = scenario.wait_failed(scenario.serve_files(storageUris=uris))
    assert info["exitCode"] == 2
    assert "hf://" in info["message"]


@pytest.mark.needs("kserve")
@pytest.mark.reference(refs.KSERVE_CRD)
def test_a_storage_container_by_pattern(scenario: Scenario) -> None:
    scenario.begin()
    container = scenario.storage_container()
    where = re.escape(f"{scenario.state.registry.cluster}/{scenario.name}/")
    container["spec"]["supportedUriFormats"] = [{"regex": f"^kit://{where}.+:v[0-9]+$"}]
    scenario.apply(container)
    name = scenario.serve_files(scenario.push(IRIS))
    scenario.wait_ready(name)
    assert "model.joblib" in scenario.files(f"services/{name}-predictor:80")


@pytest.mark.needs("kserve>=0.20", "kserve")
@pytest.mark.reference(refs.KSERVE_INJECTOR)
def test_a_storage_container_by_name(scenario: Scenario) -> None:
    """Two claim the kit; the InferenceService says which one brings it, and which one KServe does not have."""
    scenario.begin()
    for name, flags in (("all", "--plain-http"), ("model", "--plain-http --model")):
        container = scenario.storage_container(KIT_UNPACK_FLAGS=flags)
        container["metadata"]["name"] = f"{scenario.name}-{name}"
        scenario.apply(container)
    uri = scenario.push(LABELS)
    name = scenario.serve_files(uri, storageContainerName=f"{scenario.name}-model")
    scenario.wait_ready(name)
    files = scenario.files(f"services/{name}-predictor:80")
    files.pop("Kitfile", None)
    assert sorted(files) == ["model/weights.json"]
    scenario.serve_files(uri, "nobody", storageContainerName=f"{scenario.name}-nobody")
    assert f'"{scenario.name}-nobody" not found' in scenario.wait_warned(f"{scenario.name}-nobody")


@pytest.mark.plain
@pytest.mark.needs("ours")
@pytest.mark.reference(refs.KSERVE_LOCALMODEL)
def test_the_job_of_a_local_model_cache(scenario: Scenario) -> None:
    """A Job as KServe's node agent makes it of a ClusterStorageContainer: nothing merged, a volume of the node.

    The agent itself is not run. Facts of KServe 0.20: arguments and mounts are the agent's, fsGroup 1000, the folder
    is named by the URI's hash; a retry finds what the one before it left, as the second Job does here.
    """
    scenario.begin()
    uri = scenario.push(LABELS)
    container = scenario.storage_container(workload="localModelDownloadJob")["spec"]["container"]
    key = hashlib.sha256(uri.encode()).hexdigest()[:16]
    node = f"{scenario.state.name}-control-plane"
    run(["docker", "exec", node, "mkdir", "-p", f"/var/models/{scenario.name}"], timeout=20)
    for document in volume(scenario.name, node):
        scenario.apply(document)
    mount = {"name": "kserve-pvc-source", "mountPath": "/mnt/models", "subPath": f"models/{key}"}
    source = {"persistentVolumeClaim": {"claimName": "cache"}}
    for name in ("first", "second"):
        scenario.apply(
            job(name, {**container, "args": [uri, "/mnt/models"], "volumeMounts": [mount]}, source)
        )
        wait_for_job(scenario, name)
    done = [
        pod["status"]["containerStatuses"][0]["state"]["terminated"]
        for pod in scenario.cluster.pods(scenario.name)
    ]
    assert [state["exitCode"] for state in done] == [0, 0]
    reader = files_pod("kit", scenario.storage_container(), uri, volume=source)
    reader["spec"]["initContainers"] = []
    reader["spec"]["containers"][0]["volumeMounts"][0]["subPath"] = f"models/{key}"
    scenario.apply(reader)
    scenario.wait_pod("kit")
    assert {"model/weights.json", "src/train.py"} <= scenario.files("pods/kit:8080").keys()
    second = next(
        p for p in scenario.cluster.pods(scenario.name) if p["metadata"]["name"].startswith("second")
    )
    log = scenario.cluster.logs(scenario.name, second["metadata"]["name"], "storage-initializer")
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


def wait_for_job(scenario: Scenario, name: str) -> None:
    """Wait until a Job is complete."""

    def look() -> None:
        status = (scenario.cluster.get("batch/v1", "Job", name, scenario.name) or {}).get("status", {})
        if status.get("failed"):
            raise NeverError(f"{status}: {scenario.evidence()}")
        if not status.get("succeeded"):
            raise NotYetError(str(status))

    wait_until(f"Job {name}", look, timeout=60)
