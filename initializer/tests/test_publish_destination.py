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

import pytest

from initializer.tests.staging import KIT, opened, staged
from kit_initializer.deadline import Deadline
from kit_initializer.errors import DestinationError, UnreachableError
from kit_initializer.publish import (
    RECORD_NAME,
    Collisions,
    Destination,
    Entry,
    destination,
    explain,
    publish,
)
from kit_initializer.publish.destination import folders_above, remove_tree
from kit_initializer.publish.record import PUBLISHED, PUBLISHING, Record, load

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


def test_a_folder_in_use_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    said: list[str] = []
    with opened(tmp_path):
        began = time.monotonic()
        with pytest.raises(DestinationError, match="in use by another run") as short:
            Destination(str(tmp_path), said.append, lock_timeout=0.3)
        assert time.monotonic() - began >= 0.3
        assert "raise KIT_LOCK_TIMEOUT (now 0.3 s)" in short.value.hint
        with pytest.raises(UnreachableError, match="waiting for another run") as whole:
            Destination(str(tmp_path), said.append, deadline=Deadline(0.3))
        assert "raise KIT_TOTAL_TIMEOUT (now 0.3 s)" in whole.value.hint
    assert said == 2 * [f"{tmp_path}: waiting for another run to finish"]
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
