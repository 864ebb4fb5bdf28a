"""Folders held open: every step below them is taken by handle, so that no link is ever followed."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import sys
import time
from functools import cache
from typing import TYPE_CHECKING, Self

from kit_initializer.errors import DestinationError

if TYPE_CHECKING:
    from collections.abc import Callable

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Nobody waits here for the other end of a FIFO.
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NOREPLACE = 1  # renameat2(2), RENAME_NOREPLACE
# The file system cannot say "unless it is there", or the C library does not know the call.
_CANNOT_ASK = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
# What a volume says that cannot rename folders: those on object stores, some of overlays.
NO_FOLDER_RENAMES = {*_CANNOT_ASK, errno.EXDEV, errno.ENOTEMPTY, errno.EPERM}


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


def is_plain(found: os.stat_result) -> bool:
    """Say whether it is a regular file that everybody may read, as a model server has to."""
    return stat.S_ISREG(found.st_mode) and found.st_mode & 0o444 == 0o444


def make_folders(path: str) -> None:
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


class Below:
    """The folder of a path below an open one; the last one stays open, for paths come folder by folder."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._path = ""
        self._handles: list[int] = []

    def parent(self, path: str) -> tuple[int, str]:
        """Return a handle of the folder that holds `path`, valid until the next call, and the last name.

        Raises OSError: ELOOP or ENOTDIR where a folder on the way is a link or a file.
        """
        folder, _, name = path.rpartition("/")
        if folder != self._path:
            self.close()
            handle = self._root
            for part in folder.split("/") if folder else ():
                handle = os.open(part, DIRECTORY, dir_fd=handle)
                self._handles.append(handle)
            self._path = folder
        return (self._handles[-1] if self._handles else self._root), name

    def close(self) -> None:
        """Close what is open."""
        for handle in self._handles:
            os.close(handle)
        self._handles.clear()
        self._path = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def status(name: str, folder: int | None) -> os.stat_result | None:
    """Return what is there under a name, a link as itself; None for nothing."""
    if folder is None:
        return None
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def rename_new(name: str, source: int, target: int) -> None:
    """Move a file or folder to where nothing of its name is. Raises OSError, FileExistsError where there is."""
    try:
        _renameat2()(source, name, target, name)
    except OSError as error:
        if error.errno not in _CANNOT_ASK:
            raise
        if status(name, target) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from None
        os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)


@cache
def _renameat2() -> Callable[[int, str, int, str], None]:
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # a C library without it
        call = None

    def rename(source: int, name: str, target: int, new: str) -> None:
        sys.audit("os.rename", name, new, source, target)  # as os.rename does
        if call is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        if call(source, os.fsencode(name), target, os.fsencode(new), _NOREPLACE):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), name)

    return rename


def remove_tree(parent: int, name: str) -> None:
    """Remove a file or a folder with its content, below an open folder, following no link.

    However deep it is: a folder within is moved up to the top before it is emptied, so that two are open at a time.
    """
    try:
        top = os.open(name, DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
            raise
        os.unlink(name, dir_fd=parent)
        return
    try:
        with contextlib.suppress(PermissionError):  # not ours to change, but perhaps to read
            os.fchmod(top, 0o700)
        number, unique = 0, f".kit-removed-{time.monotonic_ns():x}"  # an earlier removal may have been killed
        pending = _emptied(top)
        while pending:
            inner = pending.pop()
            handle = os.open(inner, DIRECTORY, dir_fd=top)
            try:
                with contextlib.suppress(PermissionError):
                    os.fchmod(handle, 0o700)
                for each in _emptied(handle):
                    number += 1
                    moved = f"{unique}-{number}"
                    try:
                        os.rename(each, moved, src_dir_fd=handle, dst_dir_fd=top)
                    except OSError as error:
                        if error.errno not in NO_FOLDER_RENAMES:
                            raise
                        _remove_in_place(handle, each)
                    else:
                        pending.append(moved)
            finally:
                os.close(handle)
            os.rmdir(inner, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)


def _remove_in_place(parent: int, name: str) -> None:
    """Remove a folder with its content where the volume cannot rename folders: as many are open as it is deep."""
    pending = [name]
    while pending:
        path = pending[-1]
        with Below(parent) as below:
            handle, _ = below.parent(f"{path}/x")
            with contextlib.suppress(PermissionError):
                os.fchmod(handle, 0o700)
            folders = _emptied(handle)
            if not folders:
                handle, last = below.parent(path)
                os.rmdir(last, dir_fd=handle)
                pending.pop()
        pending += [f"{path}/{folder}" for folder in folders]


def _emptied(handle: int) -> list[str]:
    """Remove the files of an open folder, and return the names of its folders."""
    folders = []
    for name in os.listdir(handle):
        if stat.S_ISDIR(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode):
            folders.append(name)
        else:
            os.unlink(name, dir_fd=handle)
    return folders


def remove_file(root: int, path: str) -> None:
    """Remove a file below an open folder, and upwards each folder that is empty then."""
    with Below(root) as below:
        handle, name = below.parent(path)
        os.unlink(name, dir_fd=handle)
    remove_empty(root, path.rpartition("/")[0])


def remove_empty(root: int, folder: str) -> None:
    """Remove a folder below an open one if it is empty, and those above it that are then."""
    while folder:
        with Below(root) as below:
            handle, name = below.parent(folder)
            os.rmdir(name, dir_fd=handle)
        folder = folder.rpartition("/")[0]
