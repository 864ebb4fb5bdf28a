"""What becomes of a destination with second runs and moved tags."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from initializer.tests.destinations import HEAD, KIT, KITFILE, collided, of
from kit_conformance.testbed.kits import Noise, index, pack
from kit_conformance.testbed.registry import faults

if TYPE_CHECKING:
    from initializer.tests.conftest import Command, Trees
    from kit_conformance.testbed.registry import Registry


# second runs


def test_a_second_run_downloads_nothing(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    assert initialize(uri, destination).code == 0
    before = {path: path.lstat() for path in destination.rglob("*")}
    registry.ledger.clear()
    run = initialize(uri, destination)
    assert run.code == 0
    assert run.last == f"{uri} is in place already ({KIT.digest}), nothing to download"
    assert [(each.method, each.kind) for each in registry.ledger] == [("GET", "manifest")]
    assert {path: path.lstat() for path in destination.rglob("*")}.keys() == before.keys()
    assert all(path.lstat().st_mtime_ns == before[path].st_mtime_ns for path in before if path.is_file())
    trees.check(destination, KIT)
    (kit,) = json.loads(run.message)["kits"]
    assert (kit["digest"], kit["files"]) == (KIT.digest, 3)


def test_a_second_run_by_digest_asks_for_nothing(
    registry: Registry, initialize: Command, destination: Path
) -> None:
    registry.add(KIT, "iris", "v1")
    uri = f"kit://{registry.host}/iris@{KIT.digest}"
    assert initialize(uri, destination).code == 0
    registry.ledger.clear()
    assert initialize(uri, destination).code == 0
    assert len(registry.ledger) == 0
    registry.stop()
    assert initialize(uri, destination).code == 0
    registry.start()


def test_a_run_loads_only_what_it_needs(registry: Registry, initialize: Command, destination: Path) -> None:
    registry.add(KIT, "iris", "v1")
    uri = f"kit://{registry.host}/iris@{KIT.digest}"
    environ = {"PYTHONPROFILEIMPORTTIME": "1", "COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""}
    first, second = (initialize(uri, destination, env=environ) for _ in range(2))
    assert (first.code, second.code) == (0, 0)
    loaded = [{line.rpartition("|")[2].strip() for line in run.lines} for run in (first, second)]
    assert loaded[0] >= {"kit_initializer.pull.layers", "_hashlib"}
    # each of them takes milliseconds of every start: a pod waits for it
    never = {"kit_initializer.pull.kit", "kit_initializer.credentials.sources", "subprocess", "ssl", "email"}
    assert not (loaded[0] | loaded[1]) & never


@pytest.mark.parametrize("damage", ["shorter", "other", "gone", "link", "folder", "the record", "no record"])
def test_damage_is_mended(
    *, damage: str, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    assert initialize(uri, destination).code == 0
    file, record = destination / "model" / "weights.bin", destination / ".kit-initializer.json"
    body = file.read_bytes()
    if damage == "shorter":
        os.truncate(file, 100)
    elif damage == "other":
        file.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
    elif damage == "the record":
        record.write_bytes(record.read_bytes()[:-20])
    elif damage == "no record":
        record.unlink()
    else:
        file.unlink()
        if damage == "link":
            file.symlink_to("/etc/passwd")
        if damage == "folder":
            file.mkdir()
    run = initialize(uri, destination)
    if damage == "folder":  # it may hold what is somebody's
        collided(run, str(file))
        file.rmdir()
        run = initialize(uri, destination)
    assert run.code == 0, run.lines
    trees.check(destination, KIT)
    assert os.path.getsize("/etc/passwd") > 0


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        b'{"version": 2}',
        HEAD + b'"stale": ["../../outside"], "kits": []}',
        HEAD + b'"stale": ["/outside"], "kits": []}',
        HEAD + b'"stale": ["a\\u0000"], "kits": []}',
        HEAD + b'"stale": ["a\\ud800"], "kits": []}',
        HEAD + b'"stale": [3], "kits": []}',
        b'{"version": 1, "state": ["published"], "stale": [], "kits": []}',
        HEAD + b' "stale": [], "kits": [{"files": [{"path": "a", "size": Infinity}]}]}',
        None,
    ],
)
def test_a_record_that_is_none_of_ours_owns_nothing(
    *, record: bytes | None, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    destination.mkdir(parents=True)
    outside = destination.parent.parent / "outside"
    outside.write_bytes(b"mine")
    path = destination / ".kit-initializer.json"
    if record is None:
        path.mkdir()
        collided(initialize(uri, destination), ".kit-initializer.json")
        path.rmdir()
        return
    path.write_bytes(record)
    run = initialize(uri, destination)
    assert run.code == 0, run.lines
    trees.check(destination, KIT)
    assert outside.read_bytes() == b"mine"


def test_what_an_unfinished_run_left_is_swept(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").replace("-", "")[:12]
    mount = f"{destination.parents[1].stat().st_dev:x}"
    left = destination / f".kit-staging-{boot}.{mount}-1-abc" / "kit-0" / "model"
    left.mkdir(parents=True)
    (left / "weights.bin").write_bytes(b"half")
    (left / "link").symlink_to("/etc")
    (destination / ".kit-staging-file").write_bytes(b"")
    assert initialize(uri, destination).code == 0
    trees.check(destination, KIT)
    left.mkdir(parents=True)
    assert initialize(uri, destination).code == 0
    trees.check(destination, KIT)


# moved tags


def test_a_moved_tag_replaces_what_is_ours(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    one = of({"a": b"1", "gone": b"", "folder/deep/gone": b"", "shared/ours": b"", "same": b"same"})
    two = of({"a": b"2", "new": b"", "same": b"same"})
    uri = registry.add(one, "iris", "v1")
    assert initialize(uri, destination).code == 0
    foreign = {"mine": b"1", "model/mine": b"2", "model/shared/mine": b"3"}
    for path, body in foreign.items():
        (destination / path).write_bytes(body)
    registry.add(two, "iris", "v1")
    assert initialize(uri, destination).code == 0
    trees.check(destination, two, foreign)
    assert not (destination / "model/folder").exists()


def test_another_kit_replaces_what_is_ours(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    assert initialize(registry.add(of({"a": b"1", "b": b"1"}), "one", "v1"), destination).code == 0
    kit = of({"b": b"2", "c": b"2"})
    assert initialize(registry.add(kit, "two", "v1"), destination).code == 0
    trees.check(destination, kit)


def test_a_file_behind_a_link_that_took_our_folder_stays(
    registry: Registry, initialize: Command, destination: Path, tmp_path: Path
) -> None:
    uri = registry.add(of({"a": b"1"}), "iris", "v1")
    assert initialize(uri, destination).code == 0
    shutil.move(destination / "model", tmp_path / "elsewhere")
    (destination / "model").symlink_to(tmp_path / "elsewhere")
    other = dict(KITFILE, model={"path": "other"})
    registry.add(pack({"other/b": b"2"}, other), "iris", "v1")
    assert initialize(uri, destination).code == 0
    assert (tmp_path / "elsewhere" / "a").read_bytes() == b"1"
    assert (destination / "other" / "b").read_bytes() == b"2"


def test_a_failed_update_leaves_the_older_tree(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    assert initialize(uri, destination).code == 0
    registry.add(of({"weights.bin": Noise(2_000_000, 7), "new": b""}), "iris", "v1")
    registry.inject(faults.Tamper(offset=-1), kind="blob")
    assert initialize(uri, destination).code == 7
    trees.check(destination, KIT)


def test_other_filters_are_another_selection(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    recipe = KITFILE | {"docs": [{"path": "README.md"}]}
    kit = pack({"model/a": b"a", "README.md": b"r"}, recipe)
    uri = registry.add(kit, "iris", "v1")
    flags = "--plain-http --filter=model"
    assert initialize(uri, destination, KIT_UNPACK_FLAGS=flags).code == 0
    found = trees.content(destination)
    assert found.keys() == {"model/a", ".kit-initializer.json"}
    assert initialize(uri, destination).code == 0
    trees.check(destination, kit)
    assert initialize(uri, destination, STORAGE_IGNORE_PATTERNS="*.md,Kitfile").code == 0
    assert trees.content(destination).keys() == found.keys()
    assert initialize(uri, destination, STORAGE_ALLOW_PATTERNS='["model/*"]').code == 0
    assert trees.content(destination).keys() == found.keys()


def test_a_kit_of_an_index_by_its_label(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    small, large = of({"a": b"small"}), of({"a": b"large"})
    uri = registry.add(index((small, {"size": "s"}), (large, {"size": "l"})), "iris", "v1")
    for label, kit in (("s", small), ("l", large), ("s", small)):
        assert initialize(uri, destination, KIT_UNPACK_FLAGS=f"--plain-http -l size={label}").code == 0
        trees.check(destination, kit)
    assert initialize(uri, destination).code == 2
