"""The command with KIT_ENGINE=kit and a real Kit: the same contract as with the native engine."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from initializer.tests.conftest import failed
from kit_conformance.testbed.kits import Noise, Tar, pack, single
from kit_conformance.testbed.registry import Basic, Registry, faults

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command, Run, Trees

pytestmark = pytest.mark.interop("kit")

KIT = pack(
    {"model/weights.bin": Noise(3_000_000), "model/run.sh": b"#!/bin/sh\n", "data/a.csv": b"1,2\n"},
    {"manifestVersion": "1.0.0", "model": {"path": "model"}, "datasets": [{"path": "data"}]},
    modes={"model/run.sh": 0o700, "model/weights.bin": 0o600},
)


@pytest.fixture
def with_kit(tmp_path: Path) -> dict[str, str]:
    """Say that Kit is to do it, and where it is."""
    found = shutil.which(os.environ.get("KIT", "kit"))
    assert found
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "kit").symlink_to(found)
    return {"KIT_ENGINE": "kit", "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "KIT_RETRIES": "1"}


def test_the_tree_is_the_native_engines_and_a_second_run_downloads_nothing(
    registry: Registry, initialize: Command, destination: Path, trees: Trees, with_kit: dict[str, str]
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    run = initialize(uri, destination, env=with_kit)
    assert run.code == 0, run.lines
    assert run.last.endswith(", engine kit")
    assert json.loads(run.message)["engine"] == "kit"
    trees.check(destination, KIT)
    registry.ledger.clear()
    assert initialize(uri, destination, env=with_kit).code == 0
    assert registry.ledger.requests(kind="blob") == []


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (faults.Tamper(1000), (7, "integrity")),
        (faults.Status(404), (3, "not-found")),
        (faults.Status(403), (4, "denied")),
        (faults.Status(503), (5, "unreachable")),
    ],
    ids=["tampered", "missing", "forbidden", "unavailable"],
)
def test_the_registry_room_finds_the_cause_when_kit_fails(
    registry: Registry,
    initialize: Command,
    destination: Path,
    with_kit: dict[str, str],
    fault: faults.Fault,
    outcome: tuple[int, str],
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    registry.inject(fault, kind="blob", times=None)
    run = initialize(uri, destination, env=with_kit, timeout=90)
    assert (run.code, run.last.partition(":")[0]) == outcome, run.lines
    assert not any(destination.iterdir())


def test_what_only_kit_knows_is_1_with_its_own_words(
    registry: Registry, initialize: Command, destination: Path, trees: Trees, with_kit: dict[str, str]
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    run = initialize(uri, destination, env=with_kit, KIT_UNPACK_FLAGS="--plain-http --as-skill")
    assert (run.code, run.last.partition(":")[0]) == (1, "kit"), run.lines
    trees.nothing_in(destination)


def test_a_login_reaches_kit_and_stays_out_of_everything_else(
    initialize: Command, destination: Path, trees: Trees, with_kit: dict[str, str]
) -> None:
    login = {"KIT_USER": "ann", "KIT_PASSWORD": "grey-otter"}
    with Registry(auth=Basic({"ann": "grey-otter"})) as registry:
        uri = registry.add(KIT, "iris", "v1")
        run: Run = initialize(uri, destination, env={**with_kit, **login})
        assert run.code == 0, run.lines
        assert initialize(uri, destination.with_name("other"), env=with_kit).code == 4
    trees.check(destination, KIT)
    said = "\n".join([*run.lines, run.message])
    assert "grey-otter" not in said
    assert not [
        path for path in destination.rglob("*") if path.is_file() and b"grey-otter" in path.read_bytes()
    ]


def test_patterns_of_kserve_apply(
    registry: Registry, initialize: Command, destination: Path, with_kit: dict[str, str]
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    assert initialize(uri, destination, env=with_kit, STORAGE_ALLOW_PATTERNS="model/*").code == 0
    brought = sorted(path.name for path in destination.rglob("*") if path.is_file())
    assert brought == [".kit-initializer.json", "run.sh", "weights.bin"]


@pytest.mark.parametrize("tar", [Tar().file("a\\m.bin"), Tar().directory("a\\b").file("a\\b/m.bin")])
def test_names_of_windows_are_refused_and_the_native_engine_named(
    tar: Tar,
    registry: Registry,
    initialize: Command,
    destination: Path,
    trees: Trees,
    with_kit: dict[str, str],
) -> None:
    """Kit for Linux takes a backslash literally: the server would find no file where the kit has one."""
    run = initialize(registry.add(single(bytes(tar), "."), "iris", "v1"), destination, env=with_kit)
    failed(run, 8, "unsafe", "packed on Windows", "set KIT_ENGINE=native")
    trees.nothing_in(destination)


def test_a_parent_of_another_repository_lends_its_model(
    registry: Registry, initialize: Command, destination: Path, with_kit: dict[str, str]
) -> None:
    """By the same tag: Kit 1.7 keeps a parent under the name of its child."""
    registry.add(KIT, "base", "v1")
    parent = {"path": f"{registry.host}/base:v1"}
    child = pack({"doc/a.md": b"x"}, {"manifestVersion": "1.0.0", "model": parent, "docs": [{"path": "doc"}]})
    run = initialize(registry.add(child, "child", "v1"), destination, env=with_kit)
    assert run.code == 0, run.lines
    assert (destination / "doc/a.md").read_bytes() == b"x"
    assert (destination / "model/weights.bin").stat().st_size == 3_000_000
