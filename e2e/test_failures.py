"""What goes wrong and how it is told: wrong names, no login, no room, no ClusterStorageContainer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from e2e import faulty
from e2e.harness.files import files_pod
from e2e.harness.versions import ROOT
from kit_conformance import refs
from kit_conformance.testbed.registry import Basic

if TYPE_CHECKING:
    from e2e.harness.scenario import Scenario

KIT = ROOT / "fixtures/modelkits/sklearn-iris"

pytestmark = pytest.mark.reference(refs.INITIALIZER_CODES)


@pytest.mark.plain
@pytest.mark.needs("python")
def test_a_tag_that_is_not_there(scenario: Scenario, engine: str) -> None:
    scenario.begin()
    uri = scenario.push(KIT).replace(":v1", ":v9")
    scenario.apply(files_pod("kit", scenario.storage_container(engine), uri))
    ended = scenario.wait_ended()
    assert ended["exitCode"] == 3
    assert ended["message"].startswith(f"not-found: {uri}")


@pytest.mark.plain
@pytest.mark.needs("python", "ours")
def test_no_login_where_one_is_asked_for(scenario: Scenario, engine: str) -> None:
    scenario.begin()
    with faulty.registry(Basic({"ann": "pw"})) as registry:
        uri = faulty.add(registry, scenario, faulty.kit(1000))
        scenario.apply(files_pod("kit", scenario.storage_container(engine), uri))
        ended = scenario.wait_ended()
    assert ended["exitCode"] == 4
    assert ended["message"].startswith("denied: ")


@pytest.mark.plain
@pytest.mark.needs("python", "ours")
def test_a_volume_that_is_too_small(scenario: Scenario, engine: str) -> None:
    scenario.begin()
    with faulty.registry() as registry:
        uri = faulty.add(registry, scenario, faulty.kit())
        volume = {"emptyDir": {"medium": "Memory", "sizeLimit": "4Mi"}}
        scenario.apply(files_pod("kit", scenario.storage_container(engine), uri, volume=volume))
        ended = scenario.wait_ended()
    if engine == "native":  # which looks before it begins
        assert ended["exitCode"] == 10
        assert ended["message"].startswith("destination: /mnt/models has 4.2 MB free, the kit needs 8.0 MB")
    else:  # the cause in Kit's own words
        assert ended["exitCode"] in (1, 10)
        assert "no space left on device" in ended["message"]


@pytest.mark.plain
@pytest.mark.needs("python", "ours")
@pytest.mark.reference(refs.K8S_EMPTYDIR)
def test_a_volume_over_its_limit_is_evicted(scenario: Scenario) -> None:
    scenario.begin()
    with faulty.registry() as registry:
        uri = faulty.add(registry, scenario, faulty.kit())
        limit = {"emptyDir": {"sizeLimit": "1Mi"}}
        scenario.apply(files_pod("kit", scenario.storage_container(), uri, volume=limit))
        line = scenario.wait_warned("Evicted", timeout=100)
    assert 'EmptyDir volume "kserve-provision-location" exceeds the limit "1Mi"' in line


@pytest.mark.needs("kserve", "python")
@pytest.mark.reference(refs.KSERVE_INJECTOR)
def test_no_storage_container_is_kserves_own_event(scenario: Scenario) -> None:
    scenario.begin()
    scenario.serve_files(f"kit://{scenario.state.registry.cluster}/{scenario.name}/iris:v1")
    line = scenario.wait_warned("StorageURI not supported")
    assert line.startswith("Warning InternalError InferenceService/files")
    assert not scenario.cluster.pods(scenario.name)


@pytest.mark.needs("kserve", "python")
@pytest.mark.reference(refs.KSERVE_DUPLICATE)
def test_a_storage_container_of_another_name_is_injected_twice(scenario: Scenario) -> None:
    """KServe looks for the name storage-initializer; what it does not find it injects again, and no pod is made."""
    scenario.begin()
    container = scenario.storage_container()
    container["spec"]["container"]["name"] = "kit-storage-initializer"
    scenario.apply(container)
    scenario.serve_files(scenario.push(KIT))
    line = scenario.wait_warned("FailedCreate")
    assert 'Duplicate value: "kit-storage-initializer"' in line
    assert not scenario.cluster.pods(scenario.name)
