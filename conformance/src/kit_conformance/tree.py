"""What lies in a destination, and how that differs from what should."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from kit_conformance.testbed.kits import FileFact


class Node(NamedTuple):
    """One entry: `kind` is "file", "folder", "link" or "other"; size and sha256 are those of files."""

    kind: str
    mode: int
    size: int = 0
    sha256: str = ""
    target: str = ""

    def __str__(self) -> str:
        if self.kind == "link":
            return f"link to {self.target}"
        if self.kind != "file":
            return f"{self.kind} {self.mode:04o}"
        return f"{self.size} bytes {self.sha256[:12] or 'unreadable'}… {self.mode:04o}"


Tree = dict[str, Node]


def read(folder: Path) -> Tree:
    """Return everything below a folder by its path relative to it; nothing is followed, all is read."""
    return dict(_walk(str(folder), ""))


def _walk(folder: str, prefix: str) -> Iterator[tuple[str, Node]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        path = f"{prefix}{entry.name}"
        status = entry.stat(follow_symlinks=False)
        mode = stat.S_IMODE(status.st_mode)
        if entry.is_symlink():
            yield path, Node("link", mode, target=os.readlink(entry.path))
        elif entry.is_dir(follow_symlinks=False):
            yield path, Node("folder", mode)
            yield from _walk(entry.path, path + "/")
        elif entry.is_file(follow_symlinks=False):
            yield path, Node("file", mode, status.st_size, _hash(entry.path))
        else:
            yield path, Node("other", mode)


def remove(folder: Path) -> None:
    """Remove a folder, whatever permissions a kit has given to what lies in it."""
    for parent, folders, _ in os.walk(folder):
        for name in folders:
            with contextlib.suppress(OSError):
                path = os.path.join(parent, name)
                if not os.path.islink(path):
                    os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def clear(folder: Path) -> None:
    """Remove everything in a folder."""
    for entry in list(os.scandir(folder)) if folder.is_dir() else ():
        if entry.is_dir(follow_symlinks=False):
            os.chmod(entry.path, 0o700)
            remove(folder / entry.name)
        else:
            os.unlink(entry.path)


def _hash(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


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
            found.append(f"missing: {path}, {fact.size} bytes {fact.sha256[:12]}…")
        elif node.kind != "file":
            found.append(f"not a file: {path} is a {node}")
        elif (node.size, node.sha256) != (fact.size, fact.sha256):
            found.append(f"other content: {path} is {node}, not {fact.size} bytes {fact.sha256[:12]}…")
        elif modes and bool(node.mode & 0o100) != bool(fact.mode & 0o100):
            found.append(f"other mode: {path} is {node.mode:04o}, packed as {fact.mode:04o}")
    needed = {parent for path in files for parent in _parents(path)}
    for path, node in tree.items():
        known = path in needed if node.kind == "folder" else path in files or path in allowed
        if not known:
            found.append(f"should not be there: {path} ({node})")
    return found


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
