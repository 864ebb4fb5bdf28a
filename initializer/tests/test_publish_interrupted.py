"""A run that dies or is refused at any system call: what was there stays, and the next run gives exactly the kit."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from kit_conformance.testbed.kits import Noise, Source, pack
from kit_conformance.testbed.registry import faults

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command, Content, Trees
    from kit_conformance.testbed.registry import Registry

KITFILE = {
    "manifestVersion": "1.0.0",
    "package": {"name": "k"},
    "model": {"path": "model"},
    "code": [{"path": "code"}],
}
ONE = pack(
    {
        "model/weights.bin": b"one",
        "model/same/one.bin": b"the same",
        "model/gone/a": b"a",
        "model/gone/deep/b": b"b",
        "model/file-to-folder": b"f",
        "model/folder-to-file/inside": b"i",
        "code/run.sh": b"#!/bin/sh\n",
    },
    KITFILE,
    modes={"code/run.sh": 0o755},
)
TWO = pack(
    {
        "model/weights.bin": b"twotwo",
        "model/same/one.bin": b"the same",
        "model/new/deep/c": b"c",
        "model/file-to-folder/inside": b"f",
        "model/folder-to-file": b"i",
        "code/run.sh": b"#!/bin/sh\n",
        "code/new.py": b"",
    },
    KITFILE,
)
FOREIGN = {
    "notes.txt": b"mine",
    "model/mine.txt": b"mine too",
    "model/gone/kept.txt": b"kept",
    "code/deep/x": b"x",
}
EVERY_CALL = "rename,mkdir,remove,rmdir,create"
SHARES = 4  # so that two cores can share the work


def prepare(folder: Path, foreign: dict[str, bytes]) -> None:
    (folder / "lost+found").mkdir(parents=True)
    for path, body in foreign.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(body)


def below(trees: Trees, folder: Path) -> dict[str, Content | None]:
    """Return everything but staging."""
    found: dict[str, Content | None] = dict(trees.content(folder))
    found |= {str(path.relative_to(folder)): None for path in folder.rglob("*") if path.is_dir()}
    return {path: each for path, each in found.items() if not path.startswith(".kit-staging-")}


@pytest.mark.parametrize(
    ("end", "share"), [(end, share) for end in ("kill", "ENOSPC") for share in range(SHARES)] + [("term", 0)]
)
def test_an_update_that_ends_at_any_call_is_completed_by_the_next_run(
    *, share: int, end: str, registry: Registry, initialize: Command, tmp_path: Path, trees: Trees
) -> None:
    one, two = registry.add(ONE, "k", "one"), registry.add(TWO, "k", "two")
    older, destination = tmp_path / "older", tmp_path / "d"
    prepare(older, FOREIGN)
    assert initialize(one, older).code == 0
    trees.check(older, ONE, FOREIGN)
    before = below(trees, older)
    died = 0
    for at in range(share + 1, 1000, SHARES):
        shutil.rmtree(destination, ignore_errors=True)
        shutil.copytree(older, destination)
        run = initialize(two, destination, doom=f"{EVERY_CALL}:{at}:{end}")
        assert run.code in {0, {"kill": -signal.SIGKILL, "ENOSPC": 10, "term": 143}[end]}, run.lines
        died += run.code != 0
        if run.code == 10:
            trees.no_staging(destination)
        after = below(trees, destination)
        if after[".kit-initializer.json"] == before[".kit-initializer.json"]:
            assert run.code != 0
            assert after == before
        second = initialize(two, destination)
        assert second.code == 0, second.lines
        trees.check(destination, TWO, FOREIGN)
        assert (destination / "lost+found").is_dir()
        assert not (destination / "model/gone/deep").exists()
        if run.code == 0 and at > SHARES:  # the first call finds the folder there, and may fail
            break
    assert died > 3


@pytest.mark.parametrize("share", range(SHARES))
def test_a_first_run_that_is_killed_at_any_call_is_completed_by_the_next(
    *, share: int, registry: Registry, initialize: Command, tmp_path: Path, trees: Trees
) -> None:
    uri, destination = registry.add(ONE, "k", "one"), tmp_path / "d"
    for at in range(share + 1, 1000, SHARES):
        shutil.rmtree(destination, ignore_errors=True)
        run = initialize(uri, destination, doom=f"{EVERY_CALL}:{at}:kill")
        assert initialize(uri, destination).code == 0
        trees.check(destination, ONE)
        if run.code == 0:
            break
        assert run.code == -signal.SIGKILL
    assert at > 2 * SHARES


def test_a_run_killed_at_random_moments_is_completed_by_the_next(
    registry: Registry, initialize: Command, tmp_path: Path, trees: Trees
) -> None:
    files: dict[str, Source | None] = {
        f"model/part-{number:03}": Noise(20_000, number) for number in range(100)
    }
    kit = pack({**files, "model/weights.bin": Noise(3_000_000), "code/run.sh": b""}, KITFILE)
    uri, destination = registry.add(kit, "k", "one"), tmp_path / "d"
    registry.inject(faults.Bandwidth(10_000_000), kind="blob")

    for _ in range(10):
        shutil.rmtree(destination, ignore_errors=True)
        process = initialize.start(uri, destination)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(random.uniform(0.03, 0.6))
        process.kill()
        process.end()
        assert initialize(uri, destination).code == 0
        trees.check(destination, kit)
