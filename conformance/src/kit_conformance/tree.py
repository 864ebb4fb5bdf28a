"""What lies in a destination, and how that differs from what should."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from kit_conformance.testbed.kits import FileFact

_LONGEST: Final = 8 * 1024  # characters of a path; what lies deeper is not read, or a chain fills the memory
_CHUNK: Final = 2048  # bytes of a path that are opened at once; the system's limit is 4096
_SHOWN: Final = 200  # characters of a path in a message
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Node(NamedTuple):
    """One entry: `kind` is "file", "folder", "link" or "other"; size and sha256 are those of files.

    `note` says what could not be read of it.
    """

    kind: str
    mode: int
    size: int = 0
    sha256: str = ""
    target: str = ""
    note: str = ""

    def __str__(self) -> str:
        note = f", {self.note}" if self.note else ""
        if self.kind == "link":
            return f"link to {shown(self.target)}{note}"
        if self.kind != "file":
            return f"{self.kind} {self.mode:04o}{note}"
        digest = f"{self.sha256[:12]}…" if self.sha256 else "unreadable"
        return f"{self.size} bytes {digest} {self.mode:04o}"


Tree = dict[str, Node]


def read(folder: Path) -> Tree:
    """Return everything below a folder by its path relative to it; nothing is followed, all is read.

    A subject may leave any tree behind: folders that nobody may read, chains of them that no path can name, sockets,
    names that are not text. None of them raises; what cannot be read has a `note`.
    """
    try:
        root = os.open(folder, _FOLDER)
    except OSError:
        return {}
    try:
        return dict(sorted(_walk(root)))
    finally:
        os.close(root)


def contents(folder: Path, limit: int) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of each file below a folder that is smaller than `limit` bytes and can be read."""
    tree = read(folder)
    with contextlib.suppress(OSError), _opened(folder) as root:
        for path, node in tree.items():
            if node.kind == "file" and node.size < limit:
                with contextlib.suppress(OSError):
                    yield path, _content(root, path, limit)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    handle = os.open(folder, _FOLDER)
    try:
        yield handle
    finally:
        os.close(handle)


def _walk(root: int) -> Iterator[tuple[str, Node]]:
    """Yield every entry.

    One handle goes down into each folder and up again by its "..": Python limits recursion, the system the length of
    a path.
    """
    handle, path = os.dup(root), ""
    found = _listed(handle, path)
    waiting = [
        _folders(found)
    ]  # for each folder on the way down the names of those below it that are still to come
    yield from found
    try:
        while waiting:
            if waiting[-1]:
                name = waiting[-1].pop()
                below = f"{path}/{name}" if path else name
                try:
                    entered = _enter(handle, name)
                except OSError as error:
                    mode = stat.S_IMODE(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode)
                    yield below, Node("folder", mode, note=f"cannot be read: {error.strerror}")
                    continue
                os.close(handle)
                handle, path = entered, below
                found = _listed(handle, path)
                yield from found
                waiting.append(_folders(found))
                continue
            waiting.pop()
            if waiting:
                above = os.open("..", _FOLDER, dir_fd=handle)
                os.close(handle)
                handle, path = above, path.rpartition("/")[0]
    finally:
        os.close(handle)


def _enter(above: int, name: str) -> int:
    """Open a folder from which there is a way up again: one that can be listed, and searched."""
    handle = os.open(name, _FOLDER, dir_fd=above)
    try:
        os.stat("..", dir_fd=handle)
    except OSError:
        os.close(handle)
        raise
    return handle


def _listed(handle: int, path: str) -> list[tuple[str, Node]]:
    found = []
    for name in os.listdir(handle):
        below = f"{path}/{name}" if path else name
        node = _node(handle, name)
        if node.kind == "folder" and len(below) > _LONGEST:
            node = node._replace(note="deeper than is looked at")
        found.append((below, node))
    return found


def _folders(found: list[tuple[str, Node]]) -> list[str]:
    return [path.rpartition("/")[2] for path, node in found if node.kind == "folder" and not node.note]


