"""Which files arrive: every sample kit, parts of kits, kits by digest; the initializer alone, without KServe."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from e2e.harness.files import files_pod
from e2e.harness.versions import ROOT
from kit_conformance import refs

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.harness.story import Files, Story

KITS = sorted(path.parent for path in (ROOT / "fixtures/modelkits").glob("*/Kitfile"))
LABELS = ROOT / "fixtures/modelkits/text-labels"
KITFILE = "manifestVersion: 1.0.0\npackage: {name: t}\nmodel: {path: model.bin}\n"
ONE, TWO = b"first\n", b"second\n"

pytestmark = [pytest.mark.plain, pytest.mark.needs("python"), pytest.mark.reference(refs.KIT_UNPACK)]


def listed(kit: Path) -> Files:
    """Return what a sample kit says of its files."""
    files = json.loads((kit / "expected.json").read_text(encoding="utf-8"))["files"]
    return {path: (about["size"], about["sha256"], about["mode"]) for path, about in files.items()}


def small(folder: Path, content: bytes) -> Path:
    """Make a kit of one file."""
    folder.mkdir(exist_ok=True)
    (folder / "model.bin").write_bytes(content)
    (folder / "Kitfile").write_text(KITFILE)
    return folder


def brought(story: Story, engine: str, uri: str, **environ: str) -> Files:
    """Initialize a pod with `uri` and return what its server was given."""
    story.begin(pod_security="restricted")
    story.apply(files_pod("kit", story.storage_container(engine, **environ), uri))
    story.wait_pod("kit")
    return story.files("pods/kit:8080")


@pytest.mark.parametrize("kit", KITS, ids=[kit.name for kit in KITS])
def test_every_sample_kit(story: Story, engine: str, kit: Path) -> None:
    files = brought(story, engine, story.push(kit))
    assert files.pop("Kitfile")[2] == "0644"
    assert files == listed(kit)


def test_a_filter(story: Story, engine: str) -> None:
    flags = "--plain-http --filter model --filter datasets:training"
    files = brought(story, engine, story.push(LABELS), KIT_UNPACK_FLAGS=flags)
    files.pop("Kitfile", None)
    assert sorted(files) == ["data/training.csv", "model/weights.json"]


@pytest.mark.reference(refs.KSERVE_STORAGE)
def test_patterns_as_in_kserves_own_initializer(story: Story) -> None:
    uri = story.push(LABELS)
    wanted = {"STORAGE_ALLOW_PATTERNS": '["*.csv", "src/*"]', "STORAGE_IGNORE_PATTERNS": "src/train.py"}
    files = brought(story, "native", uri, **wanted)
    files.pop("Kitfile", None)
    assert sorted(files) == ["data/training.csv", "data/validation.csv", "src/labels.py"]


def test_a_digest_stays_when_its_tag_moves(story: Story, engine: str, tmp_path: Path) -> None:
    uri = story.push(small(tmp_path, ONE))
    pinned = f"{uri.removesuffix(':v1')}@{story.manifest_digest()}"
    story.push(small(tmp_path, TWO))
    assert brought(story, engine, pinned)["model.bin"][0] == len(ONE)
    assert story.initialized()["kits"][0]["digest"] == pinned.partition("@")[2]


@pytest.mark.reference(refs.HOUSE_CODES)
def test_a_tag_with_a_digest_that_it_has_no_more(story: Story, tmp_path: Path) -> None:
    uri = story.push(small(tmp_path, ONE))
    both = f"{uri}@{story.manifest_digest()}"
    story.push(small(tmp_path, TWO))
    story.begin()
    story.apply(files_pod("kit", story.storage_container(), both))
    ended = story.wait_ended()
    assert ended["exitCode"] == 7
    assert f"{both} pins a digest, but its tag is now {story.manifest_digest()}" in ended["message"]
