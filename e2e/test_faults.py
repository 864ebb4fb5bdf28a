"""What heals: a pod deleted and a container killed in the middle of a pull, a registry that was away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from e2e import faulty
from e2e.harness.files import files_pod
from e2e.harness.shell import run
from e2e.harness.waiting import NotYetError, wait_until
from kit_conformance import refs
from kit_conformance.testbed.registry import faults

if TYPE_CHECKING:
    from e2e.harness.scenario import Files, Scenario
    from kit_conformance.testbed.kits import ModelKit
    from kit_conformance.testbed.registry import Registry

pytestmark = [pytest.mark.needs("python", "ours"), pytest.mark.reference(refs.K8S_INIT)]


def whole(files: Files, kit: ModelKit) -> None:
    """Hold that exactly the kit arrived."""
    files.pop("Kitfile", None)
    assert files == {path: about for path, about in faulty.expected(kit).items() if path != "Kitfile"}


def slow(registry: Registry) -> None:
    """Let blobs come so slowly that a pull takes minutes."""
    registry.inject(faults.Bandwidth(200_000), kind="blob", times=1000)


def container_id(scenario: Scenario) -> str:
    """Wait until the initializer runs and return its container's id."""

    def look() -> str:
        for pod in scenario.cluster.pods(scenario.name):
            for status in pod["status"].get("initContainerStatuses", []):
                if "running" in status["state"]:
                    return str(status["containerID"].rpartition("/")[2])
        raise NotYetError("; ".join(scenario.pod_states()) or "no pod")

    return wait_until("a running initializer", look, timeout=60)


def kill(cluster: str, container: str) -> None:
    """Kill all of a container's processes on the node, as the kernel does when memory runs out."""
    script = (
        'for p in /proc/[0-9]*; do grep -q "$0" $p/cgroup 2>/dev/null && kill -KILL ${p#/proc/}; done; true'
    )
    run(["docker", "exec", f"{cluster}-control-plane", "sh", "-c", script, container], timeout=30)


@pytest.mark.plain
def test_a_container_killed_in_the_middle_of_a_pull(scenario: Scenario, engine: str) -> None:
    """The kubelet starts it again in the same volume, with what the first one left there."""
    scenario.begin()
    kit = faulty.kit()
    with faulty.registry() as registry:
        uri = faulty.add(registry, scenario, kit)
        slow(registry)
        scenario.apply(files_pod("kit", scenario.storage_container(engine), uri))
        killed = container_id(scenario)
        registry.ledger.wait_for(1, kind="blob")
        kill(scenario.state.name, killed)
        registry.heal()
        scenario.wait_pod("kit")
        whole(scenario.files("pods/kit:8080"), kit)
    (status,) = scenario.cluster.pods(scenario.name)[0]["status"]["initContainerStatuses"]
    assert status["restartCount"] >= 1
    assert status["containerID"].rpartition("/")[2] != killed


@pytest.mark.needs("kserve")
def test_a_pod_deleted_in_the_middle_of_a_pull(scenario: Scenario) -> None:
    scenario.begin()
    kit = faulty.kit()
    with faulty.registry() as registry:
        uri = faulty.add(registry, scenario, kit)
        slow(registry)
        scenario.apply(scenario.storage_container(host=registry.host))
        name = scenario.serve_files(uri)
        container_id(scenario)
        registry.ledger.wait_for(1, kind="blob")
        (pod,) = scenario.cluster.pods(scenario.name)
        scenario.cluster.delete({"apiVersion": "v1", "kind": "Pod", "metadata": pod["metadata"]})
        registry.heal()
        scenario.wait_healed(name)  # KServe may tell how the deleted pod's initializer ended
        whole(scenario.files(f"services/{name}-predictor:80"), kit)


@pytest.mark.needs("kserve")
@pytest.mark.reference(refs.KSERVE_STATUS)
def test_a_registry_that_is_down_and_comes_back(scenario: Scenario) -> None:
    scenario.begin()
    kit = faulty.kit(10_000)
    with faulty.registry() as registry:
        uri = faulty.add(registry, scenario, kit)
        registry.stop()
        scenario.apply(scenario.storage_container(host=registry.host, KIT_RETRIES="1"))
        name = scenario.serve_files(uri)
        info = scenario.wait_failed(name)
        assert info["exitCode"] == 5
        assert info["message"].startswith("unreachable: ")
        registry.start()
        scenario.wait_healed(name)
        whole(scenario.files(f"services/{name}-predictor:80"), kit)
