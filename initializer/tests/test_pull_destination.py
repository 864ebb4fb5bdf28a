"""What becomes of a destination: second runs, moved tags, collisions, several kits in one folder or in nested ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kit_conformance.testbed.kits import Noise, Source, Tar, assemble, index, layer, pack, single
from kit_conformance.testbed.registry import faults

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from initializer.tests.conftest import Command, Run, Trees
    from kit_conformance.testbed.kits import Kit
    from kit_conformance.testbed.registry import Registry

KITFILE = {"manifestVersion": "1.0.0", "package": {"name": "k"}, "model": {"path": "model"}}
KIT = pack({"model/weights.bin": Noise(300_000), "model/config.json": b"{}\n"}, KITFILE)


def of(files: Mapping[str, Source | None]) -> Kit:
    """Return a kit whose model is a folder with these files."""
    return pack({f"model/{name}": body for name, body in files.items()}, KITFILE)


def collided(run: Run, *words: str) -> None:
    assert (run.code, run.last.partition(":")[0]) == (10, "destination"), run.lines
    for word in words:
        assert word in run.last


def downloads(registry: Registry) -> int:
    assert registry.ledger.settle()
    return len(registry.ledger.requests(kind="blob"))


def limited(name: str, limit: int, command: Command, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command under a limit of resources (setrlimit(2))."""
    code = (
        f"import resource, runpy; resource.setrlimit(resource.RLIMIT_{name}, ({limit}, {limit}));"
        "runpy.run_module('kit_initializer', run_name='__main__', alter_sys=True)"
    )
    process = [sys.executable, "-c", code, *arguments]
    return subprocess.run(
        process, env=command.environ({}), capture_output=True, text=True, timeout=30, check=False
    )


HEAD = b'{"version": 1, "state": "published",'

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
    left = destination / ".kit-staging-1-abc" / "kit-0" / "model"
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


# collisions


