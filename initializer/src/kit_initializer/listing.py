"""Files of a kit as they were written, a million of them in 100 MB: each is a line of JSON in one buffer."""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Entry(NamedTuple):
    """One file: path relative to the destination with "/", size in bytes, CRC-32 of the content."""

    path: str
    size: int
    crc32: int


class Listing:
    """Entries in the order in which they were added. `bytes` is the sum of their sizes."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._lines = bytearray()
        self._count = 0
        self.bytes = 0
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Add one entry."""
        self._lines += line(entry)
        self._count += 1
        self.bytes += entry.size

    def extend(self, other: Listing) -> None:
        """Add all entries of another listing."""
        self._lines += other._lines
        self._count += other._count
        self.bytes += other.bytes

    def lines(self) -> Iterator[memoryview]:
        """Yield each entry as the line that `line` makes of it, without copying."""
        view = memoryview(self._lines)
        at = 0
        while at < len(view):
            end = self._lines.index(b"\n", at) + 1
            yield view[at:end]
            at = end

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        for each in self.lines():
            path, size, checksum = json.loads(bytes(each[:-2]))
            yield Entry(path, size, int(checksum, 16))


class Paths:
    """A set of paths that is only asked whether it contains one, in 8 bytes each.

    It holds 64 bits of Python's keyed hash: of a million files one in 10^13 is mistaken for a member.
    """

    def __init__(self, paths: Iterable[str] = ()) -> None:
        self._hashes = array("q", sorted(array("q", (hash(path) for path in paths))))

    def __contains__(self, path: str) -> bool:
        value = hash(path)
        at = bisect_left(self._hashes, value)
        return at < len(self._hashes) and self._hashes[at] == value

    def __len__(self) -> int:
        return len(self._hashes)


def line(entry: Entry) -> bytes:
    """Return an entry as a line of the record: an array of JSON, a comma and a line break."""
    return json.dumps([entry.path, entry.size, f"{entry.crc32:08x}"], separators=(",", ":")).encode() + b",\n"
