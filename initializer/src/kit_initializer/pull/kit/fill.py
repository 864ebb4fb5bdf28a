"""A kit pulled by the Kit CLI: the same staging, the same guarantees about what is published."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from kit_initializer.archive.tree import EXECUTABLE_MODE, FILE_MODE
from kit_initializer.checksum import crc32
from kit_initializer.errors import (
    DeniedError,
    InitializerError,
    IntegrityError,
    KitFailedError,
    NotFoundError,
    TLSError,
    UnreachableError,
    UnsafeContentError,
)
from kit_initializer.listing import Entry, Listing
from kit_initializer.publish import explain
from kit_initializer.publish.folders import remove_tree
from kit_initializer.pull.kit import cli
from kit_initializer.registry import Source
from kit_initializer.secret import printable
from kit_initializer.tuning import SEGMENT_BYTES
from kit_initializer.verify import Verifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kit_initializer.archive import Tree
    from kit_initializer.pull.pull import Pull
    from kit_initializer.pull.resolve import Part
    from kit_initializer.registry import Registry
    from kit_initializer.report import Reporter
    from kit_initializer.settings import Settings

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = _READ | os.O_DIRECTORY
_CHUNK = 1024 * 1024


def fill(pulls: Sequence[Pull], registry: Registry, settings: Settings, reporter: Reporter) -> None:
    """Let Kit fill every kit's tree, and note what it wrote, with the native engine's modes and patterns."""
    for pull in pulls:
        resolved, tree = pull.manifest, pull.tree
        # pinned to what our own registry room has resolved: a tag that moves in between moves nothing
        digest = resolved.digest if pull.judged is None else pull.contents.digest
        reference = resolved.reference._replace(tag=None, digest=digest)
        path = os.readlink(f"/proc/self/fd/{tree.root}")
        try:
            result = cli.bring(
                reference,
                path,
                settings,
                registry.transport.deadline,
                resolved.repository.login,
                parents=pull.contents.parents,
                judged=pull.judged,
                on_line=lambda line: reporter.log("debug", f"kit: {line}"),
            )
        except KitFailedError as failed:
            _find_cause(pull.contents.parts, settings, failed)
            raise
        reporter.info(f"{resolved.reference}: unpacked by Kit {result.kit_version}")
        try:
            tree.add(_walk(tree, tree.root, "", memoryview(bytearray(_CHUNK))))
        except OSError as error:
            raise explain(error, path) from error


def _find_cause(parts: Sequence[Part], settings: Settings, failed: KitFailedError) -> None:
    """Raise what is wrong with the registry or the layers, if that is why Kit failed; its exit code never tells.

    It costs a second download of a kit that has failed, and gives a cause, where Kit's words would have to be guessed.
    """
    buffer = memoryview(bytearray(SEGMENT_BYTES))
    try:
        for part in {part.layer.digest: part for part in parts}.values():
            layer = part.layer
            verifier = Verifier(layer.digest, layer.size, part.what)
            patience = part.repository.patience(attempts=settings.retries)
            source = Source(part.repository, layer.digest, layer.size, part.what, patience)
            try:
                for at in range(0, layer.size, SEGMENT_BYTES):
                    view = buffer[: layer.size - at]
                    source.fill(view, at, None)
                    verifier.update(view)
            finally:
                source.close()
            verifier.check()
    except (NotFoundError, DeniedError, UnreachableError, TLSError, IntegrityError) as error:
        raise error from failed
    except InitializerError:
        return  # the kit itself: Kit's own words say more about what Kit made of it


def _walk(tree: Tree, folder: int, prefix: str, buffer: memoryview) -> Listing:
    files = Listing()
    for name in sorted(os.listdir(folder)):
        path = prefix + name
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if tree.leaves_out([name]):
            remove_tree(folder, name)
        elif "\\" in name:
            raise UnsafeContentError(
                f"Kit wrote {printable(path, 200)!r}: the kit was packed on Windows, and Kit keeps its backslashes",
                hint="set KIT_ENGINE=native, which makes folders of them",
            )
        elif stat.S_ISDIR(mode):
            os.chmod(name, tree.folder_mode, dir_fd=folder)  # staging is closed to everybody else
            handle = os.open(name, _DIRECTORY, dir_fd=folder)
            try:
                files.extend(_walk(tree, handle, path + "/", buffer))
            finally:
                os.close(handle)
        elif not stat.S_ISREG(mode):
            raise UnsafeContentError(f"Kit wrote {path!r}, which is neither a file nor a folder")
        elif tree.keep is not None and not tree.keep(path):
            os.unlink(name, dir_fd=folder)
        else:
            files.add(_file(folder, name, path, mode, buffer))
    return files


def _file(folder: int, name: str, path: str, mode: int, buffer: memoryview) -> Entry:
    size = checksum = 0
    os.chmod(name, EXECUTABLE_MODE if mode & 0o111 else FILE_MODE, dir_fd=folder)
    with open(os.open(name, _READ, dir_fd=folder), "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            checksum = crc32(buffer[:count], checksum)
            size += count
    return Entry(path, size, checksum)
