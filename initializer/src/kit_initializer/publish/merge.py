"""Staged trees into their destinations: first everything is examined, then everything is renamed.

A rename moves a whole folder where the destination has none of that name, and file by file where it has. Nothing is
changed before every kit of the run is known to fit.
"""

from __future__ import annotations

import os
import stat
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from kit_initializer.errors import DestinationError, UnsafeContentError
from kit_initializer.publish.destination import (
    STAGING_PREFIX,
    explain,
    folders_above,
    place_record,
    remove_stale,
    write_record,
)
from kit_initializer.publish.record import PUBLISHED, PUBLISHING, RECORD_NAME, Kit, Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kit_initializer.publish.destination import Destination, Staging
    from kit_initializer.publish.record import Entry

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CHUNK = 1024 * 1024
# Written by ourselves into each kit's tree; where kits share a folder the last one's stays.
_SHARED = "Kitfile"


class Collisions(Enum):
    """What becomes of a file that is there already, is not ours and differs."""

    REFUSE = "refuse"
    REPLACE = "replace"  # kit unpack --overwrite
    KEEP = "keep"  # kit unpack --ignore-existing


class Delivery(NamedTuple):
    """A verified kit in a staging tree (`tree`: open handle), on its way to its staging's destination."""

    staging: Staging
    tree: int
    kit: Kit


class _Move(NamedTuple):
    """A rename from a staged folder to a path below the destination."""

    tree: int
    path: str


class _Step(NamedTuple):
    """What publishing one destination consists of."""

    destination: Destination
    staging: Staging
    kits: tuple[Kit, ...]
    moves: tuple[_Move, ...]
    stale: tuple[str, ...]


def publish(deliveries: Sequence[Delivery], collisions: Collisions) -> None:
    """Publish the deliveries in order. Raises DestinationError: before any change where they collide.

    UnsafeContentError for a kit that brings a name which only our own files have.
    """
    steps = []
    for staging in dict.fromkeys(delivery.staging for delivery in deliveries):
        mine = [delivery for delivery in deliveries if delivery.staging is staging]
        try:
            steps.append(_examine(staging, mine, collisions))
            if len(deliveries) > 1:
                _refuse_clashes(deliveries)
        except OSError as error:
            raise explain(error, staging.destination.path) from error
    for step in steps:
        try:
            _carry_out(step)
        except OSError as error:
            raise explain(error, step.destination.path) from error


def _refuse_clashes(deliveries: Sequence[Delivery]) -> None:
    """Refuse kits of one run that bring different things to one place, in the same folder or in nested ones."""
    files: dict[str, tuple[Kit, Entry]] = {}
    folders: dict[str, Kit] = {}
    for delivery in deliveries:
        base = os.path.realpath(delivery.staging.destination.path)
        for folder in _folders(delivery.tree, ""):
            folders.setdefault(f"{base}/{folder}", delivery.kit)
        for entry in delivery.kit.files:
            path = f"{base}/{entry.path}"
            kit, other = files.get(path, (delivery.kit, entry))
            kitfiles = entry.path == other.path == _SHARED
            if not kitfiles and (entry.size, entry.crc32) != (other.size, other.crc32):
                raise _clash(kit, delivery.kit, path)
            files[path] = (delivery.kit, entry)
    for path, (kit, _) in files.items():
        if path in folders:
            raise _clash(kit, folders[path], path)


def _folders(handle: int, prefix: str) -> Iterator[str]:
    """Yield the path of every folder below an open one."""
    for name in os.listdir(handle):
        if stat.S_ISDIR(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode):
            yield prefix + name
            below = os.open(name, _DIRECTORY, dir_fd=handle)
            try:
                yield from _folders(below, f"{prefix}{name}/")
            finally:
                os.close(below)


def _clash(first: Kit, second: Kit, path: str) -> DestinationError:
    return DestinationError(
        f"{first.uri} and {second.uri} both bring {path}, and differ", hint="give each its own folder"
    )


def _examine(staging: Staging, deliveries: Sequence[Delivery], collisions: Collisions) -> _Step:
    destination = staging.destination
    owned = destination.record.owned() if destination.record is not None else set()
    merger = _Merger(destination, owned, collisions)
    kits = []
    for delivery in deliveries:
        merger.uri = delivery.kit.uri
        merger.merge(delivery.tree, delivery.tree, destination.handle, "")
        kept = merger.kept
        kits.append(delivery.kit._replace(files=tuple(e for e in delivery.kit.files if e.path not in kept)))
    brought = {entry.path for kit in kits for entry in kit.files}
    return _Step(destination, staging, tuple(kits), tuple(merger.moves), tuple(sorted(owned - brought)))


