"""What becomes of a destination: collisions, several kits in one folder or in nested ones, volumes."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from initializer.tests.destinations import KIT, KITFILE, collided, downloads, limited, of
from kit_conformance.testbed.kits import Noise, Tar, assemble, layer, pack, single
from kit_conformance.testbed.registry import faults

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command, Trees
    from kit_conformance.testbed.registry import Registry


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
    before = (destination / "model/b").stat().st_ino
    registry.add(of({"c": b""}), "iris", "v1")
    assert initialize(uri, destination).code == 0
    trees.check(destination, of({"c": b""}), {"model/b": b"kit"})
    assert (destination / "model/b").stat().st_ino == before, "a file of somebody else's is left alone"


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
def test_our_own_names_in_a_kit_are_left_out(
    *, path: str, registry: Registry, initialize: Command, destination: Path
) -> None:
    """A kit packed from an initialized folder has them; later runs would take them for an earlier one's."""
    uri = registry.add(single(bytes(Tar().file(path, b'{"version": 1}').file("a", b"a"))), "iris", "v1")
    run = initialize(uri, destination)
    assert run.code == 0, run.lines
    assert any(f"left out {path}" in line for line in run.lines)
    assert json.loads(run.message)["kits"][0]["files"] == 2
    found = {str(each.relative_to(destination)) for each in destination.rglob("*") if each.is_file()}
    assert found == {"a", "Kitfile", ".kit-initializer.json"}
    assert initialize(uri, destination).last.endswith("nothing to download")


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
        collided(initialize(uri, folder), folder, "free, the kit needs 1152921.5 TB")
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
    resolving, *lines = done.stderr.splitlines()
    assert (done.returncode, resolving, len(lines)) == (10, f"resolving {uri}", 1)
    assert lines[0].startswith(f"destination: {destination}: ")
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
