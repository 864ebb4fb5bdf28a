"""One layer's bytes to files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_initializer.archive import tar
from kit_initializer.archive.compression import decompress
from kit_initializer.archive.stream import Stream
from kit_initializer.formats import TAR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kit_initializer.archive.tree import Tree


def unpack(
    chunks: Iterable[memoryview],
    tree: Tree,
    *,
    format: str,  # noqa: A002 - the word of the media type
    compression: str,
    directory: str,
    path: str,
    executable: bool,
    what: str,
) -> None:
    """Write the content of one layer into `tree`.

    `format` is one of `formats.FORMATS`: a tar's names are relative to `directory`, what is raw is one file at `path`,
    `executable` or not. Chunks are consumed to their end unless an error is raised: then the caller drains the rest,
    because the digest decides which error it is. Raises UnsafeContentError, OSError.
    """
    content = decompress(
        chunks, compression, tree.limits, what, lambda count: tree.budget.content(count, what)
    )
    if format == TAR:
        with tree.writer(directory, what) as writer:
            tar.read(Stream(content, what), writer, tree.limits)
    else:
        with tree.writer("", what) as writer:
            writer.file(path, content, executable=executable)
