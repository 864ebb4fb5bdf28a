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

    from e2e.harness.scenario import Files, Scenario

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


def brought(scenario: Scenario, engine: str, uri: str, **environ: str) -> Files:
    """Initialize a pod with `uri` and return what its server was given."""
    scenario.begin(pod_security="restricted")
    scenario.apply(files_pod("kit", scenario.storage_container(engine, **environ), uri))
    scenario.wait_pod("kit")
    return scenario.files("pods/kit:8080")


@pytest.mark.parametrize("kit", KITS, ids=[kit.name for kit in KITS])
def test_every_sample_kit(scenario: Scenario, engine: str, kit: Path) -> None:
    files = brought(scenario, engine, scenario.push(kit))
    assert files.pop("Kitfile")[2] == "0644"
    assert files == listed(kit)


def test_a_filter(scenario: Scenario, engine: str) -> None:
    flags = "--plain-http --filter model --filter datasets:training"
    files = brought(scenario, engine, scenario.push(LABELS), KIT_UNPACK_FLAGS=flags)
    files.pop("Kitfile", None)
    assert sorted(files) == ["data/training.csv", "model/weights.json"]


@pytest.mark.reference(refs.KSERVE_STORAGE)
def test_patterns_as_in_kserves_own_initializer(scenario: Scenario) -> None:
    uri = scenario.push(LABELS)
    wanted = {"STORAGE_ALLOW_PATTERNS": '["*.csv", "src/*"]', "STORAGE_IGNORE_PATTERNS": "src/train.py"}
    files = brought(scenario, "native", uri, **wanted)
    files.pop("Kitfile", None)
    assert sorted(files) == ["data/training.csv", "data/validation.csv", "src/labels.py"]


def test_a_digest_stays_when_its_tag_moves(scenario: Scenario, engine: str, tmp_path: Path) -> None:
    uri = scenario.push(small(tmp_path, ONE))
    pinned = f"{uri.removesuffix(':v1')}@{scenario.manifest_digest()}"
    scenario.push(small(tmp_path, TWO))
    assert brought(scenario, engine, pinned)["model.bin"][0] == len(ONE)
    assert scenario.initialized()["kits"][0]["digest"] == pinned.partition("@")[2]


@pytest.mark.reference(refs.OCI_PULL)
def test_a_digest_decides_when_its_tag_moves(scenario: Scenario, engine: str, tmp_path: Path) -> None:
    uri = scenario.push(small(tmp_path, ONE))
    both = f"{uri}@{scenario.manifest_digest()}"
    scenario.push(small(tmp_path, TWO))
    assert brought(scenario, engine, both)["model.bin"][0] == len(ONE)
    assert scenario.initialized()["kits"][0]["digest"] == both.partition("@")[2]
