"""Without KServe: the pod that KServe would make from our ClusterStorageContainer, with a real model server.

The namespace enforces the `restricted` Pod Security Standard, and the pod runs as a user that no image knows.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from e2e.harness.pod import serving_pod
from e2e.harness.registry import corrupt
from e2e.harness.story import INITIALIZER
from e2e.harness.versions import IMAGES, ROOT
from e2e.harness.waiting import NotYetError, wait_until
from kit_conformance import refs

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.harness.objects import Object
    from e2e.harness.story import Story

KIT = ROOT / "fixtures/modelkits/sklearn-iris"

pytestmark = [pytest.mark.plain, pytest.mark.reference(refs.K8S_RESTRICTED)]


@pytest.mark.needs("mlserver")
def test_a_restricted_pod_serves_the_kit(story: Story, engine: str, expected: dict[str, Any]) -> None:
    story.begin(pod_security="restricted")
    pod = serving_pod("iris", story.storage_container(engine), story.push(KIT), IMAGES["mlserver"])
    story.apply(pod)
    story.wait_pod("iris")
    answer = story.ask("pods/iris:8080", "/v2/models/iris/infer", expected["v2"]["request"])
    found = {output["name"]: output["data"] for output in answer["outputs"]}
    for output, values in expected["v2"]["outputs"].items():
        assert all(math.isclose(a, b) for a, b in zip(found[output], values, strict=True))
    assert story.initialized()["engine"] == engine


@pytest.mark.needs("mlserver")
@pytest.mark.reference(refs.K8S_INIT)
def test_a_restarted_initializer_finds_its_work_done(story: Story, engine: str) -> None:
    """An init container runs again in the same volume after a node's reboot; so does one listed twice."""
    story.begin(pod_security="restricted")
    pod = serving_pod("iris", story.storage_container(engine), story.push(KIT), IMAGES["mlserver"])
    again = {**pod["spec"]["initContainers"][0], "name": "again"}
    pod["spec"]["initContainers"].append(again)
    story.apply(pod)
    story.wait_pod("iris")
    log = story.cluster.logs(story.name, "iris", "again")
    assert "nothing to download" in log


@pytest.mark.needs("mlserver", "ours")
@pytest.mark.reference(refs.KIT_VERIFIES)
def test_a_tampered_layer_ends_with_its_cause(story: Story, tmp_path: Path) -> None:
    story.begin(pod_security="restricted")
    (tmp_path / "model.joblib").write_bytes(story.name.encode() * 500)  # nobody else's blob
    (tmp_path / "Kitfile").write_text(
        "manifestVersion: 1.0.0\npackage: {name: t}\nmodel: {path: model.joblib}\n"
    )
    uri = story.push(tmp_path)
    (layer,) = story.layers()
    corrupt(story.state.registry, layer)
    story.apply(serving_pod("iris", story.storage_container(), uri, IMAGES["mlserver"]))

    def look() -> Object:
        for pod in story.cluster.pods(story.name):
            for status in pod["status"].get("initContainerStatuses", []):
                last = (status.get("lastState") or {}).get("terminated")
                ended: Object = status["state"].get("terminated") or last or {}
                if status["name"] == INITIALIZER and ended:
                    return ended
        raise NotYetError("; ".join(story.pod_states()))

    ended = wait_until("the initializer's end", look, timeout=60)
    assert ended["exitCode"] == 7
    assert ended["message"].startswith(f"integrity: layer {layer} of {uri}")
