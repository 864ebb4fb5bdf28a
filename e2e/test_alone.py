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
    from e2e.harness.story import Story

KIT = ROOT / "fixtures/modelkits/sklearn-iris"
CONFIG = "inferenceservice-config"

pytestmark = [
    pytest.mark.alone,
    pytest.mark.needs("kserve", "python"),
    pytest.mark.reference(refs.KSERVE_CSC),
]


def bare(story: Story, name: str, **environ: str) -> Object:
    """Return deploy/'s ClusterStorageContainer, which claims all of kit://."""
    container = story.storage_container(**environ)
    container["metadata"]["name"] = name
    container["spec"]["supportedUriFormats"] = [{"prefix": "kit://"}]
    return container


def test_all_of_kit(story: Story) -> None:
    story.begin()
    story.apply(bare(story, "kit-initializer"))
    name = story.serve_files(story.push(KIT))
    story.wait_ready(name)
    assert "model.joblib" in story.files(f"services/{name}-predictor:80")


def test_two_that_claim_the_same(story: Story) -> None:
    """KServe takes either one, so that both must do: here both are ours, and the kit arrives whichever it was."""
    story.begin()
    for number in (1, 2):
        story.apply(bare(story, f"{story.name}-{number}"))
    name = story.serve_files(story.push(KIT))
    story.wait_ready(name)
    assert "model.joblib" in story.files(f"services/{name}-predictor:80")


@pytest.mark.needs("kserve>=0.20")  # 0.16 and 0.18 stop as well, but tell nobody why (seen)
@pytest.mark.reference(refs.KSERVE_INJECTOR)
def test_a_pattern_that_is_none_stops_everyone(story: Story) -> None:
    """KServe asks its ClusterStorageContainers in no order; where this is the only one, it always meets the bad one."""
    story.begin()
    container = bare(story, story.name)
    container["spec"]["supportedUriFormats"] = [{"regex": "kit://(unclosed"}]
    story.apply(container)
    story.serve_files(story.push(KIT))
    assert "error parsing regexp" in story.wait_warned("error parsing regexp")
    assert not story.cluster.pods(story.name)
    story.cluster.delete(container)
    story.apply(bare(story, f"{story.name}-good"))
    story.wait_ready("files")  # KServe tries again by itself


@pytest.fixture
def _ca_bundle(story: Story) -> Iterator[None]:
    """Have KServe hand the private registry's authority to all of its pods."""
    private = story.state.private
    assert private is not None
    found = story.cluster.get("v1", "ConfigMap", CONFIG, "kserve")
    assert found is not None
    before = found["data"]["storageInitializer"]
    pem = Path(private.ca_file).read_text(encoding="ascii")
    bundle = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "authorities", "namespace": "kserve"},
        "data": {"cabundle.crt": pem},
    }
    story.cluster.apply(bundle)
    set_config(story, json.dumps({**json.loads(before), "caBundleConfigMapName": "authorities"}))
    yield
    set_config(story, before)
    story.cluster.delete(bundle)


def set_config(story: Story, value: str) -> None:
    """Change how KServe initializes storage."""
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CONFIG, "namespace": "kserve"}}
    story.cluster.patch({**config, "data": {"storageInitializer": value}})


@pytest.mark.usefixtures("_ca_bundle")
@pytest.mark.reference(refs.KSERVE_CA)
def test_a_private_authority_through_kserves_bundle(story: Story, engine: str) -> None:
    private = story.state.private
    assert private is not None
    story.begin()
    story.secret("kit-secret", KIT_USER=USER, KIT_PASSWORD=PASSWORD)
    story.apply(story.storage_container(engine, host=private.host))
    name = story.serve_files(story.push_private(KIT))
    story.wait_ready(name)
    assert "model.joblib" in story.files(f"services/{name}-predictor:80")
