"""A destination and its staging, called as the run calls them: what the command cannot bring about at will."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import json
import os
import stat
import tempfile
import time
import zlib
from pathlib import Path

import pytest

from initializer.tests.staging import ENTRIES, KIT, abandoned, opened, recorded, staged
from kit_initializer.deadline import Deadline
from kit_initializer.errors import DestinationError, UnreachableError
from kit_initializer.listing import Entry
from kit_initializer.publish import (
    RECORD_NAME,
    Collisions,
    Destination,
    destination,
    explain,
    publish,
)
from kit_initializer.publish.folders import remove_tree
from kit_initializer.publish.record import PUBLISHED, PUBLISHING, Record, adopted_line, load, write

# the record


def of(text: bytes) -> Record | None:
    return load(io.BytesIO(text))


def test_a_record_is_what_was_written() -> None:
    text = recorded(PUBLISHING, paths=["empty/", "old", "ö/x"])
    record = of(text)
    assert record is not None
    assert (record.state, record.kits) == (PUBLISHING, (KIT,))
    assert [line.entry for line in record.lines() if line.entry] == list(ENTRIES)
    assert [line.path for line in record.lines() if line.stale] == ["old", "ö/x"]
    assert [line.path for line in record.lines() if line.folder] == ["empty/"]
    assert set(record.ours()) == {"a/b", "ü", "old", "ö/x"}
    assert record.folders() == {"a", "empty", "ö"}
    assert text.isascii()
    assert json.loads(text)["version"] == 2, "a person, and any tool, can read it"


def test_an_adopted_file_is_not_ours() -> None:
    file = io.BytesIO()
    write(file, PUBLISHED, [KIT], [adopted_line(ENTRIES[0])])
    record = load(file)
    assert record is not None
    assert not list(record.ours())
    assert [line.entry for line in record.lines()] == [ENTRIES[0]]


@pytest.mark.parametrize(
    "path", ["", "/a", "a/", "a//b", ".", "a/../b", "../a", "a\0", "\ud800", 3, None, ["a"]]
)
def test_a_path_that_leads_elsewhere_makes_no_line(path: object) -> None:
    good = recorded(PUBLISHED, paths=["old"])
    record = of(good.replace(b'["a/b",', json.dumps([path]).encode()[:-1] + b","))
    assert record is not None
    with pytest.raises(ValueError):
        list(record.lines())
    assert "old" not in set(record.ours()), "what stands behind a damaged line is not trusted"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"version":2', b'"version":1'),
        (b'"version":2', b'"version":"2"'),
        (b'"state":"published"', b'"state":"other"'),
        (b'"state":"published"', b'"state":[]'),
        (b'"kits":[{', b'"kits":3,"x":[{'),
        (b'"files":2', b'"files":"2"'),
        (b'"digest"', b'"digits"'),
        (b"[]]}\n", b""),
        (b"[]]}\n", b"[]]}"),
        (b"[]]}\n", b"[]]}\n\n"),
    ],
)
def test_other_records_are_not_ours(old: bytes, new: bytes) -> None:
    good = recorded(PUBLISHED)
    assert of(good) is not None
    assert old in good
    assert of(good.replace(old, new)) is None


# the folder


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
    outside.write_bytes(recorded(PUBLISHED))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / RECORD_NAME).symlink_to(outside)
    with opened(tmp_path / "d") as made:
        assert made.record is None
        publish([staged(made, {"a": b"1"})], Collisions.REFUSE)
    assert not (tmp_path / "d" / RECORD_NAME).is_symlink()
    assert outside.read_bytes() == recorded(PUBLISHED)


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
            with pytest.raises(DestinationError, match=r"B free, the kit needs 1152921.5 TB") as caught:
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


def intact(folder: Path, entry: Entry) -> bool:
    (folder / RECORD_NAME).write_bytes(recorded(PUBLISHED, [entry]))
    with opened(folder) as made:
        return made.intact()


def test_what_is_intact(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert not intact(tmp_path, Entry("a", (tmp_path / "a").stat().st_size, 0))
    assert not intact(tmp_path, Entry("b", 0, 0))
    (tmp_path / "b").write_bytes(b"b")
    assert intact(tmp_path, Entry("b", 1, zlib.crc32(b"b")))
    assert not intact(tmp_path, Entry("b", 1, zlib.crc32(b"c")))
    assert not intact(tmp_path, Entry("b", 2, zlib.crc32(b"b")))
    (tmp_path / "large").write_bytes(large := os.urandom(2_500_000))
    assert intact(tmp_path, Entry("large", len(large), zlib.crc32(large)))
    assert not intact(tmp_path, Entry("large", len(large), zlib.crc32(large[1_048_576:])))


@pytest.mark.parametrize("kind", ["link", "folder-link", "fifo", "device", "mode-0"])
def test_what_is_never_intact(tmp_path: Path, kind: str) -> None:
    """Only a plain file that a server may read is a file of the kit; and nothing is waited for."""
    place, entry = tmp_path / "place", Entry("d/a", 1, zlib.crc32(b"a"))
    (place / "d").mkdir(parents=True)
    (place / "d" / "a").write_bytes(b"a")
    assert intact(place, entry)
    (place / "d" / "a").unlink()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a").write_bytes(b"a")
    if kind == "link":
        (place / "d" / "a").symlink_to(tmp_path / "elsewhere" / "a")
    elif kind == "folder-link":
        (place / "d").rmdir()
        (place / "d").symlink_to(tmp_path / "elsewhere")
    elif kind == "fifo":
        os.mkfifo(place / "d" / "a")
    elif kind == "device":
        entry = Entry("d/a", 0, 0)
        (place / "d" / "a").symlink_to("/dev/zero")
        if os.geteuid() == 0:
            (place / "d" / "a").unlink()
            os.mknod(place / "d" / "a", 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    else:
        (place / "d" / "a").write_bytes(b"a")
        (place / "d" / "a").chmod(0)
    assert not intact(place, entry)


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
    stale = ["old/deep/x", "older", "gone", "gone/too", "half/x"]
    (tmp_path / RECORD_NAME).write_bytes(recorded(PUBLISHING, [Entry("a", 1, zlib.crc32(b"1"))], stale))
    abandoned(tmp_path)
    (tmp_path / "half").mkdir()
    with opened(tmp_path) as made:
        made.settle()
    with opened(tmp_path) as made:
        assert made.record is not None
        assert made.record.state == PUBLISHED
        assert [line.path for line in made.record.lines()] == ["a"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [RECORD_NAME, "a", "old"]
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["mine"]


def test_a_volume_that_refuses_to_be_settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A volume that became read-only: a fake of such an unlink."""

    def refuse(path: str, *, dir_fd: int | None = None) -> None:
        del dir_fd
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    (tmp_path / RECORD_NAME).write_bytes(recorded(PUBLISHING, [], ["old"]))
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


@pytest.mark.parametrize("name", ["file", "file/x", "file/x/y"])
def test_a_file_where_a_folder_should_be(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DestinationError, match=f"^{tmp_path}/{name}: Not a directory"):
        Destination(str(tmp_path / name), lambda _: None)
    (tmp_path / RECORD_NAME).mkdir()
    with pytest.raises(DestinationError, match=f"^{tmp_path}/{RECORD_NAME} is a folder") as caught:
        Destination(str(tmp_path), lambda _: None)
    assert caught.value.hint == "remove that folder"
