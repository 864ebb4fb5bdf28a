"""A destination and its staging, called as the run calls them: what the command cannot bring about at will."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import tempfile
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kit_initializer.errors import DestinationError, UnsafeContentError
from kit_initializer.publish import (
    RECORD_NAME,
    Collisions,
    Delivery,
    Destination,
    Entry,
    Kit,
    destination,
    explain,
    publish,
)
from kit_initializer.publish.destination import folders_above, remove_tree
from kit_initializer.publish.record import PUBLISHED, PUBLISHING, Record, load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KIT = Kit("kit://r.example/k:v1", "sha256:1", "filters ['model']", (Entry("a/b", 3, 0xABC), Entry("ü", 0, 0)))


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Destination]:
    with contextlib.closing(Destination(str(folder), lambda _: None)) as made:
        yield made


def staged(
    made: Destination, files: Mapping[str, bytes | None], uri: str = "kit://r.example/k:v1"
) -> Delivery:
    """Stage a kit; None is an empty folder."""
    staging = made.staging()
    tree = staging.tree()
    for path, body in files.items():
        full = Path(staging.path, "kit-0", path)
        (full if body is None else full.parent).mkdir(parents=True, exist_ok=True)
        if body is not None:
            full.write_bytes(body)
    entries = [Entry(path, len(body), zlib.crc32(body)) for path, body in files.items() if body is not None]
    return Delivery(staging, tree, Kit(uri, "sha256:1", "", tuple(entries)))


def staged_beside(first: Delivery, files: Mapping[str, bytes | None], uri: str) -> Delivery:
    """Stage one more kit for the destination of `first`."""
    number = len(list(Path(first.staging.path).glob("kit-*")))
    tree = first.staging.tree()
    for path, body in files.items():
        full = Path(first.staging.path, f"kit-{number}", path)
        (full if body is None else full.parent).mkdir(parents=True, exist_ok=True)
        if body is not None:
            full.write_bytes(body)
    entries = [Entry(path, len(body), zlib.crc32(body)) for path, body in files.items() if body is not None]
    return Delivery(first.staging, tree, Kit(uri, "sha256:2", "", tuple(entries)))


# the record


def test_a_record_is_what_was_written() -> None:
    for record in (Record(PUBLISHING, (KIT, KIT), ("old", "ö")), Record(PUBLISHED, ())):
        assert load(record.dump()) == record
    record = Record(PUBLISHING, (KIT, KIT._replace(files=(Entry("a/b", 9, 9),))), ("old",))
    assert record.owned() == {"a/b", "ü", "old"}
    assert record.entries() == {"a/b": Entry("a/b", 9, 9), "ü": Entry("ü", 0, 0)}
    assert record.dump().isascii()
    assert json.loads(record.dump())["version"] == 1


@pytest.mark.parametrize(
    "path", ["", "/a", "a/", "a//b", ".", "a/../b", "../a", "a\0", "\ud800", 3, None, ["a"]]
)
def test_a_path_that_leads_elsewhere_makes_no_record(path: object) -> None:
    good = json.loads(Record(PUBLISHED, (KIT,), ("old",)).dump())
    assert load(json.dumps(good).encode()) is not None
    assert load(json.dumps(good | {"stale": [path]}).encode()) is None
    good["kits"][0]["files"][0]["path"] = path
    assert load(json.dumps(good).encode()) is None


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"version": "1"}, {"state": "other"}, {"state": []}, {"kits": 3}, {"kits": [{}]}],
)
def test_other_records_are_none_of_ours(change: dict[str, object]) -> None:
    good = json.loads(Record(PUBLISHED, (KIT,)).dump())
    assert load(json.dumps(good | change).encode()) is None
    del good["stale"]
    assert load(json.dumps(good).encode()) is None


# the folder


def test_folders_above() -> None:
    assert folders_above("a/b/c") == ["a/b", "a"]
    assert folders_above("a") == []


def test_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with contextlib.closing(Destination("x/y", lambda _: None)):
        assert (tmp_path / "x" / "y").is_dir()


def test_a_folder_in_use_is_waited_for_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(destination, "_LOCK_S", 0.3)
    said: list[str] = []
    with opened(tmp_path):
        began = time.monotonic()
        with pytest.raises(DestinationError, match="in use by another run"):
            Destination(str(tmp_path), said.append)
        assert time.monotonic() - began >= 0.3
    assert said == [f"{tmp_path}: waiting for another run to finish"]
    with opened(tmp_path):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EIO])
def test_a_volume_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Some network file systems have none: a fake of such a flock."""

    def refuse(_: int, operation: int) -> None:
        del operation
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    if number == errno.EIO:
        with pytest.raises(DestinationError, match=os.strerror(number)):
            Destination(str(tmp_path), lambda _: None)
        return
    with opened(tmp_path):
        pass


