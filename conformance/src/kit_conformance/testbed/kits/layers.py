"""Layers: what Kit takes into each, and the stream of bytes that it becomes."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import importlib
import io
import os
import posixpath
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from kit_conformance.testbed.kits import tars
from kit_conformance.testbed.kits.kitfile import Entry, KitfileError
from kit_conformance.testbed.kits.values import FileFact, Source, chunks_of, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_OF_KIT: Final = {"Kitfile", "kitfile", ".kitfile"}  # never packed by `path: .`
_LEVELS: Final = {"gzip": 6, "gzip-fastest": 1}


class _Writer(Protocol):
    def write(self, data: bytes, /) -> int: ...


@dataclass(frozen=True, slots=True)
class Node:
    """A file (`source` is its content) or a directory (None) of what is packed, with permission bits."""

    source: Source | None
    mode: int


Tree = dict[str, Node]


def tree_of(source: Path | Mapping[str, Source | None], modes: Mapping[str, int] | None) -> Tree:
    """Return all files and directories of a folder, or of entries in memory, by their path.

    Files are 0644 and directories 0755 unless `modes` says otherwise: a checkout's modes depend on a umask.
    Anything else in a folder (links, devices) is left out, as Kit does.
    """
    found: dict[str, Source | None] = {}
    if isinstance(source, Path):
        for folder, folders, files in os.walk(source):
            for name in (*folders, *files):
                path = Path(folder, name)
                kind = stat.S_IFMT(path.lstat().st_mode)
                if kind in {stat.S_IFREG, stat.S_IFDIR}:
                    found[path.relative_to(source).as_posix()] = path if kind == stat.S_IFREG else None
    else:
        for name, content in source.items():
            found[posixpath.normpath(name)] = content
            for parent in _parents(posixpath.normpath(name)):
                found.setdefault(parent, None)
    if ".kitignore" in found:
        raise KitfileError("the packer does not read .kitignore")
    chosen = modes or {}
    return {
        name: Node(content, chosen.get(name, 0o755 if content is None else 0o644))
        for name, content in found.items()
    }


def members_of(tree: Tree, entry: Entry, others: set[str]) -> list[str]:
    """Return the paths of the tree that go into the layer of an entry, in the order of Kit's walk.

    Entries nested in this one have layers of their own and are left out of it.
    """
    root = entry.clean
    if root == "..":
        raise KitfileError(f"{entry.path} is outside of the kit")
    if root != "." and root not in tree:
        raise KitfileError(f"there is nothing at {entry.path}")
    inside = [path for path in tree if root in (".", path) or path.startswith(root + "/")]
    nested = {other for other in others if other != root and (root == "." or other.startswith(root + "/"))}
    kept = [
        path
        for path in inside
        if not (nested & {path, *_parents(path)}) and not (root == "." and path in _OF_KIT)
    ]
    return sorted(
        (*_parents(root), *kept) if root != "." else kept, key=lambda path: path.encode().split(b"/")
    )


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: at + 1]) for at in range(len(parts))]


class _Sink:
    """Hashes and counts what is written, and passes it on."""

    def __init__(self, out: _Writer) -> None:
        self._out = out
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        self.size += len(data)
        self._out.write(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


class Written(NamedTuple):
    """A layer's bytes (or the file that holds them) with what is known of them."""

    digest: str
    diff_id: str
    size: int
    data: bytes | Path


@dataclass
class Packer:
    """Writes layers: into files below `directory`, or into memory without one.

    `old` is the layout of Kit before 0.5: names relative to the entry's parent, owner 0.
    """

    compression: str = ""
    directory: Path | None = None
    old: bool = False
    files: dict[str, FileFact] = field(default_factory=dict)

    def tar(self, tree: Tree, paths: list[str], entry: Entry) -> Written:
        """Write a layer that is a tar of paths of the tree."""
        base = posixpath.dirname(entry.clean) if self.old else ""

        def write(out: _Writer) -> None:
            for path in paths:
                if self.old and base and not path.startswith(base + "/"):
                    continue  # a parent: the old layout has none
                self._member(tree, path, path[len(base) + 1 :] if base else path, out)
            out.write(tars.END)

        return self._write(write)

    def raw(self, tree: Tree, path: str) -> Written:
        """Write a layer that is one file of the tree."""
        node = tree[path]
        if node.source is None:
            raise KitfileError(f"{path} is a directory, and raw layers are files")
        source = node.source
        return self._write(lambda out: self._content(path, source, node.mode, out))

    def _member(self, tree: Tree, path: str, name: str, out: _Writer) -> None:
        node = tree[path]
        uid = 0 if self.old else 1000
        if node.source is None:
            out.write(tars.member(name, 0, node.mode, directory=True, uid=uid))
            return
        size = size_of(node.source)
        out.write(tars.member(name, size, node.mode, uid=uid))
        self._content(path, node.source, node.mode, out)
        out.write(bytes(-size % tars.BLOCK))

    def _content(self, path: str, source: Source, mode: int, out: _Writer) -> None:
        hasher, size = hashlib.sha256(), 0
        for chunk in chunks_of(source):
            hasher.update(chunk)
            size += len(chunk)
            out.write(chunk)
        self.files[path] = FileFact(size, hasher.hexdigest(), mode)

    def _write(self, write: Callable[[_Writer], None]) -> Written:
        with contextlib.ExitStack() as stack:
            memory = io.BytesIO()
            target: _Writer = memory
            if self.directory is not None:
                number, name = tempfile.mkstemp(dir=self.directory)
                target = stack.enter_context(open(number, "wb"))
            sink = _Sink(target)
            with _compressed(sink, self.compression) as packed:
                plain = _Sink(packed) if self.compression else sink
                write(plain)
        if self.directory is None:
            return Written(sink.digest, plain.digest, sink.size, memory.getvalue())
        path = self.directory / sink.digest.replace(":", "-")
        Path(name).rename(path)
        return Written(sink.digest, plain.digest, sink.size, path)


@contextlib.contextmanager
def _compressed(sink: _Sink, compression: str) -> Iterator[_Writer]:
    if not compression:
        yield sink
    elif compression in _LEVELS:
        with gzip.GzipFile("", "wb", _LEVELS[compression], sink, mtime=0) as packed:
            yield packed
    elif compression == "zstd":
        with zstd().ZstdFile(sink, "wb") as packed:
            yield packed
    else:
        raise ValueError(f"unknown compression {compression!r}")


def zstd() -> Any:  # noqa: ANN401  (one of two modules with the same names)
    """Return the zstd module: the standard library's from Python 3.14 on, its backport before."""
    for name in ("compression.zstd", "backports.zstd"):
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    raise RuntimeError("zstd needs Python 3.14 or the package backports.zstd")
