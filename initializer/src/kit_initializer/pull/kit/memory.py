"""A folder in memory for Kit's login: it is gone with the run, also with one that is stopped or was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from typing import TYPE_CHECKING

from kit_initializer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY = "/dev/shm"  # noqa: S108 - not a place for files: memory that goes away with the pod
PREFIX = "kit-initializer-"
_folders: set[str] = set()


@contextlib.contextmanager
def folder() -> Iterator[str]:
    """Give a folder that is gone afterwards; what a killed run has left goes as well. Raises UsageError."""
    try:
        made = tempfile.mkdtemp(prefix=PREFIX, dir=MEMORY)
    except OSError as error:
        hint = "mount a tmpfs there, or use KIT_ENGINE=native"
        raise UsageError(f"no place for credentials in {MEMORY}: {error.strerror}", hint=hint) from error
    _folders.add(made)
    handle = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        _sweep(made)
        yield made
    finally:
        remove_all()
        os.close(handle)


def remove_all() -> None:
    """Remove this run's folders. Safe in a signal handler."""
    for each in tuple(_folders):
        shutil.rmtree(each, ignore_errors=True)
        _folders.discard(each)


def _sweep(own: str) -> None:
    """Remove folders like ours whose owner is no longer there to hold their lock."""
    for entry in os.scandir(MEMORY):
        if not entry.name.startswith(PREFIX) or entry.path == own or entry.is_symlink():
            continue
        with contextlib.suppress(OSError):
            handle = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - os.fstat(handle).st_mtime > 1:  # one just made is not locked yet
                    shutil.rmtree(entry.path, ignore_errors=True)
            finally:
                os.close(handle)
