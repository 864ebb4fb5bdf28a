"""One destination folder: made, locked, examined, given a staging folder on the same volume."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from typing import TYPE_CHECKING

from kit_initializer import listing
from kit_initializer.checksum import crc32
from kit_initializer.deadline import NEVER
from kit_initializer.errors import DestinationError
from kit_initializer.publish import record as records
from kit_initializer.publish.folders import (
    READ,
    Below,
    explain,
    is_plain,
    make_folders,
    remove_empty,
    remove_file,
)
from kit_initializer.publish.record_place import INSIDE, record_place
from kit_initializer.publish.staging import NO_LOCKS, Staging, sweep
from kit_initializer.sizes import size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kit_initializer.deadline import Deadline
    from kit_initializer.listing import Entry
    from kit_initializer.publish.record import Line, PublishedKit, Record

_MOUNTS = "/proc/self/mountinfo"
_CHUNK = 1024 * 1024
# Why a file of an earlier run cannot be removed although all is well: it is gone, or other things are in its place.
_IN_THE_WAY = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.EISDIR,
    errno.ENOTEMPTY,
    errno.EEXIST,
    errno.EBUSY,
}


class Destination:
    """A folder that kits are brought to, held open and locked until it is closed.

    Made with its parents where it is missing. `record` says where its record is kept: "inside", "none", or the path of
    a folder. The lock is the kernel's on the folder itself, so that it leaves no
    file behind and ends with the process; two runs in one folder take turns.
    """

    def __init__(
        self,
        path: str,
        say: Callable[[str], None],
        *,
        deadline: Deadline = NEVER,
        lock_timeout: float = 3600.0,
        record: str = INSIDE,
    ) -> None:
        self.path = path
        self._deadline = deadline
        self._say = say
        self.handle = -1
        try:
            make_folders(path)
            self.handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._lock(say, deadline.nearer("KIT_LOCK_TIMEOUT", lock_timeout))
        except OSError as error:
            self.close()
            raise explain(error, path) from error
        self.records = record_place(record)
        self.record: Record | None = None
        self._noted = False
        try:
            self.record = self.records.load(self)
        except DestinationError:
            self.close()
            raise

    def close(self) -> None:
        """Give the folder up. Never raises: all that mattered was written before."""
        with contextlib.suppress(OSError, AttributeError):
            if self.record is not None:
                self.record.file.close()
        if self.handle >= 0:
            with contextlib.suppress(OSError):
                os.close(self.handle)
            self.handle = -1

    @property
    def folder_mode(self) -> int:
        """The permissions of folders that are made in it: 0755, and group-writable where the volume's group is shared.

        A volume with an fsGroup is group-writable and hands its group on (setgid); its next pod may have another user.
        """
        mode = os.fstat(self.handle).st_mode
        shared = mode & stat.S_ISGID and mode & stat.S_IWGRP
        return 0o775 if shared else 0o755

    def _lock(self, say: Callable[[str], None], until: Deadline) -> None:
        said = False
        while True:
            try:
                fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._deadline.check(f"{self.path}: waiting for another run to finish")
                if until.passed:
                    raise DestinationError(
                        f"{self.path} has been in use by another run for {until.seconds:g} s",
                        hint=f"end that run, or {until.hint()}",
                    ) from None
                if not said:
                    said = True
                    say(f"{self.path}: waiting for another run to finish")
                time.sleep(until.within(0.1))
            except OSError as error:
                if error.errno in NO_LOCKS:
                    return  # a file system without locks: one run at a time is the caller's business there
                raise
            else:
                return

    def settle(self) -> None:
        """Complete what a killed run has left: its staging goes, and so do files that it meant to remove."""
        record = self.record
        try:
            sweep(self, self._say)
            if record is not None and record.state != records.PUBLISHED:
                self._rewrite(record)
            elif record is not None and self._noted:
                with contextlib.suppress(
                    OSError
                ):  # a volume that takes nothing: the next run finds it out again
                    self._rewrite(record)
        except ValueError:
            return  # a damaged record: the next pull writes a new one
        except OSError as error:
            raise explain(error, self.path) from error

    def _rewrite(self, record: Record) -> None:
        staging = Staging(self)
        try:
            lines = (_text(line) for line in record.lines() if not line.stale)
            done = self.records.write(staging, records.PUBLISHED, record.kits, lines)
            remove_stale(self.handle, (line.path for line in record.lines() if line.stale))
            self.records.place(staging, done)
        finally:
            staging.remove()

    def note(self, kits: tuple[PublishedKit, ...]) -> None:
        """Note what was found out about the kits that are in place, for `settle` to write."""
        if self.record is not None and kits != self.record.kits:
            self.record.kits, self._noted = kits, True

    def staging(self) -> Staging:
        """Return a new staging folder; DestinationError when the volume takes none."""
        try:
            staging = Staging(self)
            sweep(self, self._say, staging)
        except OSError as error:
            raise explain(error, self.path) from error
        return staging

    def room(self, needed: int) -> None:
        """Raise DestinationError when the volume certainly cannot take `needed` more bytes.

        Only a volume of its own is judged: a folder of the node's disk shares it with images and logs that the
        kubelet removes when room gets short.
        """
        if not _own_volume(self.path):
            return
        volume = os.statvfs(self.handle)
        free = volume.f_bavail * volume.f_frsize
        if needed > free:
            raise DestinationError(
                f"{self.path} has {size(free)} free, the kit needs {size(needed)}",
                hint="give the volume more room, or remove what else is on it",
            )

    def intact(self) -> bool:
        """Say whether every file of the record is there, readable by all, with its size and content."""
        if self.record is None:
            return False
        buffer = memoryview(bytearray(_CHUNK))
        try:
            with Below(self.handle) as below:
                return all(
                    self._matches(line.entry, below, buffer)
                    for line in self.record.lines()
                    if line.entry is not None
                )
        except ValueError:
            return False

    def _matches(self, entry: Entry, below: Below, buffer: memoryview) -> bool:
        try:
            folder, name = below.parent(entry.path)
            handle = os.open(name, READ, dir_fd=folder)
        except OSError:
            return False
        try:
            found = os.fstat(handle)
            if not is_plain(found) or found.st_size != entry.size:
                return False
            seen = checksum = 0
            with open(handle, "rb", buffering=0, closefd=False) as file:
                while count := file.readinto(buffer):
                    self._deadline.check(f"{self.path}: checking what is in place")
                    checksum = crc32(buffer[:count], checksum)
                    seen += count
        except OSError:
            return False
        else:
            return seen == entry.size and checksum == entry.crc32
        finally:
            os.close(handle)


def _text(line: Line) -> bytes:
    if line.entry is None:
        return records.path_line(line.path)
    return records.adopted_line(line.entry) if line.adopted else listing.line(line.entry)


def remove_stale(root: int, paths: Iterable[str]) -> None:
    """Remove files that an earlier run published, and the folders that they leave empty; "a/b/" is a folder.

    A run may have been killed when only some of that was done, so that a folder goes although its file is gone.
    """
    for path in paths:
        with passing():
            if path.endswith("/"):
                remove_empty(root, path[:-1])
            else:
                try:
                    remove_file(root, path)
                except FileNotFoundError:
                    remove_empty(root, path.rpartition("/")[0])


@contextlib.contextmanager
def passing() -> Iterator[None]:
    """Go on where a file of ours is gone already, or something else is in its place."""
    try:
        yield
    except OSError as error:
        if error.errno not in _IN_THE_WAY:
            raise


def _own_volume(path: str) -> bool:
    """Say whether the folder is the root of a mounted file system, and not a part of one that is used otherwise.

    A bind mount of a folder (an emptyDir on the node's disk, a local volume) shows that folder as its root in
    /proc/self/mountinfo (proc(5)); a disk or a tmpfs of its own shows "/".
    """
    real = os.path.realpath(path)
    best, root = "", ""
    try:
        with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                fields = line.split(" ")
                mount = fields[4].replace("\\040", " ")
                if (real == mount or real.startswith(mount.rstrip("/") + "/")) and len(mount) >= len(best):
                    best, root = mount, fields[3]
    except (OSError, IndexError):
        return False
    return root == "/" and best != "/"
