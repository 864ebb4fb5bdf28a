"""One destination folder: made, locked, examined, given a staging folder on the same volume."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from typing import TYPE_CHECKING

from kit_initializer.checksum import crc32
from kit_initializer.deadline import NEVER
from kit_initializer.errors import DestinationError
from kit_initializer.publish import record as records

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from kit_initializer.deadline import Deadline
    from kit_initializer.publish.record import Entry, Record

STAGING_PREFIX = ".kit-staging-"
_MOUNTS = "/proc/self/mountinfo"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
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
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


def explain(error: OSError, path: str) -> DestinationError:
    """Return the error for a destination that the system refused to change."""
    reason = error.strerror or str(error)
    hint = {
        errno.ENOSPC: "give the volume more room, or remove what else is on it",
        errno.EDQUOT: "raise the quota of the volume",
        errno.EROFS: "mount the volume for writing",
        errno.EACCES: "let this user id write there (an emptyDir does)",
        errno.EPERM: "let this user id write there (an emptyDir does)",
    }.get(error.errno or 0, "")
    return DestinationError(f"{path}: {reason}", hint=hint)


class Destination:
    """A folder that kits are brought to, held open and locked until it is closed.

    Made with its parents where it is missing. The lock is the kernel's on the folder itself, so that it leaves no
    file behind and ends with the process; two runs in one folder take turns.
    """

    def __init__(
        self,
        path: str,
        say: Callable[[str], None],
        *,
        deadline: Deadline = NEVER,
        lock_timeout: float = 3600.0,
    ) -> None:
        self.path = path
        self._deadline = deadline
        self.handle = -1
        try:
            _make_folders(path)
            self.handle = os.open(path, _DIRECTORY)
            self._lock(say, deadline.nearer("KIT_LOCK_TIMEOUT", lock_timeout))
        except OSError as error:
            self.close()
            raise explain(error, path) from error
        self.record: Record | None = self._load()

    def close(self) -> None:
        """Give the folder up."""
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1

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
                if error.errno in _NO_LOCKS:
                    return  # a file system without locks: one run at a time is the caller's business there
                raise
            else:
                return

    def _load(self) -> Record | None:
        try:
            with open(os.open(records.RECORD_NAME, _READ, dir_fd=self.handle), "rb") as file:
                return records.load(file.read())
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ELOOP}:  # none, or a link, which is none of ours
                return None
            self.close()
            raise explain(error, f"{self.path}/{records.RECORD_NAME}") from error

    def sweep(self) -> None:
        """Remove what earlier runs left in staging. Only called under the lock: nobody is using it."""
        for name in os.listdir(self.handle):
            if name.startswith(STAGING_PREFIX):
                remove_tree(self.handle, name)

    def settle(self) -> None:
        """Complete what a killed run has left: its staging goes, and so do files that it meant to remove."""
        record = self.record
        try:
            self.sweep()
            if record is not None and record.state != records.PUBLISHED:
                staging = Staging(self)
                done = write_record(staging, record._replace(state=records.PUBLISHED, stale=()))
                remove_stale(self.handle, record.stale)
                place_record(staging, done)
                staging.remove()
        except OSError as error:
            raise explain(error, self.path) from error

    def staging(self) -> Staging:
        """Return a new staging folder; DestinationError when the volume takes none."""
        try:
            self.sweep()
            return Staging(self)
        except OSError as error:
            raise explain(error, self.path) from error

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
                f"{self.path} has {free} bytes free where the kit needs {needed}",
                hint="give the volume more room, or remove what else is on it",
            )

    def intact(self, entries: dict[str, Entry]) -> bool:
        """Say whether every file is there with its size and content."""
        buffer = memoryview(bytearray(_CHUNK))
        return all(self._matches(entry, buffer) for entry in entries.values())

    def _matches(self, entry: Entry, buffer: memoryview) -> bool:
        try:
            handle = os.open(entry.path, _READ, dir_fd=self.handle)
        except OSError:
            return False
        try:
            if os.fstat(handle).st_size != entry.size:
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


class Staging:
    """A folder beside the final files, on the same mount, so that publishing is renaming."""

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self.name = f"{STAGING_PREFIX}{os.getpid()}-{time.monotonic_ns():x}"
        self.path = os.path.join(destination.path, self.name)
        os.mkdir(self.name, 0o755, dir_fd=destination.handle)
        self.handle = os.open(self.name, _DIRECTORY, dir_fd=destination.handle)
        self._trees: list[int] = []

    def tree(self) -> int:
        """Return an open handle of a new, empty folder for one kit's files. Raises DestinationError."""
        name = f"kit-{len(self._trees)}"
        try:
            os.mkdir(name, 0o755, dir_fd=self.handle)
            handle = os.open(name, _DIRECTORY, dir_fd=self.handle)
        except OSError as error:
            raise explain(error, self.destination.path) from error
        self._trees.append(handle)
        return handle

    def remove(self) -> None:
        """Remove the folder with all that is still in it. Never raises: the next run sweeps what stays."""
        for handle in self._trees:
            os.close(handle)
        os.close(self.handle)
        with contextlib.suppress(OSError):
            remove_tree(self.destination.handle, self.name)


def _make_folders(path: str) -> None:
    """Make a folder with its parents, all for everybody to read: os.makedirs has a mode for the last one only."""
    missing = []
    while path and not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for each in reversed(missing):
        with contextlib.suppress(
            FileExistsError
        ):  # another run was first, or there is a file: opening will tell
            os.mkdir(each, 0o755)


def remove_tree(parent: int, name: str) -> None:
    """Remove a file or a folder with its content, below an open directory, following no link."""
    try:
        handle = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
            raise
        os.unlink(name, dir_fd=parent)
        return
    try:
        for entry in os.listdir(handle):
            remove_tree(handle, entry)
    finally:
        os.close(handle)
    os.rmdir(name, dir_fd=parent)


def write_record(staging: Staging, record: Record) -> str:
    """Write a record into staging, where it is not in force yet, and return its name."""
    name = f"record-{record.state}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with open(os.open(name, flags, 0o644, dir_fd=staging.handle), "wb") as file:
        file.write(record.dump())
    return name


def place_record(staging: Staging, name: str) -> None:
    """Replace the destination's record, at one stroke, by one that was written."""
    os.rename(name, records.RECORD_NAME, src_dir_fd=staging.handle, dst_dir_fd=staging.destination.handle)


def remove_stale(root: int, paths: Iterable[str], needed: Collection[str] = ()) -> None:
    """Remove files that an earlier run brought, and the folders that they leave empty unless they are `needed`.

    A run may have been killed when only some of that was done, so that a folder goes although its file is gone.
    """
    for path in paths:
        try:
            _remove(root, path.split("/"), 0, needed)
        except OSError as error:
            if error.errno not in _IN_THE_WAY:
                raise


def _remove(folder: int, parts: list[str], depth: int, needed: Collection[str]) -> None:
    """Remove one file below an open folder, and upwards what is empty then; no link is followed."""
    name = parts[depth]
    if depth + 1 == len(parts):
        os.unlink(name, dir_fd=folder)
        return
    handle = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    try:
        with contextlib.suppress(FileNotFoundError):
            _remove(handle, parts, depth + 1, needed)
    finally:
        os.close(handle)
    if "/".join(parts[: depth + 1]) not in needed:
        os.rmdir(name, dir_fd=folder)


def folders_above(path: str) -> list[str]:
    """Return the folders above a path, the nearest first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]


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
