"""Publishing, called as the run calls it: what the command cannot bring about at will."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from initializer.tests.staging import opened, staged, staged_beside
from kit_initializer.errors import DestinationError
from kit_initializer.publish import (
    RECORD_NAME,
    Collisions,
    publish,
)
from kit_initializer.publish.record import PUBLISHING

if TYPE_CHECKING:
    from pathlib import Path


def test_a_tree_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with opened(tmp_path) as made:
        delivery = staged(made, {"a": b"1"})
        with pytest.raises(DestinationError, match=str(tmp_path)):
            publish([delivery._replace(root=-1)], Collisions.REFUSE)
        delivery.staging.remove()


def test_a_file_that_we_may_not_read_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything: a fake of an open by somebody else."""
    (tmp_path / "a").write_bytes(b"1")
    real = os.open
    with opened(tmp_path) as made:
        delivery = staged(made, {"a": b"1"})

        def refuse(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            if dir_fd == made.handle and path == "a":
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
            return real(path, flags, mode, dir_fd=dir_fd)

        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(DestinationError, match="is there already and differs"):
            publish([delivery], Collisions.REFUSE)


@pytest.mark.parametrize("large", [False, True])
def test_equal_files_are_told_from_others(tmp_path: Path, *, large: bool) -> None:
    body = bytes(3_000_000 if large else 10)
    for there in (body, body[:-1] + b"x", body + b"x"):
        (tmp_path / "a").write_bytes(there)
        with opened(tmp_path) as made:
            delivery = staged(made, {"a": body})
            if there == body:
                publish([delivery], Collisions.REFUSE)
                (tmp_path / RECORD_NAME).unlink()
            else:
                with pytest.raises(DestinationError, match="differs"):
                    publish([delivery], Collisions.REFUSE)
            delivery.staging.remove()
        assert (tmp_path / "a").read_bytes() == there


def test_a_fifo_in_the_way_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    with opened(tmp_path) as made:
        delivery = staged(made, {"a": b"1"})
        with pytest.raises(DestinationError, match="differs"):
            publish([delivery], Collisions.REFUSE)
        publish([delivery], Collisions.REPLACE)
    assert (tmp_path / "a").read_bytes() == b"1"


@pytest.mark.parametrize(
    ("foreign", "fits"),
    [("", True), ("d/mine", False), ("d/e/mine", False), ("d/e/f/mine", False), ("d/new/", False)],
)
def test_a_folder_of_ours_gives_way_only_when_nothing_else_is_in_it(
    tmp_path: Path, *, foreign: str, fits: bool
) -> None:
    with opened(tmp_path) as made:
        publish([staged(made, {"d/a": b"", "d/e/f/g": b""})], Collisions.REFUSE)
    if foreign.endswith("/"):
        (tmp_path / foreign).mkdir()
    elif foreign:
        (tmp_path / foreign).write_bytes(b"")
    with opened(tmp_path) as made:
        delivery = staged(made, {"d": b"file"})
        if fits:
            publish([delivery], Collisions.REFUSE)
            assert (tmp_path / "d").read_bytes() == b"file"
        else:
            for way in Collisions:
                with pytest.raises(DestinationError, match="is a folder where the kit has a file"):
                    publish([delivery], way)
            assert (tmp_path / "d/e/f/g").exists()


def test_a_file_of_ours_gives_way_to_a_folder(tmp_path: Path) -> None:
    with opened(tmp_path) as made:
        publish([staged(made, {"d": b"file"})], Collisions.REFUSE)
    with opened(tmp_path) as made:
        publish([staged(made, {"d/e/f": b"", "d/g": b""})], Collisions.REFUSE)
    assert (tmp_path / "d/e/f").exists()


def test_similar_names_are_not_ours(tmp_path: Path) -> None:
    names = {
        "kit-initializer.json": b"",
        f"{RECORD_NAME}.bak": b"",
        ".kit-stagin": b"",
        "x.kit-staging-": b"",
    }
    with opened(tmp_path) as made:
        delivery = staged(made, names)
        publish([delivery], Collisions.REFUSE)
        delivery.staging.remove()
    assert {path.name for path in tmp_path.iterdir()} == {RECORD_NAME, *names}


ONE: dict[str, bytes | None] = {"d/a": b"1", "d/e/x": b"", "d/e/f/x": b"", "Kitfile": b"one", "none": None}
TWO: dict[str, bytes | None] = {
    "d/a": b"1",
    "d/b": b"2",
    "d/e/y": b"",
    "d/e/f/y": b"",
    "Kitfile": b"two",
    "none": None,
}


@pytest.mark.parametrize("there", ["", "d/mine", "d/e/f/mine"])
def test_kits_in_one_folder_are_merged(tmp_path: Path, there: str) -> None:
    if there:
        (tmp_path / there).parent.mkdir(parents=True)
        (tmp_path / there).write_bytes(b"")
    with opened(tmp_path) as made:
        first = staged(made, ONE, "kit://r.example/k:v1")
        publish([first, staged_beside(first, TWO, "kit://r.example/k:v2")], Collisions.REFUSE)
        first.staging.remove()
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    files = {path for path, body in {**ONE, **TWO}.items() if body is not None}
    assert found == {*files, RECORD_NAME} | ({there} if there else set())
    assert (tmp_path / "none").is_dir()
    assert (tmp_path / "Kitfile").read_bytes() == b"two"
    with opened(tmp_path) as made:
        assert made.record is not None
        assert [kit.uri for kit in made.record.kits] == ["kit://r.example/k:v1", "kit://r.example/k:v2"]
        assert made.intact()


@pytest.mark.parametrize("folder", [False, True])
def test_kits_in_one_folder_take_the_place_of_what_was_ours(tmp_path: Path, *, folder: bool) -> None:
    before: dict[str, bytes | None] = {"d/x": b""} if folder else {"d": b""}
    with opened(tmp_path) as made:
        publish([staged(made, before)], Collisions.REFUSE)
    after: dict[str, bytes | None] = {"d": b"1"} if folder else {"d/e/a": b"", "d/b": b""}
    more: dict[str, bytes | None] = {"d": b"1", "c": b""} if folder else {"d/e/c": b"", "d/b": b""}
    with opened(tmp_path) as made:
        first = staged(made, after)
        publish([first, staged_beside(first, more, "kit://r.example/k:v2")], Collisions.REFUSE)
        first.staging.remove()
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {*after, *more, RECORD_NAME}


@pytest.mark.parametrize(
    ("one", "two", "path"),
    [
        ({"a": b"1"}, {"a": b"2"}, "a"),
        ({"a": b"1"}, {"a": b"11"}, "a"),
        ({"d/a": b"1"}, {"d/a/b": b"2"}, "d/a"),
        ({"d/a/b": b"1"}, {"d/a": b"2"}, "d/a"),
        ({"d/e/a": None, "x": b"1"}, {"d/e/a": b"2"}, "d/e/a"),
        ({"d/a": b"1"}, {"d/a": None, "x": b"2"}, "d/a"),
        ({"d/Kitfile": b"1"}, {"d/Kitfile": b"2"}, "d/Kitfile"),
    ],
)
def test_kits_that_clash(
    tmp_path: Path, one: dict[str, bytes | None], two: dict[str, bytes | None], path: str
) -> None:
    with opened(tmp_path) as made:
        first = staged(made, one, "kit://r.example/one:v1")
        second = staged_beside(first, two, "kit://r.example/two:v1")
        with pytest.raises(DestinationError) as caught:
            publish([first, second], Collisions.REPLACE)
        first.staging.remove()
    said = str(caught.value)
    assert said.endswith(f" both bring {tmp_path}/{path}, and differ")
    assert {"kit://r.example/one:v1", "kit://r.example/two:v1"} == {
        said.split(maxsplit=1)[0],
        said.split()[2],
    }
    assert caught.value.hint
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("inner", ["", "d", "d/e"])
def test_kits_in_nested_folders_that_clash(tmp_path: Path, inner: str) -> None:
    with opened(tmp_path) as outer, opened(tmp_path / "d" / "e" / "f") as nested:
        first = staged(outer, {"d/e/f/Kitfile": b"1"}, "kit://r.example/one:v1")
        second = staged(nested, {"Kitfile": b"2", "a": b""}, "kit://r.example/two:v1")
        for order in ([first, second], [second, first]):
            with pytest.raises(DestinationError, match=r"both bring .*/d/e/f/Kitfile, and differ"):
                publish(order, Collisions.REPLACE)
        for delivery in (first, second):
            delivery.staging.remove()
    assert not [path for path in (tmp_path / inner).rglob("*") if path.is_file()]


def test_a_rename_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A volume that fails in the middle: a fake of such a rename."""
    real, calls = os.rename, []

    def refuse(source: str, target: str, **handles: int) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO), source)
        real(source, target, **handles)

    with opened(tmp_path) as made:
        delivery = staged(made, {"a": b"", "b": b""})
        monkeypatch.setattr(os, "rename", refuse)
        with pytest.raises(DestinationError, match=f"^{tmp_path}: Input/output error"):
            publish([delivery], Collisions.REFUSE)
        monkeypatch.undo()
    with opened(tmp_path) as made:
        assert made.record is not None
        assert made.record.state == PUBLISHING
        publish([staged(made, {"a": b"", "b": b""})], Collisions.REFUSE)


def test_every_file_of_a_folder_gets_another_name(tmp_path: Path) -> None:
    with opened(tmp_path) as made:
        publish([staged(made, {"a/b/c/x": b"", "a/y": b""})], Collisions.REFUSE)
    with opened(tmp_path) as made:
        publish([staged(made, {"a/b/c/new": b"1", "a/z": b""})], Collisions.REFUSE)
    assert {path.name for path in (tmp_path / "a/b/c").iterdir()} == {"new"}
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"b", "z"}


@pytest.mark.parametrize("target", ["equal", "folder", "nothing"])
def test_a_link_in_the_way_is_never_ours(tmp_path: Path, target: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "equal").write_bytes(b"1")
    (outside / "folder").mkdir()
    place = tmp_path / "d"
    place.mkdir()
    (place / "a").symlink_to(outside / target)
    with opened(place) as made:
        delivery = staged(made, {"a": b"1"})
        with pytest.raises(DestinationError, match="/a is there already and differs"):
            publish([delivery], Collisions.REFUSE)
        publish([delivery], Collisions.REPLACE)
    assert not (place / "a").is_symlink()
    assert (outside / "equal").read_bytes() == b"1"
    (place / "a").unlink()
    (place / "a").symlink_to(outside / target)
    with opened(place) as made:
        delivery = staged(made, {"a/equal": b"1"})
        publish([delivery], Collisions.REPLACE)  # the file that it takes the place of was ours
    assert not (place / "a").is_symlink()
    assert {path.name for path in outside.iterdir()} == {"equal", "folder"}


def test_nobody_else_may_write_to_what_we_make(tmp_path: Path) -> None:
    """The command's umask is 0: modes are what they are given."""
    before = os.umask(0)
    try:
        with opened(tmp_path / "x" / "y") as made:
            delivery = staged(made, {"a": b""})
            modes = [(tmp_path / "x").stat(), (tmp_path / "x" / "y").stat(), os.stat(delivery.staging.path)]
            modes.append(os.fstat(delivery.root))
            publish([delivery], Collisions.REFUSE)
            modes.append((tmp_path / "x" / "y" / RECORD_NAME).stat())
    finally:
        os.umask(before)
    assert [each.st_mode & 0o777 for each in modes] == [0o755, 0o755, 0o700, 0o755, 0o644]
