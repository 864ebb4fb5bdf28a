"""Files and directories created below a directory handle, and nothing else.

Every name is opened relative to the handle of its parent, without following links (`O_NOFOLLOW`), and every file
is created anew (`O_EXCL`): nothing that a kit names can lead out of the tree, nor replace what another layer wrote.
"""

from __future__ import annotations

import contextlib
import errno
import os
from threading import Lock
from typing import TYPE_CHECKING, Self

from kit_initializer.archive.limits import Budget
from kit_initializer.checksum import crc32
from kit_initializer.errors import UnsafeContentError
from kit_initializer.listing import Entry, Listing
from kit_initializer.secret import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kit_initializer.archive.limits import Limits

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Handles of directories kept open at a time by one layer; 8 layers at once stay far below 256 open files.
_OPEN_DIRECTORIES = 16

# How many paths are named that are left out.
_LEFT_OUT = 5

FILE_MODE, EXECUTABLE_MODE, DIRECTORY_MODE = 0o644, 0o755, 0o755


class Tree:
    """A directory to be filled by several layers at once. `root` is an open directory handle that stays the caller's.

    `keep` says which paths are wanted at all; others are read past. So are those with a name that starts as one of
    `reserved`, and `left_out` names the first few of them. `files` lists what was written; `backslash` is the first
    path of it whose name had backslashes. The process's umask must be 0: modes are set when a file or folder
    (`folder_mode`) is made, without a second system call.
    """

    def __init__(
        self,
        root: int,
        limits: Limits,
        *,
        keep: Callable[[str], bool] | None = None,
        folder_mode: int = DIRECTORY_MODE,
        reserved: tuple[str, ...] = (),
    ) -> None:
        self.root = root
        self.limits = limits
        self.keep = keep
        self.folder_mode = folder_mode
        self.budget = Budget(limits)
        self.files = Listing()
        self.left_out: list[str] = []
        self.backslash = ""
        self._reserved = reserved
        self._lock = Lock()

    def add(self, files: Listing) -> None:
        """Take note of what one layer has written."""
        with self._lock:
            self.files.extend(files)

    def leaves_out(self, parts: list[str]) -> bool:
        """Say whether a path has a reserved name, and take note of it if so."""
        if not self._reserved or not any(part.startswith(self._reserved) for part in parts):
            return False
        with self._lock:
            if len(self.left_out) < _LEFT_OUT:
                self.left_out.append("/".join(parts))
        return True

    def writer(self, directory: str, what: str) -> Writer:
        """Return a writer for one layer, whose names are relative to `directory` ("" for the tree itself)."""
        return Writer(self, directory, what)


def split(path: str, limits: Limits, what: str) -> list[str]:
    """Return the parts of a relative path; UnsafeContentError when it leads elsewhere or cannot be created.

    A leading "./" and a trailing "/" are harmless and go; everything else must be a plain name. A backslash separates
    names as "/" does: Kit before 0.2.4 and other packers write paths so on Windows.
    """
    if "\\" in path:
        if path[1:2] == ":":
            raise UnsafeContentError(
                f"{what} contains a path with a drive of Windows: {printable(path, 200)!r}",
                hint="pack the kit with paths relative to its own folder",
            )
        path = path.replace("\\", "/")
    parts = [part for part in path.split("/") if part != "."]
    while parts and not parts[-1]:
        parts.pop()
    if len(path) > limits.path_bytes // 4 and len(os.fsencode(path)) > limits.path_bytes:
        raise UnsafeContentError(
            f"{what} holds a path of more than {limits.path_bytes} bytes: {printable(path, 60)!r}…"
        )
    if len(parts) > limits.depth:
        raise UnsafeContentError(
            f"{what} holds a path deeper than {limits.depth} folders: {printable(path, 60)!r}…"
        )
    for part in parts:
        if not part or part == ".." or "\0" in part:
            raise UnsafeContentError(
                f"{what} holds a path that leads out of the kit: {printable(path, 200)!r}"
            )
        if len(part) > limits.name_bytes // 4 and len(os.fsencode(part)) > limits.name_bytes:
            raise UnsafeContentError(
                f"{what} holds a name of more than {limits.name_bytes} bytes: {part[:60]!r}…"
            )
    return parts


