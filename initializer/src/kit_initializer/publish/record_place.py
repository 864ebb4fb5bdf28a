"""Where the record of a destination is kept: in it, in another folder, or nowhere."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import IO, TYPE_CHECKING

from kit_initializer.errors import DestinationError
from kit_initializer.publish import record as records
from kit_initializer.publish.folders import DIRECTORY, READ, explain, make_folders

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kit_initializer.publish.destination import Destination
    from kit_initializer.publish.record import Record
    from kit_initializer.publish.staging import Staging

INSIDE, NONE = "inside", "none"
# What a file system says that cannot be asked for it.
_NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EROFS}
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW


def record_place(setting: str) -> RecordPlace:
    """Return the place that a setting names: "inside", "none" or the path of a folder."""
    if setting == INSIDE:
        return RecordPlace()
    return _Nowhere() if setting == NONE else _Folder(setting)


class RecordPlace:
    """The destination itself."""

    def load(self, destination: Destination) -> Record | None:
        """Return the record, None for none or one that is not ours. Raises DestinationError."""
        return _read(destination.handle, records.RECORD_NAME, destination.path)

    def write(
        self,
        staging: Staging,
        state: str,
        kits: Iterable[records.PublishedKit],
        lines: Iterable[bytes | memoryview],
    ) -> str:
        """Write a record where it is not in force yet, and return its name. Raises OSError."""
        name = f"record-{state}"
        with open(os.open(name, _NEW, 0o644, dir_fd=staging.handle), "wb") as file:
            records.write(file, state, kits, lines)
            _to_disk(file)
        return name

    def place(self, staging: Staging, name: str) -> None:
        """Replace the record, at one stroke, by one that was written. Raises OSError."""
        os.rename(name, records.RECORD_NAME, src_dir_fd=staging.handle, dst_dir_fd=staging.destination.handle)


class _Elsewhere(RecordPlace):
    """A place that leaves nothing in the destination: the record of a run that left one there is taken over."""

    def load(self, destination: Destination) -> Record | None:
        record = super().load(destination)
        if record is not None:
            record.state = records.PUBLISHING  # so that settling it moves it
        return record

    def _clear(self, destination: Destination) -> None:
        """Remove the record that is in the destination, if there is one."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(records.RECORD_NAME, dir_fd=destination.handle)


class _Nowhere(_Elsewhere):
    """No record: each run brings everything, and what differs from it is somebody else's."""

    def write(
        self,
        staging: Staging,  # noqa: ARG002 - as of the others
        state: str,
        kits: Iterable[records.PublishedKit],  # noqa: ARG002
        lines: Iterable[bytes | memoryview],  # noqa: ARG002
    ) -> str:
        return state

    def place(self, staging: Staging, name: str) -> None:
        if name == records.PUBLISHED:  # until then it says what is ours
            self._clear(staging.destination)


class _Folder(_Elsewhere):
    """A folder for records of several destinations, each under a name that stands for path and inode."""

    def __init__(self, path: str) -> None:
        self._path = path

    def load(self, destination: Destination) -> Record | None:
        real = os.path.realpath(self._path)
        inside = os.path.realpath(destination.path)
        if os.path.commonpath((real, inside)) == inside:
            raise DestinationError(
                f"KIT_RECORD is {self._path}, a folder within the destination {destination.path}",
                hint="name a folder outside of it, or set KIT_RECORD=none",
            )
        try:
            make_folders(self._path)
            folder = os.open(self._path, DIRECTORY)
        except OSError as error:
            raise explain(error, self._path) from error
        try:
            return _read(folder, _name(destination), self._path) or super().load(destination)
        finally:
            os.close(folder)

    def write(
        self,
        staging: Staging,
        state: str,
        kits: Iterable[records.PublishedKit],
        lines: Iterable[bytes | memoryview],
    ) -> str:
        path = os.path.join(self._path, f".{_name(staging.destination)}-{state}")
        try:
            with open(os.open(path, _NEW, 0o644), "wb") as file:
                records.write(file, state, kits, lines)
                _to_disk(file)
        except OSError as error:
            raise explain(error, path) from error
        return path

    def place(self, staging: Staging, name: str) -> None:
        path = os.path.join(self._path, _name(staging.destination))
        try:
            os.rename(name, path)
        except OSError as error:
            raise explain(error, path) from error
        self._clear(staging.destination)


def _name(destination: Destination) -> str:
    """Return what a destination's record is called: another volume at the same path has another."""
    from hashlib import sha256  # noqa: PLC0415 - 5 ms, and only for this place

    known = f"{os.path.realpath(destination.path)}\0{os.fstat(destination.handle).st_ino}"
    return sha256(os.fsencode(known)).hexdigest()[:32] + ".json"


def _to_disk(file: IO[bytes]) -> None:
    """Force a record to the disk: what a loss of power does to the other files, it tells the next run."""
    file.flush()
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def _read(folder: int, name: str, path: str) -> Record | None:
    """Return the record of a name in an open folder. Raises DestinationError for what cannot be read or replaced."""
    try:
        handle = os.open(name, READ, dir_fd=folder)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ELOOP, errno.ENXIO}:  # none, a link or a FIFO: not ours
            return None
        raise explain(error, f"{path}/{name}") from error
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        if stat.S_ISDIR(mode):
            raise DestinationError(
                f"{path}/{name} is a folder, where the initializer keeps its record",
                hint="remove that folder",
            )
        return None
    file = open(handle, "rb")  # noqa: SIM115 - read again and again, until the destination is closed
    try:
        record = records.load(file)
    except OSError as error:
        file.close()
        raise explain(error, f"{path}/{name}") from error
    if record is None:
        file.close()
    return record