def test_a_link_in_the_place_of_the_record_is_none_of_ours(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(Record(PUBLISHED, (KIT,)).dump())
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / RECORD_NAME).symlink_to(outside)
    with opened(tmp_path / "d") as made:
        assert made.record is None
        publish([staged(made, {"a": b"1"})], Collisions.REFUSE)
    assert not (tmp_path / "d" / RECORD_NAME).is_symlink()
    assert load(outside.read_bytes()) is not None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EIO])
def test_why_a_volume_refused(number: int) -> None:
    error = explain(OSError(number, os.strerror(number)), "/mnt/models")
    assert str(error) == f"/mnt/models: {os.strerror(number)}"
    assert bool(error.hint) is (number != errno.EIO)
    assert str(explain(OSError("odd"), "/mnt/models")) == "/mnt/models: odd"


def mounts(*lines: tuple[str, Path | str]) -> str:
    """Return a mountinfo (proc(5)): the folder of its file system that each mount shows, and where."""
    escaped = [(root, str(point).replace(" ", "\\040")) for root, point in lines]
    return "".join(
        f"{30 + n} 1 254:{n} {root} {point} rw - ext4 /dev/x rw\n" for n, (root, point) in enumerate(escaped)
    )


@pytest.mark.parametrize(
    ("own", "lines"),
    [
        (True, [("/", "/"), ("/", "PLACE")]),
        (True, [("/", "/"), ("/", "PARENT")]),
        (True, [("/pods/x", "PARENT"), ("/", "PLACE")]),
        (
            True,
            [("/", "PLACE"), ("/pods/x", "PARENT"), ("/pods/x", "PLACE/below"), ("/pods/x", "PLACEHOLDER")],
        ),
        (True, [("/pods/x", "PLACE"), ("/", "PLACE")]),
        (False, [("/", "/")]),
        (False, [("/", "/"), ("/pods/x", "PLACE")]),
        (False, [("/", "PARENT"), ("/pods/x", "PLACE")]),
        (False, [("/", "PLACE"), ("/pods/x", "PLACE")]),
        (False, []),
    ],
)
def test_room_is_looked_at_where_a_volume_is_its_own(
    *, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool, lines: list[tuple[str, str]]
) -> None:
    """A folder of the node's disk is not judged: a fake of the mounts, which need rights to be made."""
    place = tmp_path / "a place"
    real = [(root, at.replace("PLACE", str(place)).replace("PARENT", str(tmp_path))) for root, at in lines]
    odd = b"29 1 254:9 / /mnt/\xff rw - ext4 /dev/x rw\n"
    (tmp_path / "mountinfo").write_bytes(odd + mounts(*real).encode())
    monkeypatch.setattr(destination, "_MOUNTS", str(tmp_path / "mountinfo"))
    with opened(place) as made:
        volume = os.statvfs(place)
        made.room(volume.f_bavail * volume.f_frsize // 2)
        if own:
            with pytest.raises(DestinationError, match="bytes free where the kit needs") as caught:
                made.room(1 << 60)
            assert str(place) in str(caught.value)
            assert caught.value.hint
        else:
            made.room(1 << 60)


def test_a_volume_of_its_own_is_found(tmp_path: Path) -> None:
    """/dev/shm is one on every Linux."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, opened(Path(folder)) as made:
        made.room(0)
        with pytest.raises(DestinationError, match=folder):
            made.room(1 << 60)


def test_room_is_no_matter_where_mounts_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system without /proc: a fake of its mountinfo."""
    for text in ("", "odd\n"):
        (tmp_path / "mountinfo").write_text(text, encoding="ascii")
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, opened(Path(folder)) as made:
            monkeypatch.setattr(destination, "_MOUNTS", str(tmp_path / "mountinfo"))
            made.room(1 << 60)
    monkeypatch.setattr(destination, "_MOUNTS", str(tmp_path / "none"))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, opened(Path(folder)) as made:
        made.room(1 << 60)


def test_a_folder_where_a_file_should_be_is_not_intact(tmp_path: Path) -> None:
    (tmp_path / "d" / "a").mkdir(parents=True)
    size = (tmp_path / "d" / "a").stat().st_size
    with opened(tmp_path / "d") as made:
        assert not made.intact({"a": Entry("a", size, 0)})
        assert not made.intact({"b": Entry("b", 0, 0)})
        (tmp_path / "d" / "b").write_bytes(b"b")
        assert made.intact({"b": Entry("b", 1, zlib.crc32(b"b"))})
        assert not made.intact({"b": Entry("b", 1, zlib.crc32(b"c"))})
        assert not made.intact({"b": Entry("b", 2, zlib.crc32(b"b"))})
        assert made.intact({})
        (tmp_path / "d" / "large").write_bytes(large := os.urandom(2_500_000))
        assert made.intact({"large": Entry("large", len(large), zlib.crc32(large))})
        assert not made.intact({"large": Entry("large", len(large), zlib.crc32(large[1_048_576:]))})


def test_trees_are_removed_without_following_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "d").mkdir(parents=True)
    tree = tmp_path / "tree"
    (tree / "d" / "e").mkdir(parents=True)
    (tree / "d" / "f").write_bytes(b"")
    (tree / "d" / "link").symlink_to(outside)
    (tree / "top").symlink_to(outside)
    with opened(tmp_path) as made:
        for name in ("tree", "not there"):
            remove_tree(made.handle, name)
        with pytest.raises(OSError, match="too long"):
            remove_tree(made.handle, "n" * 300)
    assert not tree.exists()
    assert (outside / "d").is_dir()