class _Merger:
    """Compare staged trees with one destination, and collect the renames that publish them."""

    def __init__(self, destination: Destination, owned: set[str], collisions: Collisions) -> None:
        self._destination = destination
        self._owned = owned
        self._owned_folders = {folder for path in owned for folder in folders_above(path)}
        self._collisions = collisions
        self._planned: set[str] = set()
        self.uri = ""  # of the kit that is being merged
        self.moves: list[_Move] = []
        self.kept: set[str] = set()

    def merge(self, tree: int, staged: int, there: int | None, prefix: str) -> None:
        """Examine the content of one staged folder; `there` is the folder it merges with (None: only planned)."""
        for name in sorted(os.listdir(staged)):
            path = prefix + name
            self._refuse_our_own(name, path)
            is_folder = stat.S_ISDIR(os.stat(name, dir_fd=staged, follow_symlinks=False).st_mode)
            existing = _stat(name, there)
            if existing is None and path not in self._planned:
                self.moves.append(_Move(tree, path))
                self._planned.add(path)
                if is_folder:
                    self._plan_below(staged, name, path)
            elif is_folder:
                self._merge_folder(tree, staged, there, existing, path)
            elif existing is not None and path not in self._planned:
                self._merge_file(tree, staged, there, existing, path)
            else:  # an earlier kit of this run brings the same file, or its own Kitfile: the later one stays
                self.moves.append(_Move(tree, path))

    def _plan_below(self, staged: int, name: str, path: str) -> None:
        """Note what comes with a folder that is moved whole, for the kits that follow."""
        handle = os.open(name, _DIRECTORY, dir_fd=staged)
        try:
            for below in os.listdir(handle):
                self._refuse_our_own(below, f"{path}/{below}")
                self._planned.add(f"{path}/{below}")
                if stat.S_ISDIR(os.stat(below, dir_fd=handle, follow_symlinks=False).st_mode):
                    self._plan_below(handle, below, f"{path}/{below}")
        finally:
            os.close(handle)

    def _merge_folder(
        self, tree: int, staged: int, there: int | None, existing: os.stat_result | None, path: str
    ) -> None:
        name = path.rpartition("/")[2]
        if existing is not None and not stat.S_ISDIR(existing.st_mode):
            if path in self._planned:  # an earlier kit of this run has the folder take the file's place
                self._merge_below(tree, staged, name, None, path)
                return
            if path not in self._owned:
                raise self._collision(path, "is a file or a link where the kit has a folder")
            # a file of our own: it is removed as stale before the folder takes its place
            self.moves.append(_Move(tree, path))
            self._planned.add(path)
            self._plan_below(staged, name, path)
        else:
            self._merge_below(tree, staged, name, None if existing is None else there, path)

    def _merge_below(self, tree: int, staged: int, name: str, there: int | None, path: str) -> None:
        """Merge a staged folder with the one of the same name in `there` (None: with what is planned)."""
        below = os.open(name, _DIRECTORY, dir_fd=staged)
        beneath = None
        try:
            if there is not None:
                beneath = os.open(name, _DIRECTORY, dir_fd=there)
            self.merge(tree, below, beneath, path + "/")
        finally:
            os.close(below)
            if beneath is not None:
                os.close(beneath)

    def _merge_file(
        self, tree: int, staged: int, there: int | None, existing: os.stat_result, path: str
    ) -> None:
        name = path.rpartition("/")[2]
        if stat.S_ISDIR(existing.st_mode):
            if path not in self._owned_folders or not self._only_ours(there, name, path):
                raise self._collision(path, "is a folder where the kit has a file")
        elif path not in self._owned and not _equal(staged, there, name, existing):
            if self._collisions is Collisions.KEEP:
                self.kept.add(path)
                return
            if self._collisions is Collisions.REFUSE:
                raise self._collision(path, "is there already and differs")
        self.moves.append(_Move(tree, path))
        self._planned.add(path)

    def _only_ours(self, there: int | None, name: str, path: str) -> bool:
        """Say whether a folder holds nothing but files of ours, and so goes with them."""
        handle = os.open(name, _DIRECTORY, dir_fd=there)
        try:
            for below in os.listdir(handle):
                inner = f"{path}/{below}"
                if inner in self._owned:
                    continue
                if inner not in self._owned_folders or not self._only_ours(handle, below, inner):
                    return False
        finally:
            os.close(handle)
        return True

    def _refuse_our_own(self, name: str, path: str) -> None:
        """Refuse a name by which a later run would take a kit's file for a record or for staging."""
        if name == RECORD_NAME or name.startswith(STAGING_PREFIX):
            raise UnsafeContentError(
                f"{self.uri} holds {path!r}, a name that the initializer keeps for itself",
                hint="pack the kit again without it",
            )

    def _collision(self, path: str, how: str) -> DestinationError:
        return DestinationError(
            f"{self._destination.path}/{path} {how}",
            hint="empty the folder, or set KIT_UNPACK_FLAGS to -o (replace) or -i (keep)",
        )


def _carry_out(step: _Step) -> None:
    # both are written now, so that a full volume is met before anything is changed
    begun = write_record(step.staging, Record(PUBLISHING, step.kits, step.stale))
    done = write_record(step.staging, Record(PUBLISHED, step.kits))
    place_record(step.staging, begun)
    # a folder whose every file is replaced by one of another name is empty for a moment
    needed = {folder for move in step.moves for folder in folders_above(move.path)}
    remove_stale(step.destination.handle, step.stale, needed)
    for move in step.moves:
        os.rename(move.path, move.path, src_dir_fd=move.tree, dst_dir_fd=step.destination.handle)
    place_record(step.staging, done)


def _stat(name: str, folder: int | None) -> os.stat_result | None:
    if folder is None:
        return None
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _equal(staged: int, there: int | None, name: str, existing: os.stat_result) -> bool:
    """Say whether the file that is there is a plain one with the bytes of the staged one."""
    if not stat.S_ISREG(existing.st_mode):
        return False
    try:
        with (
            open(os.open(name, _READ, dir_fd=staged), "rb", buffering=0) as ours,
            open(os.open(name, _READ, dir_fd=there), "rb", buffering=0) as theirs,
        ):
            if os.fstat(ours.fileno()).st_size != existing.st_size:
                return False
            while True:
                one, other = ours.read(_CHUNK), theirs.read(_CHUNK)
                if one != other:
                    return False
                if not one:
                    return True
    except PermissionError:
        return False
