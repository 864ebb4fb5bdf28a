"""Staged trees into their destinations: first everything is examined, then everything is renamed.

A rename moves a whole folder where the destination has none of that name, and file by file where it has. Nothing is
changed before every kit of the run is known to fit, and every folder to take what comes into it.
"""

from __future__ import annotations

import os
import stat
from enum import Enum
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from kit_initializer.errors import DestinationError
from kit_initializer.listing import Paths
from kit_initializer.publish import record as records
from kit_initializer.publish.destination import remove_stale
from kit_initializer.publish.folders import (
    DIRECTORY,
    NO_FOLDER_RENAMES,
    READ,
    Below,
    explain,
    is_plain,
    rename_new,
    status,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kit_initializer.listing import Entry, Listing
    from kit_initializer.publish.destination import Destination
    from kit_initializer.publish.staging import Staging

_CHUNK = 1024 * 1024
# Written by ourselves into each kit's tree; where kits share a folder the last one's stays.
_SHARED = "Kitfile"


class Collisions(Enum):
    """What becomes of a file that is there already, is not ours and differs."""

    REFUSE = "refuse"
    REPLACE = "replace"  # kit unpack --overwrite
    KEEP = "keep"  # kit unpack --ignore-existing


class Delivery(NamedTuple):
    """A verified kit below a folder of staging (`root`: open handle), on its way to its staging's destination."""

    staging: Staging
    root: int
    kit: records.PublishedKit
    files: Listing


def publish(deliveries: Sequence[Delivery], collisions: Collisions) -> None:
    """Publish the deliveries in order. Raises DestinationError: before any change where they collide."""
    if len(deliveries) > 1:
        _refuse_clashes(deliveries)
    steps = []
    for staging in dict.fromkeys(delivery.staging for delivery in deliveries):
        step = _Step(staging, [each for each in deliveries if each.staging is staging], collisions)
        steps.append(step)
        try:
            step.examine()
        except OSError as error:
            raise explain(error, staging.destination.path) from error
    for step in steps:
        try:
            step.carry_out()
        except OSError as error:
            raise explain(error, step.destination.path) from error


def _refuse_clashes(deliveries: Sequence[Delivery]) -> None:
    """Refuse kits of one run that bring different things to one place, in the same folder or in nested ones."""
    files: dict[str, tuple[records.PublishedKit, Entry]] = {}
    folders: dict[str, records.PublishedKit] = {}
    for delivery in deliveries:
        base = os.path.realpath(delivery.staging.destination.path)
        try:
            for folder, _ in _folders(delivery.root, ""):
                folders.setdefault(f"{base}/{folder}", delivery.kit)
        except OSError as error:
            raise explain(error, delivery.staging.destination.path) from error
        for entry in delivery.files:
            path = f"{base}/{entry.path}"
            kit, other = files.get(path, (delivery.kit, entry))
            kitfiles = entry.path == other.path == _SHARED
            if not kitfiles and (entry.size, entry.crc32) != (other.size, other.crc32):
                raise _clash(kit, delivery.kit, path)
            files[path] = (delivery.kit, entry)
    for path, (kit, _) in files.items():
        if path in folders:
            raise _clash(kit, folders[path], path)


def _folders(handle: int, prefix: str) -> Iterator[tuple[str, bool]]:
    """Yield the path of every folder below an open one, and whether it is empty."""
    for name in os.listdir(handle):
        if _is_folder(os.stat(name, dir_fd=handle, follow_symlinks=False)):
            below = os.open(name, DIRECTORY, dir_fd=handle)
            try:
                yield prefix + name, not os.listdir(below)
                yield from _folders(below, f"{prefix}{name}/")
            finally:
                os.close(below)


def _clash(first: records.PublishedKit, second: records.PublishedKit, path: str) -> DestinationError:
    return DestinationError(
        f"{first.uri} and {second.uri} both bring {path}, and differ", hint="give each its own folder"
    )


class _Step:
    """What publishing one destination consists of."""

    def __init__(self, staging: Staging, deliveries: Sequence[Delivery], collisions: Collisions) -> None:
        self.destination: Destination = staging.destination
        self._staging = staging
        self._deliveries = deliveries
        self._collisions = collisions
        self._record = self.destination.record
        self._owned = self._record.owned() if self._record is not None else Paths()
        self._owned_folders: set[str] | None = None
        self._empty: list[str] = []  # folders of the kits without a file, which the record has to name
        self._kept: set[str] = set()  # files of others that stay in the place of ours
        self._adopted: set[str] = set()  # files of others that are equal to ours, and stay
        self._brought = Paths()

    # before anything is changed

    def examine(self) -> None:
        """Find out whether everything fits. Raises DestinationError where it does not, and OSError."""
        for delivery in self._deliveries:
            self._may_change(self.destination.handle, "")
            self._compare(delivery.root, self.destination.handle, "")
            self._empty += [path for path, empty in _folders(delivery.root, "") if empty]
        if self._record is not None:
            self._brought = self._names()
            self._may_remove()

    def _names(self) -> Paths:
        """Return what the kits bring: the paths of their files, and "a/b/" for an empty folder."""
        files = (entry.path for delivery in self._deliveries for entry in delivery.files)
        return Paths(chain(files, (f"{folder}/" for folder in self._empty)))

    def _compare(self, staged: int, there: int, prefix: str) -> None:
        """Compare a staged folder with the one that it is to be merged with."""
        for name in os.listdir(staged):
            path, existing = prefix + name, status(name, there)
            if existing is None:
                continue
            if not _is_folder(os.stat(name, dir_fd=staged, follow_symlinks=False)):
                self._compare_file(staged, there, existing, path)
            elif _is_folder(existing):
                below = os.open(name, DIRECTORY, dir_fd=staged)
                try:
                    beneath = os.open(name, DIRECTORY, dir_fd=there)
                    try:
                        self._may_change(beneath, path)
                        self._compare(below, beneath, path + "/")
                    finally:
                        os.close(beneath)
                finally:
                    os.close(below)
            elif path not in self._owned:
                raise self._collision(path, "is a file or a link where the kit has a folder")

    def _compare_file(self, staged: int, there: int, existing: os.stat_result, path: str) -> None:
        name = path.rpartition("/")[2]
        if _is_folder(existing):
            if not self._only_ours(there, name, path):
                raise self._collision(path, "is a folder where the kit has a file")
        elif path in self._owned:
            return
        elif _equal(staged, there, name, existing):
            self._adopted.add(path)
        elif self._collisions is Collisions.KEEP:
            self._kept.add(path)
        elif self._collisions is Collisions.REFUSE:
            raise self._collision(path, "is there already and differs")

    def _only_ours(self, there: int, name: str, path: str) -> bool:
        """Say whether a folder is ours and holds nothing else, so that it gives way to a file."""
        if self._owned_folders is None:
            self._owned_folders = self._record.folders() if self._record is not None else set()
        if path not in self._owned_folders:
            return False
        handle = os.open(name, DIRECTORY, dir_fd=there)
        try:
            return all(
                f"{path}/{below}" in self._owned or self._only_ours(handle, below, f"{path}/{below}")
                for below in os.listdir(handle)
            )
        finally:
            os.close(handle)

    def _may_change(self, folder: int, path: str) -> None:
        """Raise DestinationError unless this user may make and remove files in an open folder."""
        if os.access(".", os.W_OK | os.X_OK, dir_fd=folder, effective_ids=True):
            return
        owner = os.fstat(folder)
        raise DestinationError(
            f"{self.destination.path}/{path}".rstrip("/")
            + f" cannot be changed by user {os.geteuid()}: it belongs to user {owner.st_uid}, group {owner.st_gid},"
            f" with mode {stat.S_IMODE(owner.st_mode):04o}",
            hint="run as that user, or give the pod an fsGroup so that the volume's group may write",
        )

    def _may_remove(self) -> None:
        """See that what an earlier kit leaves behind can be removed."""
        seen = ""
        with Below(self.destination.handle) as below:
            for path in self._stale():
                folder = path.rstrip("/").rpartition("/")[0]
                if folder != seen:
                    seen = folder
                    try:
                        handle, _ = below.parent(f"{folder}/x" if folder else "x")
                    except OSError:
                        below.close()
                        continue  # the folder is gone, and with it what was in it
                    self._may_change(handle, folder)

    def _stale(self) -> Iterator[str]:
        """Yield the files of earlier kits that none of these brings, and their empty folders."""
        if self._record is None:
            return
        try:
            for line in self._record.lines():
                if not line.adopted and line.path not in self._brought:
                    yield line.path
        except ValueError:
            return

    def _collision(self, path: str, how: str) -> DestinationError:
        return DestinationError(
            f"{self.destination.path}/{path} {how}",
            hint="empty the folder, or set KIT_UNPACK_FLAGS to -o (replace) or -i (keep)",
        )

    # the change itself

    def carry_out(self) -> None:
        """Rename everything into its place. Raises DestinationError, OSError."""
        kits, place = self._kits(), self.destination.records
        # both are written now, so that a full volume is met before anything is changed
        stale = (records.path_line(path) for path in self._stale() if not path.endswith("/"))
        begun = place.write(self._staging, records.PUBLISHING, kits, chain(self._lines(), stale))
        done = place.write(self._staging, records.PUBLISHED, kits, self._lines())
        place.place(self._staging, begun)
        for delivery in self._deliveries:
            self._move_into(delivery.root, self.destination.handle, "")
        remove_stale(self.destination.handle, self._stale())
        place.place(self._staging, done)

    def _kits(self) -> list[records.PublishedKit]:
        kits = []
        for delivery in self._deliveries:
            files, size = len(delivery.files), delivery.files.bytes
            if self._kept:
                ours = [entry.size for entry in delivery.files if entry.path not in self._kept]
                files, size = len(ours), sum(ours)
            kits.append(delivery.kit._replace(files=files, bytes=size))
        return kits

    def _lines(self) -> Iterator[bytes | memoryview]:
        """Yield the lines of the record; where kits overlap, the later one's."""
        later: list[Paths] = []
        plain = not self._kept and not self._adopted
        found: list[list[bytes] | Iterator[memoryview]] = []
        for delivery in reversed(self._deliveries):
            if plain and not later:
                found.append(delivery.files.lines())
            else:
                found.append(list(self._own_lines(delivery.files, later)))
            if len(self._deliveries) > 1:
                later.append(Paths(entry.path for entry in delivery.files))
        for lines in reversed(found):
            yield from lines
        yield from (records.path_line(f"{path}/") for path in dict.fromkeys(self._empty))

    def _own_lines(self, files: Listing, later: list[Paths]) -> Iterator[bytes]:
        for entry, line in zip(files, files.lines(), strict=True):
            if entry.path in self._kept or any(entry.path in paths for paths in later):
                continue
            yield records.adopted_line(entry) if entry.path in self._adopted else bytes(line)

    def _move_into(self, staged: int, there: int, prefix: str) -> None:
        """Move the content of a staged folder into one of the destination, both open."""
        for name in os.listdir(staged):
            path = prefix + name
            is_folder = _is_folder(os.stat(name, dir_fd=staged, follow_symlinks=False))
            existing = status(name, there)
            if existing is None:
                try:
                    self._move_new(staged, there, path, is_folder=is_folder)
                    continue
                except FileExistsError:  # a moment ago it was not there
                    existing = os.stat(name, dir_fd=there, follow_symlinks=False)
            if is_folder and _is_folder(existing):
                self._merge(staged, there, path)
            elif is_folder:
                self._refuse_unknown(staged, there, existing, path)
                os.unlink(name, dir_fd=there)
                self._move_new(staged, there, path, is_folder=True)
            elif _is_folder(existing):
                self._remove_ours(there, name, path)
                self._move_new(staged, there, path, is_folder=False)
            elif path not in self._kept and path not in self._adopted:
                self._refuse_unknown(staged, there, existing, path)
                os.rename(name, name, src_dir_fd=staged, dst_dir_fd=there)

    def _move_new(self, staged: int, there: int, path: str, *, is_folder: bool) -> None:
        """Move a file or folder to where nothing is; a folder by its files where the volume cannot rename it."""
        name = path.rpartition("/")[2]
        try:
            rename_new(name, staged, there)
        except OSError as error:
            if not is_folder or error.errno not in NO_FOLDER_RENAMES:
                raise
            os.mkdir(name, self.destination.folder_mode, dir_fd=there)
            self._merge(staged, there, path)

    def _merge(self, staged: int, there: int, path: str) -> None:
        name = path.rpartition("/")[2]
        below = os.open(name, DIRECTORY, dir_fd=staged)
        try:
            beneath = os.open(name, DIRECTORY, dir_fd=there)
            try:
                self._move_into(below, beneath, path + "/")
            finally:
                os.close(beneath)
        finally:
            os.close(below)

    def _refuse_unknown(self, staged: int, there: int, existing: os.stat_result, path: str) -> None:
        """Refuse to replace what nobody has examined: it came while the kit was being published."""
        if path in self._owned or path in self._brought_now() or self._collisions is Collisions.REPLACE:
            return
        if not _equal(staged, there, path.rpartition("/")[2], existing):
            raise self._collision(path, "has come while the kit was being published, and differs")

    def _brought_now(self) -> Paths:
        """Return what the kits of this run bring: of several in one folder a later one replaces an earlier one's."""
        if len(self._deliveries) > 1 and not len(self._brought):
            self._brought = self._names()
        return self._brought if len(self._deliveries) > 1 else Paths()

    def _remove_ours(self, there: int, name: str, path: str) -> None:
        """Remove a folder of ours that gives way to a file."""
        handle = os.open(name, DIRECTORY, dir_fd=there)
        try:
            for below in os.listdir(handle):
                if f"{path}/{below}" in self._owned:
                    os.unlink(below, dir_fd=handle)
                else:
                    self._remove_ours(handle, below, f"{path}/{below}")
        finally:
            os.close(handle)
        os.rmdir(name, dir_fd=there)


def _is_folder(found: os.stat_result) -> bool:
    return stat.S_ISDIR(found.st_mode)


def _equal(staged: int, there: int, name: str, existing: os.stat_result) -> bool:
    """Say whether the file that is there is a plain one with the bytes of the staged one."""
    if not is_plain(existing):
        return False
    try:
        with (
            open(os.open(name, READ, dir_fd=staged), "rb", buffering=0) as ours,
            open(os.open(name, READ, dir_fd=there), "rb", buffering=0) as theirs,
        ):
            if os.fstat(ours.fileno()).st_size != existing.st_size:
                return False
            while True:
                one, other = ours.read(_CHUNK), theirs.read(_CHUNK)
                if one != other:
                    return False
                if not one:
                    return True
    except (PermissionError, IsADirectoryError):
        return False
