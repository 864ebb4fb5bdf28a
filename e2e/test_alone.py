"""What reaches the whole cluster: all of kit://, two that claim the same, a broken pattern, KServe's CA bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from e2e.harness.registry import PASSWORD, USER
from e2e.harness.versions import ROOT
from kit_conformance import refs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.harness.objects import Object
    from e2e.harness.scenario import Scenario

KIT = ROOT / "fixtures/modelkits/sklearn-iris"
CONFIG = "inferenceservice-config"

pytestmark = [
    pytest.mark.alone,
    pytest.mark.needs("kserve", "python"),
    pytest.mark.reference(refs.KSERVE_CSC),
]


def bare(scenario: Scenario, name: str, **environ: str) -> Object:
    """Return deploy/'s ClusterStorageContainer, which claims all of kit://."""
    container = scenario.storage_container(**environ)
    container["metadata"]["name"] = name
    container["spec"]["supportedUriFormats"] = [{"prefix": "kit://"}]
    return container


def test_all_of_kit(scenario: Scenario) -> None:
    scenario.begin()
    scenario.apply(bare(scenario, "kit-initializer"))
    name = scenario.serve_files(scenario.push(KIT))
    scenario.wait_ready(name)
    assert "model.joblib" in scenario.files(f"services/{name}-predictor:80")


def test_two_that_claim_the_same(scenario: Scenario) -> None:
    """KServe takes either one, so that both must do: here both are ours, and the kit arrives whichever it was."""
    scenario.begin()
    for number in (1, 2):
        scenario.apply(bare(scenario, f"{scenario.name}-{number}"))
    name = scenario.serve_files(scenario.push(KIT))
    scenario.wait_ready(name)
    assert "model.joblib" in scenario.files(f"services/{name}-predictor:80")


@pytest.mark.needs("kserve>=0.20")  # 0.16 and 0.18 stop as well, but tell nobody why (seen)
@pytest.mark.reference(refs.KSERVE_INJECTOR)
def test_a_pattern_that_is_none_stops_everyone(scenario: Scenario) -> None:
    """KServe asks its ClusterStorageContainers in no order; where this is the only one, it always meets the bad one."""
    scenario.begin()
    container = bare(scenario, scenario.name)
    container["spec"]["supportedUriFormats"] = [{"regex": "kit://(unclosed"}]
    scenario.apply(container)
    scenario.serve_files(scenario.push(KIT))
    assert "error parsing regexp" in scenario.wait_warned("error parsing regexp")
    assert not scenario.cluster.pods(scenario.name)
    scenario.cluster.delete(container)
    scenario.apply(bare(scenario, f"{scenario.name}-good"))
    scenario.wait_ready("files")  # KServe tries again by itself


@pytest.fixture
def _ca_bundle(scenario: Scenario) -> Iterator[None]:
    """Have KServe hand the private registry's authority to all of its pods."""
    private = scenario.state.private
    assert private is not None
    found = scenario.cluster.get("v1", "ConfigMap", CONFIG, "kserve")
    assert found is not None
    before = found["data"]["storageInitializer"]
    pem = Path(private.ca_file).read_text(encoding="ascii")
    bundle = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "authorities", "namespace": "kserve"},
        "data": {"cabundle.crt": pem},
    }
    scenario.cluster.apply(bundle)
    set_config(scenario, json.dumps({**json.loads(before), "caBundleConfigMapName": "authorities"}))
    yield
    set_config(scenario, before)
    scenario.cluster.delete(bundle)


def set_config(scenario: Scenario, value: str) -> None:
    """Change how KServe initializes storage."""
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CONFIG, "namespace": "kserve"}}
    scenario.cluster.patch({**config, "data": {"storageInitializer": value}})


@pytest.mark.usefixtures("_ca_bundle")
@pytest.mark.reference(refs.KSERVE_CA)
def test_a_private_authority_through_kserves_bundle(scenario: Scenario, engine: str) -> None:
    private = scenario.state.private
    assert private is not None
    scenario.begin()
    scenario.secret("kit-secret", KIT_USER=USER, KIT_PASSWORD=PASSWORD)
    scenario.apply(scenario.storage_container(engine, host=private.host))
    name = scenario.serve_files(scenario.push_private(KIT))
    scenario.wait_ready(name)
    assert "model.joblib" in scenario.files(f"services/{name}-predictor:80")
