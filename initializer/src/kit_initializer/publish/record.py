"""What is ours in a destination: `.kit-initializer.json`.

The record is written before the first rename and completed after the last, so that whenever a run is killed the next
one knows which files it may replace or remove. It guards against accidents (a killed run, a full disk, a node that
lost power), which is why a CRC-32 of each file is enough: whoever can write to the volume could rewrite a stronger
digest as well. What came over the network has been checked against its SHA-256 before.
"""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

RECORD_NAME = ".kit-initializer.json"
_VERSION = 1
PUBLISHING, PUBLISHED = "publishing", "published"


class Entry(NamedTuple):
    """A file of ours: path relative to the destination, size in bytes, CRC-32."""

    path: str
    size: int
    crc32: int


class Kit(NamedTuple):
    """One ModelKit of a destination. `selection` is what was asked of it beside its digest (filters, patterns)."""

    uri: str
    digest: str
    selection: str
    files: tuple[Entry, ...]


class Record(NamedTuple):
    """The kits of one destination in the order in which they were merged, and what is still to be removed.

    `stale` are files of an earlier record, listed as long as they may still be there.
    """

    state: str
    kits: tuple[Kit, ...]
    stale: tuple[str, ...] = ()

    def owned(self) -> set[str]:
        """Return every path that is ours."""
        return {entry.path for kit in self.kits for entry in kit.files} | set(self.stale)

    def entries(self) -> dict[str, Entry]:
        """Return the file that should be at each path: where kits overlap, the later kit's."""
        return {entry.path: entry for kit in self.kits for entry in kit.files}

    def dump(self) -> bytes:
        """Return the record as JSON, one line a kit so that a person can read it too."""
        kits = [
            {
                "uri": kit.uri,
                "digest": kit.digest,
                "selection": kit.selection,
                "files": [{"path": e.path, "size": e.size, "crc32": f"{e.crc32:08x}"} for e in kit.files],
            }
            for kit in self.kits
        ]
        head = {"version": _VERSION, "state": self.state, "stale": list(self.stale), "kits": kits}
        return json.dumps(head, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def load(text: bytes) -> Record | None:
    """Return a record, or None for bytes that are none of ours: then nothing in the destination is."""
    try:
        value = json.loads(text)
        if value["version"] != _VERSION or value["state"] not in {PUBLISHING, PUBLISHED}:
            return None
        kits = tuple(_kit(kit) for kit in value["kits"])
        return Record(value["state"], kits, tuple(_path(path) for path in value["stale"]))
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return None


def _kit(value: dict[str, Any]) -> Kit:
    files = tuple(Entry(_path(f["path"]), int(f["size"]), int(f["crc32"], 16)) for f in value["files"])
    return Kit(str(value["uri"]), str(value["digest"]), str(value["selection"]), files)


def _path(path: object) -> str:
    """Return a path that leads nowhere but below the destination; ValueError otherwise."""
    if not isinstance(path, str) or "\0" in path or {"", ".", ".."}.intersection(path.split("/")):
        raise ValueError(path)
    os.fsencode(path)  # what is no file's name raises a ValueError too
    return path
