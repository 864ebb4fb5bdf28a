"""Without KServe: the pod that KServe would make from our ClusterStorageContainer, with a real model server.

The namespace enforces the `restricted` Pod Security Standard, and the pod runs as a user that no image knows.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from e2e.harness.pod import serving_pod
from e2e.harness.registry import corrupt
from e2e.harness.scenario import INITIALIZER
from e2e.harness.versions import IMAGES, ROOT
from e2e.harness.waiting import NotYetError, wait_until
from kit_conformance import refs

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.harness.objects import Object
    from e2e.harness.scenario import Scenario

KIT = ROOT / "fixtures/modelkits/sklearn-iris"

pytestmark = [pytest.mark.plain, pytest.mark.reference(refs.K8S_RESTRICTED)]


@pytest.mark.needs("mlserver")
def test_a_restricted_pod_serves_the_kit(scenario: Scenario, engine: str, expected: dict[str, Any]) -> None:
    scenario.begin(pod_security="restricted")
    pod = serving_pod("iris", scenario.storage_container(engine), scenario.push(KIT), IMAGES["mlserver"])
    scenario.apply(pod)
    scenario.wait_pod("iris")
    answer = scenario.ask("pods/iris:8080", "/v2/models/iris/infer", expected["v2"]["request"])
    found = {output["name"]: output["data"] for output in answer["outputs"]}
    for output, values in expected["v2"]["outputs"].items():
        assert all(math.isclose(a, b) for a, b in zip(found[output], values, strict=True))
    assert scenario.initialized()["engine"] == engine


@pytest.mark.needs("mlserver")
@pytest.mark.reference(refs.K8S_INIT)
def test_a_restarted_initializer_finds_its_work_done(scenario: Scenario, engine: str) -> None:
    """An init container runs again in the same volume after a node's reboot; so does one listed twice."""
    scenario.begin(pod_security="restricted")
    pod = serving_pod("iris", scenario.storage_container(engine), scenario.push(KIT), IMAGES["mlserver"])
    again = {**pod["spec"]["initContainers"][0], "name": "again"}
    pod["spec"]["initContainers"].append(again)
    scenario.apply(pod)
    scenario.wait_pod("iris")
    log = scenario.cluster.logs(scenario.name, "iris", "again")
    assert "nothing to download" in log


@pytest.mark.needs("mlserver", "ours")
@pytest.mark.reference(refs.KIT_VERIFIES)
def test_a_tampered_layer_ends_with_its_cause(scenario: Scenario, tmp_path: Path) -> None:
    scenario.begin(pod_security="restricted")
    (tmp_path / "model.joblib").write_bytes(scenario.name.encode() * 500)  # nobody else's blob
    (tmp_path / "Kitfile").write_text(
        "manifestVersion: 1.0.0\npackage: {name: t}\nmodel: {path: model.joblib}\n"
    )
    uri = scenario.push(tmp_path)
    (layer,) = scenario.layers()
    corrupt(scenario.state.registry, layer)
    scenario.apply(serving_pod("iris", scenario.storage_container(), uri, IMAGES["mlserver"]))

    def look() -> Object:
        for pod in scenario.cluster.pods(scenario.name):
            for status in pod["status"].get("initContainerStatuses", []):
                last = (status.get("lastState") or {}).get("terminated")
                ended: Object = status["state"].get("terminated") or last or {}
                if status["name"] == INITIALIZER and ended:
                    return ended
        raise NotYetError("; ".join(scenario.pod_states()))

    ended = wait_until("the initializer's end", look, timeout=60)
    assert ended["exitCode"] == 7
    assert ended["message"].startswith(f"integrity: layer {layer} of {uri}")