def test_what_a_killed_run_meant_to_do_is_completed(tmp_path: Path) -> None:
    with opened(tmp_path) as made:
        delivery = staged(made, {"a": b"1"})
        publish([delivery], Collisions.REFUSE)
        delivery.staging.remove()
    for path in ("old/deep/x", "old/mine", "older"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"")
    with opened(tmp_path) as made:
        assert made.record is not None
        made.settle()
        assert (tmp_path / "older").exists()
        begun = made.record._replace(
            state=PUBLISHING, stale=("old/deep/x", "older", "gone", "gone/too", "half/x")
        )
        (tmp_path / RECORD_NAME).write_bytes(begun.dump())
        (tmp_path / ".kit-staging-1").mkdir()
        (tmp_path / "half").mkdir()
    with opened(tmp_path) as made:
        made.settle()
    with opened(tmp_path) as made:
        assert made.record is not None
        assert (made.record.state, made.record.stale) == (PUBLISHED, ())
    assert sorted(path.name for path in tmp_path.iterdir()) == [RECORD_NAME, "a", "old"]
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["mine"]


def test_a_volume_that_refuses_to_be_settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A volume that became read-only: a fake of such an unlink."""

    def refuse(path: str, *, dir_fd: int | None = None) -> None:
        del dir_fd
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    (tmp_path / RECORD_NAME).write_bytes(Record(PUBLISHING, (), ("old",)).dump())
    (tmp_path / "old").write_bytes(b"")
    with opened(tmp_path) as made:
        monkeypatch.setattr(os, "unlink", refuse)
        with pytest.raises(DestinationError, match="Read-only"):
            made.settle()
        monkeypatch.undo()
    assert (tmp_path / "old").exists()
    with opened(tmp_path) as made:
        made.settle()
    assert not (tmp_path / "old").exists()


def test_staging_that_cannot_be_removed_is_left_to_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, *, dir_fd: int | None = None) -> None:
        del dir_fd
        raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    with opened(tmp_path) as made:
        delivery = staged(made, {"a": b""})
        monkeypatch.setattr(os, "rmdir", refuse)
        delivery.staging.remove()
        with pytest.raises(DestinationError, match=f"^{tmp_path}: Input/output error"):
            made.staging()
        monkeypatch.undo()
        made.staging().remove()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["file", "file/x", "file/x/y"])
def test_a_file_where_a_folder_should_be(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DestinationError, match=f"^{tmp_path}/{name}: Not a directory"):
        Destination(str(tmp_path / name), lambda _: None)
    (tmp_path / RECORD_NAME).mkdir()
    with pytest.raises(DestinationError, match=f"^{tmp_path}/{RECORD_NAME}: Is a directory"):
        Destination(str(tmp_path), lambda _: None)


# publishing


def test_a_tree_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with opened(tmp_path) as made:
        delivery = staged(made, {"a": b"1"})
        with pytest.raises(DestinationError, match=str(tmp_path)):
            publish([delivery._replace(tree=-1)], Collisions.REFUSE)
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


@pytest.mark.parametrize(
    "path", [RECORD_NAME, f"a/{RECORD_NAME}", ".kit-staging-1", "a/b/.kit-staging-", f"{RECORD_NAME}/x"]
)
@pytest.mark.parametrize("there", [False, True])
def test_names_of_our_own_are_refused_wherever_they_are(tmp_path: Path, path: str, *, there: bool) -> None:
    if there:
        (tmp_path / "a" / "b").mkdir(parents=True)
    with opened(tmp_path) as made:
        for files in ({path: b""}, {path: None, "x": b""}):
            delivery = staged(made, files)
            with pytest.raises(UnsafeContentError, match="keeps for itself") as caught:
                publish([delivery], Collisions.REPLACE)
            assert str(caught.value).startswith("kit://r.example/k:v1 holds ")
            delivery.staging.remove()
    assert not (tmp_path / RECORD_NAME).exists()


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
        assert made.intact(made.record.entries())


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
            modes.append(os.fstat(delivery.tree))
            publish([delivery], Collisions.REFUSE)
            modes.append((tmp_path / "x" / "y" / RECORD_NAME).stat())
    finally:
        os.umask(before)
    assert [each.st_mode & 0o777 for each in modes] == [0o755] * 4 + [0o644]
