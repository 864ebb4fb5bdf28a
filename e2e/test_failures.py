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
    from e2e.harness.story import Story

KIT = ROOT / "fixtures/modelkits/sklearn-iris"

pytestmark = pytest.mark.reference(refs.HOUSE_CODES)


@pytest.mark.plain
@pytest.mark.needs("python")
def test_a_tag_that_is_not_there(story: Story, engine: str) -> None:
    story.begin()
    uri = story.push(KIT).replace(":v1", ":v9")
    story.apply(files_pod("kit", story.storage_container(engine), uri))
    ended = story.wait_ended()
    assert ended["exitCode"] == 3
    assert ended["message"].startswith(f"not-found: {uri}")


@pytest.mark.plain
@pytest.mark.needs("python", "ours")
def test_no_login_where_one_is_asked_for(story: Story, engine: str) -> None:
    story.begin()
    with faulty.registry(Basic({"ann": "pw"})) as registry:
        uri = faulty.add(registry, story, faulty.kit(1000))
        story.apply(files_pod("kit", story.storage_container(engine), uri))
        ended = story.wait_ended()
    assert ended["exitCode"] == 4
    assert ended["message"].startswith("denied: ")


@pytest.mark.plain
@pytest.mark.needs("python", "ours")
def test_a_volume_that_is_too_small(story: Story, engine: str) -> None:
    story.begin()
    with faulty.registry() as registry:
        uri = faulty.add(registry, story, faulty.kit())
        volume = {"emptyDir": {"medium": "Memory", "sizeLimit": "4Mi"}}
        story.apply(files_pod("kit", story.storage_container(engine), uri, volume=volume))
        ended = story.wait_ended()
    if engine == "native":  # which looks before it begins
        assert ended["exitCode"] == 10
        assert ended["message"].startswith("destination: /mnt/models has 4194304 bytes free")
    else:  # the cause in Kit's own words
        assert ended["exitCode"] in (1, 10)
        assert "no space left on device" in ended["message"]


@pytest.mark.plain
@pytest.mark.needs("python", "ours")
@pytest.mark.reference(refs.K8S_EMPTYDIR)
def test_a_volume_over_its_limit_is_evicted(story: Story) -> None:
    story.begin()
    with faulty.registry() as registry:
        uri = faulty.add(registry, story, faulty.kit())
        limit = {"emptyDir": {"sizeLimit": "1Mi"}}
        story.apply(files_pod("kit", story.storage_container(), uri, volume=limit))
        line = story.wait_warned("Evicted", timeout=100)
    assert 'EmptyDir volume "kserve-provision-location" exceeds the limit "1Mi"' in line


@pytest.mark.needs("kserve", "python")
@pytest.mark.reference(refs.KSERVE_INJECTOR)
def test_no_storage_container_is_kserves_own_event(story: Story) -> None:
    story.begin()
    story.serve_files(f"kit://{story.state.registry.cluster}/{story.name}/iris:v1")
    line = story.wait_warned("StorageURI not supported")
    assert line.startswith("Warning InternalError InferenceService/files")
    assert not story.cluster.pods(story.name)


@pytest.mark.needs("kserve", "python")
@pytest.mark.reference(refs.KSERVE_DUPLICATE)
def test_a_storage_container_of_another_name_is_injected_twice(story: Story) -> None:
    """KServe looks for the name storage-initializer; what it does not find it injects again, and no pod is made."""
    story.begin()
    container = story.storage_container()
    container["spec"]["container"]["name"] = "kit-storage-initializer"
    story.apply(container)
    story.serve_files(story.push(KIT))
    line = story.wait_warned("FailedCreate")
    assert 'Duplicate value: "kit-storage-initializer"' in line
    assert not story.cluster.pods(story.name)