def _descend(root: int, path: str) -> int:
    """Open a folder below another one, however long its path is."""
    handle = os.dup(root)
    rest = path
    while rest:
        cut = len(rest) if len(os.fsencode(rest)) <= _CHUNK else rest.rindex("/", 0, _CHUNK // 4)
        part, rest = rest[:cut], rest[cut + 1 :]
        above, handle = handle, -1
        try:
            handle = os.open(part, _FOLDER, dir_fd=above)
        finally:
            os.close(above)
    return handle


def _content(root: int, path: str, limit: int) -> bytes:
    folder, _, name = path.rpartition("/")
    above = _descend(root, folder)
    try:
        with open(os.open(name, _FILE, dir_fd=above), "rb") as file:
            return file.read(limit)
    finally:
        os.close(above)


def _node(folder: int, name: str) -> Node:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        return Node("other", 0, note=f"cannot be read: {error.strerror}")
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        target = ""
        with contextlib.suppress(OSError):
            target = os.readlink(name, dir_fd=folder)
        return Node("link", mode, target=target)
    if stat.S_ISDIR(status.st_mode):
        return Node("folder", mode)
    if stat.S_ISREG(status.st_mode):
        return Node("file", mode, status.st_size, _hash(folder, name))
    return Node("other", mode)


def _hash(folder: int, name: str) -> str:
    try:
        with open(os.open(name, _FILE, dir_fd=folder), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def remove(folder: Path) -> None:
    """Remove a folder, whatever permissions a kit has given to what lies in it, and however deep it is."""
    with contextlib.suppress(OSError):
        if not folder.is_symlink():
            folder.chmod(0o700)
        _empty(folder)
        folder.rmdir()


def clear(folder: Path) -> None:
    """Remove everything in a folder."""
    if folder.is_dir():
        _empty(folder)


def _empty(folder: Path) -> None:
    """Remove everything in a folder: one handle goes down into each folder and up again by its "..".

    What cannot be removed stays, and nothing is followed.
    """
    handle = os.open(folder, _FOLDER)
    waiting = [_files_gone(handle)]  # for each folder on the way down those below it that are still there
    names: list[str] = []
    try:
        while waiting:
            if waiting[-1]:
                name = waiting[-1].pop()
                with contextlib.suppress(OSError):
                    os.chmod(name, 0o700, dir_fd=handle)
                    below = _enter(handle, name)
                    os.close(handle)
                    handle = below
                    names.append(name)
                    waiting.append(_files_gone(handle))
                continue
            waiting.pop()
            if names:
                above = os.open("..", _FOLDER, dir_fd=handle)
                os.close(handle)
                handle = above
                with contextlib.suppress(OSError):
                    os.rmdir(names.pop(), dir_fd=handle)
    finally:
        os.close(handle)


def _files_gone(folder: int) -> list[str]:
    """Remove what is no folder in a folder, and return the names of the folders."""
    folders = []
    for name in os.listdir(folder):
        with contextlib.suppress(OSError):
            if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                folders.append(name)
            else:
                os.unlink(name, dir_fd=folder)
    return folders


def shown(path: str) -> str:
    """Return a path for a message: the middle of one that is too long is left out."""
    return path if len(path) <= _SHOWN else f"{path[: _SHOWN // 2]}…{path[-_SHOWN // 2 :]}"


def differences(
    tree: Tree, files: Mapping[str, FileFact], *, allowed: Collection[str] = (), modes: bool = True
) -> list[str]:
    """Return a line for everything that is missing, there too much, or other than it should be.

    `allowed` are paths of files that may be there or not. Folders may only be those that files need. Modes
    are compared by no more than whether the owner may execute, and not at all without `modes`.
    """
    found = []
    for path, fact in files.items():
        node = tree.get(path)
        if node is None:
            found.append(f"missing: {shown(path)}, {fact.size} bytes {fact.sha256[:12]}…")
        elif node.kind != "file":
            found.append(f"not a file: {shown(path)} is a {node}")
        elif (node.size, node.sha256) != (fact.size, fact.sha256):
            found.append(f"other content: {shown(path)} is {node}, not {fact.size} bytes {fact.sha256[:12]}…")
        elif modes and bool(node.mode & 0o100) != bool(fact.mode & 0o100):
            found.append(f"other mode: {shown(path)} is {node.mode:04o}, packed as {fact.mode:04o}")
    needed = {parent for path in files for parent in _parents(path)}
    for path, node in tree.items():
        known = path in needed if node.kind == "folder" else path in files or path in allowed
        if not known:
            found.append(f"should not be there: {shown(path)} ({node})")
    return found


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
