"""A folder into which tests unpack layers from memory."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

from kit_initializer.archive import Limits, Tree, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Unpacker:
    """A tree of the archive room over a folder. Its umask is that of the command: none."""

    def __init__(
        self, folder: Path, *, limits: Limits | None = None, keep: Callable[[str], bool] | None = None
    ) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, root)
        self.tree = Tree(root, limits or Limits(), keep=keep)

    def unpack(
        self,
        data: bytes,
        *,
        form: str = "tar",
        compression: str = "",
        directory: str = "",
        path: str = "",
        executable: bool = False,
        step: int = 4096,
    ) -> Tree:
        """Unpack a layer that comes in pieces of `step` bytes, each overwritten when the next one is asked for."""

        def pieces() -> Iterator[memoryview]:
            buffer = bytearray(step)
            for at in range(0, len(data), step):
                part = data[at : at + step]
                buffer[: len(part)] = part
                yield memoryview(buffer)[: len(part)]
            buffer[:] = b"\xaa" * step

        unpack(
            pieces(),
            self.tree,
            format=form,
            compression=compression,
            directory=directory,
            path=path,
            executable=executable,
            what="the layer",
        )
        return self.tree

    def found(self) -> dict[str, bytes]:
        """Return every file's content."""
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in paths}
