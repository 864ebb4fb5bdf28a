"""Where the record is kept: another tool that checks the model's folder must find the model there and nothing else."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from initializer.tests.conftest import RECORD, failed
from initializer.tests.destinations import KIT, collided, downloads, of
from initializer.tests.staging import staged
from kit_initializer.errors import DestinationError
from kit_initializer.publish import Collisions, Destination, publish

if TYPE_CHECKING:
    from pathlib import Path

    from initializer.tests.conftest import Command
    from kit_conformance.testbed.kits import ModelKit
    from kit_conformance.testbed.registry import Registry

NEXT = of({"weights.bin": b"next", "extra": b""})
OLDER = of({"weights.bin": b"older", "old/file": b"1"})


@pytest.fixture(params=["none", "folder"])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give a value of KIT_RECORD that leaves nothing in the destination."""
    return "none" if request.param == "none" else str(tmp_path / "records" / "of models")


def names(destination: Path) -> list[str]:
    return sorted(str(path.relative_to(destination)) for path in destination.rglob("*") if path.is_file())


def test_nothing_but_the_kit_is_in_the_destination(
    registry: Registry, initialize: Command, destination: Path, elsewhere: str
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    for _ in range(2):
        run = initialize(uri, destination, KIT_RECORD=elsewhere)
        assert run.code == 0, run.lines
        assert names(destination) == ["Kitfile", "model/config.json", "model/weights.bin"]
    assert downloads(registry) == (1 if elsewhere != "none" else 2)


def test_the_next_version_by_a_record_elsewhere(
    registry: Registry, initialize: Command, destination: Path, tmp_path: Path
) -> None:
    folder = str(tmp_path / "records")
    assert initialize(registry.add(OLDER, "iris", "v1"), destination, KIT_RECORD=folder).code == 0
    (destination / "mine").write_bytes(b"")
    assert initialize(registry.add(NEXT, "iris", "v2"), destination, KIT_RECORD=folder).code == 0
    assert names(destination) == ["Kitfile", "mine", "model/extra", "model/weights.bin"]
    other = tmp_path / "mnt" / "other"  # has its own record in that folder
    assert initialize(registry.add(OLDER, "iris", "v1"), other, KIT_RECORD=folder).code == 0
    assert len(list((tmp_path / "records").iterdir())) == 2
    assert names(other) == ["Kitfile", "model/old/file", "model/weights.bin"]


def test_without_a_record_another_version_is_somebody_elses(
    registry: Registry, initialize: Command, destination: Path
) -> None:
    assert initialize(registry.add(OLDER, "iris", "v1"), destination, KIT_RECORD="none").code == 0
    run = initialize(registry.add(NEXT, "iris", "v2"), destination, KIT_RECORD="none")
    collided(run, "weights.bin is there already and differs")
    assert names(destination) == ["Kitfile", "model/old/file", "model/weights.bin"]


@pytest.mark.parametrize("wanted", [OLDER, NEXT], ids=["the same kit", "another kit"])
def test_a_record_inside_is_taken_over(
    *, wanted: ModelKit, registry: Registry, initialize: Command, destination: Path, elsewhere: str
) -> None:
    assert initialize(registry.add(OLDER, "iris", "v1"), destination).code == 0
    assert (destination / RECORD).exists()
    run = initialize(registry.add(wanted, "iris", "v1"), destination, KIT_RECORD=elsewhere)
    assert run.code == 0, run.lines
    model = ["model/old/file"] if wanted is OLDER else ["model/extra"]
    assert names(destination) == ["Kitfile", *model, "model/weights.bin"]
    assert (destination / "model" / "weights.bin").read_bytes() == (b"older" if wanted is OLDER else b"next")


def test_killed_at_every_step_with_a_record_elsewhere(
    registry: Registry, initialize: Command, tmp_path: Path
) -> None:
    older, newer = registry.add(OLDER, "iris", "v1"), registry.add(NEXT, "iris", "v2")
    folder, events = str(tmp_path / "records"), "rename,remove,rmdir,create"
    for step in range(1, 60):
        destination = tmp_path / f"mnt-{step}"
        assert initialize(older, destination, KIT_RECORD=folder).code == 0
        code = initialize(newer, destination, doom=f"{events}:{step}:kill", KIT_RECORD=folder).code
        run = initialize(newer, destination, KIT_RECORD=folder)
        assert (run.code, step) == (0, step), run.lines
        assert names(destination) == ["Kitfile", "model/extra", "model/weights.bin"]
        if code == 0:
            assert step > 5
            return
    pytest.fail("the run never came to its end")


def test_the_folder_is_the_runs_to_write(registry: Registry, initialize: Command, tmp_path: Path) -> None:
    """Another user who could write there would choose what the next run removes."""
    folder = tmp_path / "records" / "of" / "models"
    run = initialize(registry.add(KIT, "iris", "v1"), tmp_path / "mnt", KIT_RECORD=str(folder))
    assert run.code == 0
    assert [stat.S_IMODE(each.stat().st_mode) for each in (folder, *folder.parents[:2])] == [0o755] * 3
    assert [stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()] == [0o644]


def test_a_folder_in_the_destination_is_refused(
    registry: Registry, initialize: Command, destination: Path
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    for folder in (destination / "records", destination):
        failed(initialize(uri, destination, KIT_RECORD=str(folder)), 10, "destination", "KIT_RECORD=none")
    assert names(destination) == []


def test_a_place_that_cannot_be(
    registry: Registry, initialize: Command, destination: Path, tmp_path: Path
) -> None:
    uri = registry.add(KIT, "iris", "v1")
    for value in ("outside", "./records", "NONE"):
        failed(initialize(uri, destination, KIT_RECORD=value), 2, "usage", "KIT_RECORD", "absolute path")
    (tmp_path / "file").write_bytes(b"")
    failed(initialize(uri, destination, KIT_RECORD=str(tmp_path / "file")), 10, "destination", "file")
    assert names(destination) == []


@pytest.mark.parametrize("place", ["inside", "folder"])
def test_a_record_is_on_the_disk_before_it_is_in_force(
    *, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a loss of power may leave files of ours without a record that says so."""
    forced: list[bool] = []
    folder, root = tmp_path / "records", tmp_path / "mnt"

    def there() -> bool:
        return (root / RECORD).exists() or (folder.exists() and any(folder.glob("[!.]*")))

    monkeypatch.setattr(os, "fsync", lambda _: forced.append(there()))
    setting = "inside" if place == "inside" else str(folder)
    with contextlib.closing(Destination(str(root), lambda _: None, record=setting)) as made:
        publish([staged(made, {"a": b"1"})], Collisions.REFUSE)
    assert forced == [False, False]
    assert there()


@pytest.mark.parametrize(
    ("number", "fails"), [(errno.EIO, True), (errno.EINVAL, False), (errno.ENOTSUP, False)]
)
def test_a_disk_that_cannot_be_forced(
    *, number: int, fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with contextlib.closing(Destination(str(tmp_path / "mnt"), lambda _: None)) as made:
        delivery = staged(made, {"a": b"1"})
        with (
            pytest.raises(DestinationError, match=r"Input/output error")
            if fails
            else contextlib.nullcontext()
        ):
            publish([delivery], Collisions.REFUSE)
        delivery.staging.remove()
    assert (tmp_path / "mnt" / "a").exists() is not fails
