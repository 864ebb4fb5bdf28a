"""How much a kit may ask of us before it is refused. Each number has its reason."""

from __future__ import annotations

from threading import Condition, Lock
from typing import TYPE_CHECKING, NamedTuple

from kit_initializer.errors import UnsafeContentError
from kit_initializer.sizes import size

if TYPE_CHECKING:
    from types import TracebackType


class Limits(NamedTuple):
    """Bounds on one kit; what exceeds one is refused as unsafe (exit code 8)."""

    # A PAX record names one path or one size. Linux allows a path of 4,096 bytes; tools that keep extended
    # attributes stay far below this as well, while a lying size would otherwise be read into memory whole.
    header_bytes: int = 64 * 1024
    # PATH_MAX and NAME_MAX of Linux: longer ones cannot be created.
    path_bytes: int = 4095
    name_bytes: int = 255
    # Deeper trees than any packed model is known to have, and shallow enough to walk.
    depth: int = 64
    # Datasets of a million small files exist; more than this is an attack on the volume's inodes. KIT_MAX_FILES.
    members: int = 2_000_000
    # What all layers may unpack to. KIT_MAX_BYTES, or else what `Limits` is given for the kit's own size.
    bytes: int = 1 << 62
    # The largest window that zstd may ask for (2^25 = 32 MiB); encoders use 8 MiB unless they are told otherwise.
    zstd_window_log: int = 25


class Budget:
    """What a kit has used of its limits, over all its layers. Threads share it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = Lock()
        self._members = self._bytes = 0

    def member(self, what: str) -> None:
        """Count a file or folder. Raises UnsafeContentError for one too many."""
        with self._lock:
            self._members += 1
        most = self._limits.members
        if self._members > most:
            raise UnsafeContentError(
                f"{what} brings the kit to more than {most:,} files and folders",
                hint=f"raise KIT_MAX_FILES (now {most}) if it is meant to have that many",
            )

    def content(self, count: int, what: str) -> None:
        """Count bytes of a layer's content. Raises UnsafeContentError for too many."""
        with self._lock:
            self._bytes += count
        most = self._limits.bytes
        if self._bytes > most:
            raise UnsafeContentError(
                f"{what} brings the kit to more than {size(most)}",
                hint=f"set KIT_MAX_BYTES (now {most}) to what it is meant to unpack to",
            )


class Windows:
    """Memory for the windows of decompressors, of which all layers together have so many bytes.

    A window that is larger than that is had when no other one is. `hold` is used in a `with`.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._changed = Condition()

    def hold(self, count: int) -> _Hold:
        """Wait until there is room for a window of so many bytes, and take it until the `with` is left."""
        return _Hold(self, count)

    def take(self, count: int) -> None:
        """Wait for room and take it. Every holder gives back in the end, also when the run is called off."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + count <= self._limit)
            self._held += count

    def give(self, count: int) -> None:
        """Give room back."""
        with self._changed:
            self._held -= count
            self._changed.notify_all()


class _Hold:
    def __init__(self, windows: Windows, count: int) -> None:
        self._windows = windows
        self._count = count

    def __enter__(self) -> None:
        self._windows.take(self._count)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._windows.give(self._count)
