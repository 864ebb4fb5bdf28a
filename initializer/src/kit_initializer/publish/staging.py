"""Staging: a folder beside the final files, on the same mount, so that publishing is renaming."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from functools import cache
from threading import Event, Thread
from typing import TYPE_CHECKING

from kit_initializer.publish.folders import DIRECTORY, remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit_initializer.publish.destination import Destination

STAGING_PREFIX = ".kit-staging-"
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_BOOT = "/proc/sys/kernel/random/boot_id"
# Where locks are a node's own, an owner on another node is alive if it has touched its staging not long ago.
_BEAT_S = 15.0
_STALE_S = 300.0


class Staging:
    """A folder for one run, for its owner alone, which it locks and touches until it is removed. Raises OSError."""

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self.name = f"{STAGING_PREFIX}{_locks(destination.handle)}-{os.getpid()}-{time.monotonic_ns():x}"
        self.path = os.path.join(destination.path, self.name)
        os.mkdir(self.name, 0o700, dir_fd=destination.handle)
        try:
            self.handle = os.open(self.name, DIRECTORY, dir_fd=destination.handle)
        except OSError:
            with contextlib.suppress(OSError):
                os.rmdir(self.name, dir_fd=destination.handle)
            raise
        with contextlib.suppress(OSError):  # a file system without locks: the touch has to do
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._roots: list[int] = []
        self._over = Event()
        self._pulse = Thread(target=self._beat, name="staging", daemon=True)
        with contextlib.suppress(RuntimeError):  # no thread to be had: the lock has to do
            self._pulse.start()

    def _beat(self) -> None:
        while not self._over.wait(_BEAT_S):
            with contextlib.suppress(OSError):
                os.utime(self.handle)

    def new_root(self) -> int:
        """Return an open handle of a new, empty folder for one kit's files. Raises OSError."""
        name = f"kit-{len(self._roots)}"
        os.mkdir(name, self.destination.folder_mode, dir_fd=self.handle)
        handle = os.open(name, DIRECTORY, dir_fd=self.handle)
        self._roots.append(handle)
        return handle

    def remove(self) -> None:
        """Remove the folder with all that is still in it. Never raises: the next run sweeps what stays."""
        self._over.set()
        if self._pulse.is_alive():
            self._pulse.join()
        with contextlib.suppress(OSError):
            remove_tree(self.destination.handle, self.name)
        for handle in (*self._roots, self.handle):
            with contextlib.suppress(OSError):
                os.close(handle)


def sweep(destination: Destination, warn: Callable[[str], None], own: Staging | None = None) -> None:
    """Remove staging whose owner is gone; what cannot be removed is told and left. Raises OSError.

    That of another node is judged only by a run that has staging, `own`, to read the time of the volume from.
    """
    for name in os.listdir(destination.handle):
        if not name.startswith(STAGING_PREFIX) or (own is not None and name == own.name):
            continue
        try:
            if _is_abandoned(destination.handle, name, own):
                remove_tree(destination.handle, name)
        except OSError as error:
            warn(f"{destination.path}/{name}, left by another run, cannot be removed: {error.strerror}")


def _is_abandoned(parent: int, name: str, own: Staging | None) -> bool:
    """Say whether nobody works in a staging folder any more. Raises OSError."""
    try:
        handle = os.open(name, DIRECTORY, dir_fd=parent)
    except OSError as error:
        return error.errno in {errno.ENOTDIR, errno.ELOOP}  # a file or a link of that name holds nothing
    try:
        locked = _is_locked(handle)
        if locked is not None and (locked or name.startswith(f"{STAGING_PREFIX}{_locks(handle)}-")):
            return not locked  # the owner's lock is among those that are seen here
        if own is None:
            return False  # the clocks of two nodes may differ: only a folder just made has the time of the volume
        return os.fstat(own.handle).st_mtime - os.fstat(handle).st_mtime > _STALE_S
    finally:
        os.close(handle)


def _is_locked(handle: int) -> bool | None:
    """Say whether somebody holds the lock of an open folder; None where the file system has none."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno in NO_LOCKS:
            return None
        raise
    return False


def _locks(folder: int) -> str:
    """Return what tells a set of locks from others: the kernel, and the mount, for FUSE in a pod has its own locks."""
    return f"{_machine()}.{os.fstat(folder).st_dev:x}"


@cache
def _machine() -> str:
    """Return what tells this running kernel from others: its boot id, the same in all containers of a node.

    A sandbox that shows none may be anywhere, and is like a node for itself.
    """
    try:
        with open(_BOOT, "rb") as file:
            return file.read(64).strip().replace(b"-", b"").decode(errors="replace")[:12]
    except OSError:
        return os.urandom(6).hex()
