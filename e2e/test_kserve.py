"""The main job: an InferenceService with a kit:// reference becomes Ready and predicts, with either engine."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import pytest

from e2e.harness.cluster import find
from e2e.harness.registry import corrupt
from e2e.harness.scenario import example
from e2e.harness.shell import run
from e2e.harness.versions import ROOT
from kit_conformance import refs

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.harness.scenario import Scenario
    from e2e.harness.state import State

KIT = ROOT / "fixtures/modelkits/sklearn-iris"

pytestmark = [pytest.mark.needs("kserve"), pytest.mark.reference(refs.KSERVE_CSC)]


@pytest.mark.needs("kserve-sklearnserver")
def test_v1_on_kserve_sklearnserver(scenario: Scenario, engine: str, expected: dict[str, Any]) -> None:
    scenario.begin()
    scenario.apply(scenario.storage_container(engine))
    name = scenario.serve(example("deploy/examples/inferenceservice-v1.yaml"), scenario.push(KIT))
    scenario.wait_ready(name)
    service = f"services/{name}-predictor:80"
    answer = scenario.ask(service, f"/v1/models/{name}:predict", expected["v1"]["request"])
    assert answer == expected["v1"]["response"]
    assert scenario.service(name)["status"]["modelStatus"]["transitionStatus"] == "UpToDate"
    assert scenario.initialized()["engine"] == engine


@pytest.mark.needs("kserve-mlserver")
def test_v2_on_kserve_mlserver(scenario: Scenario, engine: str, expected: dict[str, Any]) -> None:
    scenario.begin()
    scenario.apply(scenario.storage_container(engine))
    name = scenario.serve(example("deploy/examples/inferenceservice-v2.yaml"), scenario.push(KIT))
    scenario.wait_ready(name)
    answer = scenario.ask(
        f"services/{name}-predictor:80", f"/v2/models/{name}/infer", expected["v2"]["request"]
    )
    found = {output["name"]: output["data"] for output in answer["outputs"]}
    assert found.keys() == expected["v2"]["outputs"].keys()
    for output, values in expected["v2"]["outputs"].items():
        assert all(math.isclose(a, b) for a, b in zip(found[output], values, strict=True))
    assert scenario.initialized()["engine"] == engine


@pytest.mark.needs("kserve-sklearnserver", "ours", "kserve>=0.18")  # 0.16 does not report it
@pytest.mark.reference(refs.KSERVE_STATUS)
def test_a_tampered_layer_is_reported_by_kserve(scenario: Scenario, tmp_path: Path) -> None:
    scenario.begin()
    scenario.apply(scenario.storage_container())
    folder = tmp_path / "kit"
    folder.mkdir()
    (folder / "model.joblib").write_bytes(scenario.name.encode() * 500)  # nobody else's blob
    (folder / "Kitfile").write_text(
        "manifestVersion: 1.0.0\npackage: {name: t}\nmodel: {path: model.joblib}\n"
    )
    uri = scenario.push(folder)
    (layer,) = scenario.layers()
    corrupt(scenario.state.registry, layer)
    name = scenario.serve(example("deploy/examples/inferenceservice-v1.yaml"), uri)
    info = scenario.wait_failed(name)
    assert info["exitCode"] == 7
    assert info["reason"] == "ModelLoadFailed"
    assert info["message"].startswith(f"integrity: layer {layer} of {uri}")


@pytest.mark.parametrize(
    "what", ["-kdeploy/initializer", "-fdeploy/examples", "-fdeploy/credentials", "-fdeploy/openshift"]
)
@pytest.mark.reference(refs.KSERVE_CRD)
def test_the_cluster_accepts_what_is_deployed_as_it_is(state: State, what: str) -> None:
    """Fields that KServe's definitions do not know are refused here, as `kubectl apply` refuses them."""
    dry = ("apply", "--dry-run=server", "--validate=strict", "--namespace=default", what)
    run([find("kubectl"), f"--kubeconfig={state.kubeconfig}", *dry], timeout=60, cwd=ROOT)


@pytest.mark.reference(refs.KSERVE_CRD)
def test_the_cluster_accepts_the_install_yaml_of_a_release(state: State, tmp_path: Path) -> None:
    """`kubectl apply -f install.yaml` is the first step of docs/serve.md."""
    image = f"registry.example.com/kit-initializer:1.2.3@sha256:{'0' * 64}"
    render = (sys.executable, "deploy/render.py", "--image", image, "--no-chart", "--output", str(tmp_path))
    run(list(render), timeout=60, cwd=ROOT)
    dry = ("apply", "--dry-run=server", "--validate=strict", "-f", str(tmp_path / "install.yaml"))
    said = run([find("kubectl"), f"--kubeconfig={state.kubeconfig}", *dry], timeout=60)
    assert "kit-initializer-localmodel" in said