def test_a_file_that_differs_is_10_and_nothing_changes(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    uri = registry.add(of({"a": b"kit", "b": b"kit"}), "iris", "v1")
    (destination / "model").mkdir(parents=True)
    (destination / "model/b").write_bytes(b"own")
    before = trees.content(destination)
    collided(initialize(uri, destination), "model/b", "-o", "-i")
    assert trees.content(destination) == before
    trees.no_staging(destination)


@pytest.mark.parametrize("flag", ["-o", "--overwrite"])
def test_a_file_that_differs_is_replaced_with_o(
    *, flag: str, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    kit = of({"a": b"kit", "b": b"kit"})
    uri = registry.add(kit, "iris", "v1")
    (destination / "model").mkdir(parents=True)
    (destination / "model/b").symlink_to("/etc/passwd")
    (destination / "model/a").write_bytes(b"own")
    run = initialize(uri, destination, KIT_UNPACK_FLAGS=f"--plain-http {flag}")
    assert run.code == 0, run.lines
    trees.check(destination, kit)
    assert os.path.getsize("/etc/passwd") > 3


@pytest.mark.parametrize("flag", ["-i", "--ignore-existing"])
def test_a_file_that_differs_is_kept_with_i(
    *, flag: str, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    uri = registry.add(of({"a": b"kit", "b": b"kit"}), "iris", "v1")
    (destination / "model").mkdir(parents=True)
    (destination / "model/b").write_bytes(b"own")
    for _ in range(2):  # the second run finds everything as it should be
        registry.ledger.clear()
        assert initialize(uri, destination, KIT_UNPACK_FLAGS=f"--plain-http {flag}").code == 0
        trees.check(destination, of({"a": b"kit"}), {"model/b": b"own"})
    assert downloads(registry) == 0
    registry.add(of({"c": b""}), "iris", "v1")
    assert initialize(uri, destination).code == 0
    trees.check(destination, of({"c": b""}), {"model/b": b"own"})  # what was kept never became ours


def test_a_file_that_is_equal_is_adopted(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    uri = registry.add(of({"a": b"kit", "b": b"kit"}), "iris", "v1")
    (destination / "model").mkdir(parents=True)
    (destination / "model/b").write_bytes(b"kit")
    assert initialize(uri, destination).code == 0
    trees.check(destination, of({"a": b"kit", "b": b"kit"}))
    registry.add(of({"c": b""}), "iris", "v1")
    assert initialize(uri, destination).code == 0
    trees.check(destination, of({"c": b""}))


@pytest.mark.parametrize("flags", ["", "-o", "-i"])
@pytest.mark.parametrize("there", ["folder", "link"])
def test_a_folder_where_a_file_goes_is_10_and_the_other_way_round(
    *, flags: str, there: str, registry: Registry, initialize: Command, destination: Path, tmp_path: Path
) -> None:
    uri = registry.add(of({"a": b"kit"}), "iris", "v1")
    destination.mkdir(parents=True)
    if there == "folder":
        (destination / "model" / "a").mkdir(parents=True)
    else:
        (tmp_path / "outside").mkdir()
        (destination / "model").symlink_to(tmp_path / "outside")
    collided(initialize(uri, destination, KIT_UNPACK_FLAGS=f"--plain-http {flags}"), "model")
    if there == "link":
        assert not list((tmp_path / "outside").iterdir())


def test_lost_and_found_stays(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    (destination / "lost+found").mkdir(parents=True, mode=0o700)
    assert initialize(registry.add(KIT, "iris", "v1"), destination).code == 0
    assert (destination / "lost+found").stat().st_mode & 0o777 == 0o700
    (destination / "lost+found").rmdir()
    trees.check(destination, KIT)


@pytest.mark.parametrize("path", [".kit-initializer.json", "sub/.kit-initializer.json", ".kit-staging-1/x"])
def test_our_own_names_in_a_kit_are_8(
    *, path: str, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    """They would be read by later runs as what an earlier one has left."""
    uri = registry.add(single(bytes(Tar().file(path, b'{"version": 1}').file("a", b"a"))), "iris", "v1")
    run = initialize(uri, destination)
    assert (run.code, run.message.partition(":")[0]) == (8, "unsafe")
    assert uri in run.last
    assert path.removesuffix("/x") in run.last
    trees.nothing_in(destination)


# several kits


def test_two_kits_in_two_folders(
    registry: Registry, initialize: Command, tmp_path: Path, trees: Trees
) -> None:
    one, two = registry.add(of({"a": b"1"}), "one", "v1"), registry.add(of({"a": b"2"}), "two", "v1")
    run = initialize(one, tmp_path / "one", two, tmp_path / "two")
    assert run.code == 0
    trees.check(tmp_path / "one", of({"a": b"1"}))
    trees.check(tmp_path / "two", of({"a": b"2"}))
    assert [kit["uri"] for kit in json.loads(run.message)["kits"]] == [one, two]
    registry.ledger.clear()
    assert initialize(one, tmp_path / "one", two, tmp_path / "two").code == 0
    assert downloads(registry) == 0


def test_nothing_is_published_unless_everything_can_be(
    registry: Registry, initialize: Command, tmp_path: Path, trees: Trees
) -> None:
    one, two = registry.add(KIT, "one", "v1"), registry.add(of({"a": b"2"}), "two", "v1")
    registry.inject(faults.Tamper(), kind="blob", repository="two")
    assert initialize(one, tmp_path / "one", two, tmp_path / "two").code == 7
    trees.nothing_in(tmp_path / "one")
    trees.nothing_in(tmp_path / "two")


def test_two_kits_in_one_folder_merge_in_order(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    other = KITFILE | {"package": {"name": "other"}}
    first = of({"a": b"1", "both": b"same", "folder/x": b""})
    second = pack({"model/b": b"2", "model/both": b"same", "model/folder/y": b""}, other)
    one, two = registry.add(first, "one", "v1"), registry.add(second, "two", "v1")
    assert initialize(one, destination, two, f"{destination}/").code == 0
    both = of({"a": b"1", "b": b"2", "both": b"same", "folder/x": b"", "folder/y": b""})
    trees.check(destination, both)
    assert "name: other" in (destination / "Kitfile").read_text(encoding="utf-8")
    registry.ledger.clear()
    assert initialize(one, destination, two, destination).code == 0
    assert downloads(registry) == 0
    assert initialize(one, destination).code == 0
    trees.check(destination, first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": b"1"}, {"a": b"2"}),
        ({"a": b"1"}, {"a/b": b"2"}),
        ({"a/b": b"1"}, {"a": b"2"}),
        ({"a": None, "x": b"1"}, {"a": b"2"}),
        ({"a": b"1"}, {"a": None, "x": b"2"}),
    ],
)
def test_kits_that_clash_are_10_and_nothing_changes(
    *,
    first: dict[str, bytes | None],
    second: dict[str, bytes | None],
    registry: Registry,
    initialize: Command,
    destination: Path,
    trees: Trees,
) -> None:
    one, two = registry.add(of(first), "one", "v1"), registry.add(of(second), "two", "v1")
    collided(initialize(one, destination, two, destination), one, two, "model/a")
    trees.nothing_in(destination)


def test_repeated_pairs_are_one(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    run = initialize(uri, destination, uri, destination)
    assert run.code == 0
    assert len(json.loads(run.message)["kits"]) == 1
    trees.check(destination, KIT)
    assert downloads(registry) == 1


def test_one_kit_under_two_tags_in_one_folder(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    one, two = registry.add(KIT, "iris", "v1"), registry.add(KIT, "iris", "v2")
    assert initialize(one, destination, two, destination).code == 0
    trees.check(destination, KIT)


@pytest.mark.parametrize("inner_first", [False, True])
def test_nested_folders(
    *, inner_first: bool, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    outer, inner = of({"a": b"1", "inner/own": b""}), of({"b": b"2"})
    pairs: list[str | Path] = [registry.add(outer, "outer", "v1"), destination]
    more: list[str | Path] = [registry.add(inner, "inner", "v1"), destination / "model" / "inner"]
    arguments = [*more, *pairs] if inner_first else [*pairs, *more]
    for _ in range(2):
        assert initialize(*arguments).code == 0
        assert (destination / "model/a").read_bytes() == b"1"
        assert (destination / "model/inner/own").exists()
        assert (destination / "model/inner/model/b").read_bytes() == b"2"
        trees.no_staging(destination)
        trees.no_staging(destination / "model" / "inner")
    before = downloads(registry)
    assert initialize(*arguments).code == 0
    assert downloads(registry) == before


@pytest.mark.parametrize("inner_first", [False, True])
@pytest.mark.parametrize("file", ["inner/Kitfile", "inner/model/b", "inner/model"])
def test_nested_folders_that_clash_are_10(
    *, inner_first: bool, file: str, registry: Registry, initialize: Command, destination: Path
) -> None:
    outer = registry.add(of({file: b"other", "a": b""}), "outer", "v1")
    inner = registry.add(of({"b": b"2"}), "inner", "v1")
    pairs = [(outer, destination), (inner, destination / "model" / "inner")]
    arguments = [each for pair in (pairs[::-1] if inner_first else pairs) for each in pair]
    collided(initialize(*arguments), outer, inner, file)
    assert not [path for path in destination.rglob("*") if path.is_file()]


# modes, links, volumes


def test_modes_are_the_same_whatever_the_umask(
    registry: Registry, initialize: Command, tmp_path: Path, trees: Trees
) -> None:
    kit = pack(
        {"model/a": b"", "model/run": b"", "model/d/e/f": b""},
        KITFILE,
        modes={
            "model/a": 0o600,
            "model/run": 0o700,
            "model/d": 0o700,
        },
    )
    uri = registry.add(kit, "iris", "v1")
    before = os.umask(0o077)
    try:
        run = initialize(uri, tmp_path / "x" / "y" / "z")
    finally:
        os.umask(before)
    assert run.code == 0
    trees.check(tmp_path / "x" / "y" / "z", kit)
    for folder in ("x", "x/y", "x/y/z"):
        assert (tmp_path / folder).stat().st_mode & 0o7777 == 0o755, folder


def test_a_destination_through_a_link(
    registry: Registry, initialize: Command, tmp_path: Path, trees: Trees
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    uri = registry.add(KIT, "iris", "v1")
    assert initialize(uri, tmp_path / "link", uri, tmp_path / "real").code == 0
    trees.check(tmp_path / "real", KIT)


def test_a_folder_that_nobody_may_write_to_is_10(registry: Registry, initialize: Command) -> None:
    """/proc takes nothing from any user, root included."""
    collided(initialize(registry.add(KIT, "iris", "v1"), "/proc/kit"), "/proc/kit")
    collided(initialize(registry.add(KIT, "iris", "v1"), "/proc"), "/proc")
    assert downloads(registry) == 0


def test_a_volume_that_cannot_take_the_kit_is_10_before_anything_is_downloaded(
    registry: Registry, initialize: Command
) -> None:
    """/dev/shm is a volume of its own on every Linux; 1 EiB fits nowhere."""
    kit = single(b"x" * 1000)
    manifest = json.loads(kit.manifest)
    manifest["layers"][0]["size"] = 1 << 60
    uri = registry.add(replace(kit, manifest=json.dumps(manifest).encode()), "iris", "v1")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        collided(initialize(uri, folder), folder, "bytes free where the kit needs 1152921504606846976")
        assert not os.listdir(folder)
    assert downloads(registry) == 0


def test_one_of_two_destinations_cannot_be_made(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    collided(initialize(uri, destination, uri, "/proc/kit"), "/proc/kit")
    destination.mkdir(parents=True, exist_ok=True)
    (destination / "z").write_bytes(b"")  # sorted behind the one that can
    collided(initialize(uri, destination / "z" / "z", uri, destination), "/z/z")
    (destination / "z").unlink()
    trees.nothing_in(destination)


@pytest.mark.parametrize("size", [300_000, 5_000_000])
def test_a_file_that_does_not_fit_is_10(
    *, size: int, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    """RLIMIT_FSIZE stands for a full volume: the same call fails, and no right to mount is needed."""
    uri = registry.add(of({"weights.bin": Noise(size)}), "iris", "v1")
    assert initialize(registry.add(KIT, "older", "v1"), destination).code == 0
    done = limited("FSIZE", 200_000, initialize, uri, str(destination))
    assert (done.returncode, done.stderr.count("\n")) == (10, 1)
    assert done.stderr.startswith(f"destination: {destination}: ")
    trees.check(destination, KIT)


@pytest.mark.parametrize("end", ["EROFS", "EACCES", "EDQUOT", "EIO"])
@pytest.mark.parametrize("call", ["mkdir:2", "create:1", "rename:1"])
def test_a_volume_that_refuses_is_10(
    *, end: str, call: str, registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    destination.mkdir(parents=True)
    run = initialize(registry.add(KIT, "iris", "v1"), destination, doom=f"{call}:{end}")
    collided(run, str(destination))
    trees.nothing_in(destination)


def test_two_runs_take_turns(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    held = registry.inject(faults.Stall(after=1000), kind="blob", times=1)
    first = initialize.start(uri, destination)
    assert registry.ledger.wait_for(1, kind="blob")
    second = initialize.start(uri, destination)
    assert second.stderr is not None
    lines = [second.stderr.readline()]
    assert lines == [f"{destination}: waiting for another run to finish\n"]
    registry.release()
    assert first.end().code == 0
    assert second.end().last.endswith("nothing to download")
    assert held.hits == 1
    trees.check(destination, KIT)


def test_runs_at_once_in_one_folder_bring_the_kit_once(
    registry: Registry, initialize: Command, destination: Path, trees: Trees
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    runs = [initialize.start(uri, destination) for _ in range(6)]
    assert [process.end().code for process in runs] == [0] * 6
    trees.check(destination, KIT)
    assert downloads(registry) == 1


@pytest.mark.parametrize("layers", [1, 12])
def test_many_files_with_few_handles(
    *, layers: int, registry: Registry, initialize: Command, tmp_path: Path, trees: Trees
) -> None:
    """256 open files are allowed in some containers; deep folders in many layers at once are the worst case."""
    blobs, expected = [], 0
    for number in range(layers):
        tar = Tar()
        for each in range(1200 // layers):
            tar.file(f"l{number}/{each % 40}/{each}", bytes(1000))
        tar.file(f"{number}" + "/d" * 45 + "/x", b"x")
        expected += 1200 // layers + 1
        blobs.append(layer(bytes(tar), "model" if number == 0 else "code"))
    parts = [{"path": str(number), "digest": each.digest} for number, each in enumerate(blobs)]
    config = {"manifestVersion": "1.0.0", "package": {}, "model": parts[0], "code": parts[1:]}
    uri = registry.add(assemble(config, blobs), "iris", "v1")
    done = limited("NOFILE", 256, initialize, uri, str(tmp_path / "d"))
    assert done.returncode == 0, done.stderr
    assert len(trees.content(tmp_path / "d")) == expected + 2