class Writer:
    """What one layer writes. Used by one thread; close it to give its handles back."""

    def __init__(self, tree: Tree, directory: str, what: str) -> None:
        self._tree = tree
        self._what = what
        self._limits = tree.limits
        self._base = split(directory, tree.limits, what)
        self._handles: dict[str, int] = {}
        self.files = Listing()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles.values():
            os.close(handle)
        self._handles.clear()
        self._tree.add(self.files)

    def _check_length(self, path: str) -> None:
        """Refuse a path that no program could open: the layer's folder and the name in it count together."""
        longest = self._limits.path_bytes
        if len(path) > longest // 4 and len(os.fsencode(path)) > longest:
            raise UnsafeContentError(
                f"{self._what} contains a path of more than {longest} bytes: {printable(path, 60)!r}"
            )

    def _folder(self, parts: list[str]) -> int:
        """Return a handle of the folder, made with its parents where it is not there yet."""
        path = "/".join(parts)
        handle = self._handles.get(path)
        if handle is not None:
            return handle
        if not parts:
            return self._tree.root
        parent = self._folder(parts[:-1])
        try:
            handle = os.open(parts[-1], _DIRECTORY, dir_fd=parent)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):  # another layer was first
                os.mkdir(parts[-1], self._tree.folder_mode, dir_fd=parent)
            handle = os.open(parts[-1], _DIRECTORY, dir_fd=parent)
        except NotADirectoryError as error:
            raise UnsafeContentError(f"{self._what} holds {path!r} as a file and as a folder") from error
        if len(self._handles) >= _OPEN_DIRECTORIES:
            # the oldest, if possible no parent of this one: dictionaries keep their order
            others = (each for each in self._handles if not path.startswith(each + "/"))
            os.close(self._handles.pop(next(others, next(iter(self._handles)))))
        self._handles[path] = handle
        return handle

    def folder(self, name: str) -> None:
        """Make a directory; one that is there already is as good."""
        self._tree.budget.member(self._what)
        parts = self._base + split(name, self._limits, self._what)
        self._check_length("/".join(parts))
        if self._tree.leaves_out(parts):
            return
        if self._tree.keep is None:  # with patterns, folders appear only with the files that are kept in them
            self._folder(parts)

    def file(self, name: str, content: Iterable[memoryview], *, executable: bool = False) -> None:
        """Write one new file from `content`, or read past it when it is not wanted."""
        self._tree.budget.member(self._what)
        own = split(name, self._limits, self._what)
        if not own or name.endswith(("/", "\\")):
            raise UnsafeContentError(f"{self._what} holds a file without a name: {name!r}")
        parts = self._base + own
        path = "/".join(parts)
        self._check_length(path)
        if "\\" in name:
            self._tree.backslash = self._tree.backslash or path
        wanted = self._tree.keep is None or self._tree.keep(path)
        if self._tree.leaves_out(parts) or not wanted:
            for _ in content:
                pass
            return
        parent = self._folder(parts[:-1])
        try:
            handle = os.open(
                parts[-1], _NEW_FILE, EXECUTABLE_MODE if executable else FILE_MODE, dir_fd=parent
            )
        except FileExistsError as error:
            raise UnsafeContentError(f"{self._what} holds {path!r}, which the kit holds already") from error
        except OSError as error:
            if error.errno in {errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL}:
                raise UnsafeContentError(
                    f"{self._what} holds a name that this volume cannot store: {printable(path, 200)!r}"
                ) from error
            raise
        size = checksum = 0
        try:
            for part in content:
                checksum = crc32(part, checksum)
                written = os.write(handle, part)
                while written < len(part):
                    written += os.write(handle, part[written:])
                size += written
        finally:
            os.close(handle)
        self.files.add(Entry(path, size, checksum))
