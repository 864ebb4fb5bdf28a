"""Volumes that others write to as well: another user before us, a neighbour who swaps folders, odd file systems."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from initializer.tests.staging import opened, staged
from kit_initializer.errors import DestinationError
from kit_initializer.publish import RECORD_NAME, Collisions, folders, merge, publish, staging

SWAP = """
import os, sys
place, outside = sys.argv[1:]
os.chdir(place)
print("ready", flush=True)
while True:
    try:
        os.rename("d", "real")
        os.symlink(outside, "d")
        os.unlink("d")
        os.rename("real", "d")
    except OSError:
        pass
"""


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(each.relative_to(folder)): each.read_bytes()
        for each in folder.rglob("*")
        if each.is_file() and each.name != RECORD_NAME
    }


def test_a_folder_that_a_neighbour_swaps_for_a_link_is_not_followed(tmp_path: Path) -> None:
    """A neighbour on the volume swaps a folder for a link while files go into it; nothing lands outside."""
    outside = tmp_path / "outside"
    outside.mkdir()
    for number in range(40):
        place = tmp_path / f"place-{number}"
        (place / "d").mkdir(parents=True)
        (place / "d" / "theirs").write_bytes(b"")
        kit = {f"d/file-{each}": b"1" for each in range(20)}
        with subprocess.Popen(
            [sys.executable, "-c", SWAP, place, outside], stdout=subprocess.PIPE, text=True
        ) as neighbour:
            assert neighbour.stdout is not None
            neighbour.stdout.readline()
            try:
                with opened(place) as made:
                    delivery = staged(made, kit)
                    for _ in range(20):
                        try:
                            publish([delivery], Collisions.REFUSE)
                        except DestinationError:
                            continue
                        break
                    delivery.staging.remove()
            finally:
                neighbour.send_signal(signal.SIGKILL)
        assert not list(outside.iterdir())


@pytest.mark.parametrize("what", ["no boot id", "a clock ahead"])
def test_staging_of_a_run_elsewhere_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A lock of another node or mount cannot be seen; without a boot id, or by this node's clock, no run ends."""
    name = ".kit-staging-000000000000-7-1f"
    if what == "no boot id":
        name = ".kit-staging-unknown-7-1f"
        monkeypatch.setattr(staging, "_BOOT", str(tmp_path / "none"))
        staging._machine.cache_clear()
    else:
        ahead = time.time() + 600
        monkeypatch.setattr(time, "time", lambda: ahead)
    (tmp_path / name).mkdir()
    try:
        with opened(tmp_path) as made:
            made.settle()
            made.staging().remove()
    finally:
        staging._machine.cache_clear()
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_staging_of_a_run_on_another_mount_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FUSE in each pod of a node has its own locks: a fake of its device number, and of a lock that is not seen."""
    real = os.fstat

    def elsewhere(handle: int) -> os.stat_result:
        found = real(handle)
        return os.stat_result((*found[:2], found.st_dev + 1, *found[3:]))

    with opened(tmp_path) as there:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fstat", elsewhere)
            living = there.staging()
        fcntl.flock(living.handle, fcntl.LOCK_UN)
        fcntl.flock(there.handle, fcntl.LOCK_UN)
        with opened(tmp_path) as made:
            made.settle()
            made.staging().remove()
        assert Path(living.path).is_dir()
        living.remove()
    assert not list(tmp_path.iterdir())


def test_a_file_that_comes_while_the_kit_is_published_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, other = folders.rename_new, tmp_path / "a"

    def late(name: str, source: int, target: int) -> None:
        other.write_bytes(b"theirs")
        real(name, source, target)

    monkeypatch.setattr(merge, "rename_new", late)
    with opened(tmp_path) as made:
        delivery = staged(made, {"a": b"ours"})
        with pytest.raises(DestinationError, match="has come while the kit was being published"):
            publish([delivery], Collisions.REFUSE)
        delivery.staging.remove()
    assert other.read_bytes() == b"theirs"


@pytest.mark.parametrize("number", sorted({errno.ENOSYS, errno.EXDEV, errno.ENOTEMPTY, errno.ENOTSUP}))
def test_a_volume_that_cannot_rename_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Object stores by FUSE: a fake of their rename, which takes files only."""
    real = os.rename

    def refuse(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        if stat.S_ISDIR(os.stat(source, dir_fd=src_dir_fd, follow_symlinks=False).st_mode):
            raise OSError(number, os.strerror(number), source)
        real(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    def unknown(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "rename", refuse)
    monkeypatch.setattr(folders, "_renameat2", lambda: unknown)
    for kit in ({"d/a": b"1", "d/e/f": b"2", "x": b""}, {"d/a": b"2", "g/h": b"3", "d/e": b""}):
        with opened(tmp_path) as made:
            delivery = staged(made, {**kit, "none": None})
            publish([delivery], Collisions.REFUSE)
            delivery.staging.remove()
        assert files(tmp_path) == kit
        assert (tmp_path / "none").is_dir()
        assert not list(tmp_path.glob(".kit-staging-*"))


AS_USER = """
import ctypes, os, sys
from pathlib import Path
from initializer.tests.staging import opened, staged
from kit_initializer.errors import DestinationError
from kit_initializer.publish import Collisions, publish
os.setgroups([2000]); os.setgid(2000); os.setuid(int(sys.argv[1]))
kits = {"one": {"model/a": b"1", "model/old/x": b"1"}, "two": {"model/a": b"2", "model/new": b"2"}}
with opened(Path(sys.argv[2])) as made:
    os.umask(0o777 ^ made.folder_mode)  # as the archive makes folders
    delivery = staged(made, kits[sys.argv[3]])
    try:
        publish([delivery], Collisions.REFUSE)
    except DestinationError as error:
        sys.exit(error.line())
    finally:
        delivery.staging.remove()
"""


def as_user(uid: int, place: Path, kit: str) -> subprocess.CompletedProcess[str]:
    environ = {
        # without coverage's: another user cannot write its data file
        **{name: value for name, value in os.environ.items() if not name.startswith(("COV", "COVERAGE"))},
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-c", AS_USER, str(uid), str(place), kit]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become two other users")
@pytest.mark.parametrize("shared", [True, False])
def test_the_next_version_by_another_user(*, shared: bool) -> None:
    """A volume with an fsGroup is everybody's of that group; on others the older tree stays as it was."""
    place = Path(
        tempfile.mkdtemp(prefix="volume-", dir="/tmp")
    )  # pytest's own folders are closed to other users
    os.chown(place, 0, 2000)
    place.chmod(0o2775 if shared else 0o777)
    assert as_user(1001, place, "one").returncode == 0
    before = files(place)
    done = as_user(1002, place, "two")
    if shared:
        assert (done.returncode, done.stderr) == (0, "")
        assert files(place) == {"model/a": b"2", "model/new": b"2"}
        assert stat.S_IMODE((place / "model").stat().st_mode) == 0o2775
    else:
        assert f"{place}/model cannot be changed by user 1002: it belongs to user 1001" in done.stderr
        assert "fsGroup" in done.stderr
        assert files(place) == before
        assert as_user(1001, place, "two").returncode == 0
    shutil.rmtree(place)
